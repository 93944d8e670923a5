"""The step `export`: checkpoint → ONNX in the form that usually runs fastest."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from edgekws.core.contract import Artifact, Format
from edgekws.core.job import Job, Output
from edgekws.steps._fields import StepFields


class Step(StepFields):
    """Export the network to ONNX: BatchNorm folded, 2-D networks as Conv2d of height 1."""

    kind: Literal["export"] = "export"
    keeps: ClassVar[str] = "exact"

    @property
    def takes(self) -> Format | None:
        """A checkpoint."""
        return "checkpoint"

    @property
    def gives(self) -> Format:
        """An ONNX model."""
        return "onnx"

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Export the checkpoint and verify it on the golden clips of dev.

        Raises:
            ParityError: the ONNX model does not reproduce the network's logits.
            UnsupportedError: a layer cannot be exported to ONNX; the message names it.
        """
        from edgekws.lowering import checkpoint, onnx_file, parity
        from edgekws.lowering.export import export_lowered

        network, contract = checkpoint.load(inputs["input"].path)
        path = job.workdir / "model.onnx"
        onnx_file.save(export_lowered(network, contract), contract, path)
        dev = job.data.examples("dev")
        features = dev.features[parity.golden(dev)]
        expected = parity.torch_logits(network, features, contract)
        worst = parity.check(expected, parity.logits(path, features), what="export")
        return Output(path, {"max_abs_diff": worst})
