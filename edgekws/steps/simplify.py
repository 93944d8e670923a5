"""The step `simplify`: the ONNX graph cleaned up by onnxsim."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from edgekws.core.contract import Artifact, Format
from edgekws.core.events import working
from edgekws.core.job import Job, Output
from edgekws.steps._fields import StepFields


class Step(StepFields):
    """Merge and drop nodes without changing what is computed; INT8 weights stay INT8."""

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
        """Simplify the model and prove it on the golden clips of dev.

        Raises:
            ParityError: the simplified model computes something else.
            MachineError: onnxsim crashed.
        """
        from edgekws.lowering import parity
        from edgekws.lowering.simplify import simplify

        working(job.emit, "simplifying")
        dev = job.data.examples("dev")
        path = job.workdir / "model.onnx"
        details = simplify(inputs["input"].path, path, dev.features[parity.golden(dev)])
        return Output(path, details)
