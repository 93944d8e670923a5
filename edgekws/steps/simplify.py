"""The step `simplify`: clean up the ONNX graph with onnxsim."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from edgekws.core.contract import Artifact, Format
from edgekws.core.events import working
from edgekws.core.job import Job, Output
from edgekws.steps._fields import StepFields


class Step(StepFields):
    """Merge and remove nodes without changing the result; INT8 weights stay INT8."""

    kind: Literal["simplify"] = "simplify"
    keeps: ClassVar[str] = "exact"

    @property
    def takes(self) -> Format | None:
        """An ONNX model."""
        return "onnx"

    @property
    def gives(self) -> Format:
        """An ONNX model."""
        return "onnx"

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Simplify the model and verify it on the golden clips of dev.

        Raises:
            ParityError: the simplified model gives different logits.
            MachineError: onnxsim crashed.
        """
        from edgekws.lowering import parity
        from edgekws.lowering.simplify import simplify

        working(job.emit, "simplifying")
        dev = job.data.examples("dev")
        path = job.workdir / "model.onnx"
        details = simplify(inputs["input"].path, path, dev.features[parity.golden(dev)])
        return Output(path, details)
