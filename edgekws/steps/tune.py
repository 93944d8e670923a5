"""The step `tune`: choose the form of the network that is fastest on the target."""

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from edgekws.core.contract import Artifact, Format
from edgekws.core.events import Event, progress
from edgekws.core.job import Job, Output
from edgekws.errors import Problem, RecipeError
from edgekws.quantizers.int8.isa import saturates_on
from edgekws.steps._fields import StepFields

if TYPE_CHECKING:
    from edgekws.core.latency_run import LatencyRun
    from edgekws.steps._forms import FormInputs
    from edgekws.steps._tuning import Candidate


class Step(StepFields):
    """Build the forms in which the network can be shipped, time them on the target, keep the best.

    The forms are INT8 and FP32, Conv2d over one row or Conv1d, weights quantized per channel or
    per tensor, U8 or S8 activations, mean or pooling, channels padded with zeros. They are timed
    interleaved in one run, and the fastest that may be shipped again against the input; unless one
    is faster beyond noise, the input stays. The report lists every form and why it was not
    shipped. The choice holds for this host and this target, and is repeated on another.
    """

    keeps: ClassVar[str] = "quantized"
    times_on_target: ClassVar[bool] = True

    kind: Literal["tune"] = "tune"
    fp32: str = Field(
        description="the earlier step with the checkpoint the model was built from, for the "
        "forms that are requantized and those in FP32"
    )
    max_drop: float = Field(
        0.0, ge=0, le=1, description="accuracy on dev that a form may lose to the input"
    )
    min_int8_coverage: float = Field(
        0.99, ge=0, le=1, description="share of MACs that must run as INT8; 0 allows FP32"
    )
    max_size_kib: float | None = Field(
        None, gt=0, le=1e9, description="largest size of a form; default: no limit"
    )
    max_params: int | None = Field(
        None,
        ge=1,
        le=10**12,
        description="most parameters of a form with channels padded with zeros to the vector "
        "width; default: no padding",
    )
    calibration_clips: int = Field(
        256,
        ge=1,
        le=100_000,
        description="training clips that set the ranges of the forms quantized again",
    )
    reduce_range: bool | None = Field(
        None,
        description="7-bit weights in the forms quantized again, for x86 CPUs without VNNI; "
        "default: chosen for the target",
    )

    @property
    def takes(self) -> Format:
        """An ONNX model."""
        return "onnx"

    @property
    def gives(self) -> Format:
        """An ONNX model."""
        return "onnx"

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The FP32 network."""
        return (self.fp32,)

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with `reduce_range` filled in."""
        if self.reduce_range is not None:
            return self
        return self.model_copy(update={"reduce_range": saturates_on(isa)})

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Build, evaluate, time, choose; `details` holds the table of `forms` and the choice.

        Raises:
            RecipeError: `fp32` is not the network from which the model was built.
            MissingPartError, MachineError: the target cannot measure.
        """
        from edgekws.steps import _forms, _tuning

        form_inputs = self._form_inputs(inputs, job)
        built = []
        for form in _forms.build(form_inputs):
            built.append(form)
            progress(job.emit, form.name, len(built), len(built) + 1)
        limits = _tuning.Limits(self.max_drop, self.min_int8_coverage, self.max_size_kib)
        folder = job.workdir / "forms"
        dev = job.data.examples("dev")
        rows = _tuning.evaluate(built, form_inputs.contract, dev, folder, limits)
        rows, run = _measured(rows, job)
        finals = [row for row in rows if row.name in run.models]
        chosen = _tuning.choose(finals, run)
        shipped = chosen or next(row for row in rows if row.name == _forms.INPUT)
        path = job.workdir / "model.onnx"
        shutil.copyfile(shipped.path, path)
        shutil.rmtree(folder)
        shortfalls = _shortfalls(shipped, run)
        for line in shortfalls:
            job.emit(Event("warning", line))
        if gain := _tuning.describe_int8_gain(shipped, finals):
            job.emit(Event("note", gain))
        return Output(
            path,
            {
                "chosen": shipped.name,
                **_compared(shipped, finals),
                "int8_buys": gain or _without_gain(shipped),
                "forms": _tuning.table(rows, built, shipped.name),
                "shortfalls": shortfalls,
                "control_ratio": run.control_ratio,
                "level": run.level,
                "reduce_range": bool(self.reduce_range),
                "host": run.fingerprint,
            },
        )

    def _form_inputs(self, inputs: Mapping[str, Artifact], job: Job) -> "FormInputs":
        from edgekws.lowering import checkpoint, onnx_file
        from edgekws.steps._forms import FormInputs

        model, contract = onnx_file.load(inputs["input"].path)
        network, network_contract = checkpoint.load(inputs[self.fp32].path)
        if network_contract != contract:
            message = (
                f'"{self.fp32}" is not the network the model was built from; name the step '
                "with the checkpoint that was quantized or exported"
            )
            raise RecipeError([Problem("", f"steps.{self.name or self.kind}.fp32", message)])
        indices = job.data.calibration(self.calibration_clips)
        clips = np.ascontiguousarray(job.data.examples("train").features[indices])
        if contract.representation == "3d":
            clips = clips[:, None]  # (N, 1, n_mels, T)
        narrow = bool(self.reduce_range)
        return FormInputs(model, network, contract, clips, narrow, self.max_params)


def _measured(rows: "list[Candidate]", job: Job) -> "tuple[list[Candidate], LatencyRun]":
    """Time all forms, then the best of them again; return the rows and the second run.

    In both runs the input is the control. The other forms keep their latency of the first run.
    """
    from edgekws.steps import _tuning
    from edgekws.steps._forms import INPUT

    assert job.measure is not None  # the engine gives it to a step that `times_on_target`
    progress(job.emit, "latency of all forms", 0, 2)
    first = job.measure({row.name: row.path for row in rows}, INPUT)
    rows = _tuning.timed(rows, first)
    progress(job.emit, "latency of the fastest forms", 1, 2)
    last = {row.name: row.path for row in _tuning.finalists(rows)}
    run: LatencyRun = job.measure(last, INPUT)
    return _tuning.timed(rows, run), run


def _without_gain(shipped: "Candidate") -> str:
    return "the target runs no FP32 network" if shipped.int8 else "FP32 is shipped"


def _shortfalls(shipped: "Candidate", run: "LatencyRun") -> list[str]:
    lines = []
    if shipped.refused:
        lines.append(f"no form may be shipped; the input is kept: {shipped.refused}")
    if not run.level:
        lines.append(
            "the machine was too busy to choose by latency (two timings of the input differ by a "
            f"factor of {run.control_ratio:.2f}); free it and run again with --force for this step"
        )
    return lines


def _compared(shipped: "Candidate", rows: "list[Candidate]") -> dict[str, Any]:
    """Compare the latency of the shipped form with the input and the fastest FP32 form."""
    from edgekws.steps._forms import INPUT
    from edgekws.steps._tuning import fastest_float

    p50 = {row.name: row.p50_us for row in rows}
    fastest = fastest_float(rows)
    ratios = dict[str, Any]()
    if INPUT in p50:
        ratios["of_input"] = shipped.p50_us / p50[INPUT]
    if fastest is not None:
        ratios |= {
            "fastest_fp32": fastest.name,
            "of_fastest_fp32": shipped.p50_us / fastest.p50_us,
        }
    return ratios
