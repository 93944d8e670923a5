"""Static INT8 quantization, with the calibration that costs the least accuracy."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.core.contract import Artifact, Format
from edgekws.core.events import Event, progress
from edgekws.core.family import load, member_of
from edgekws.core.job import Job, Output
from edgekws.steps._fields import StepFields

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Trial:
    """One calibration of one backend, measured on the dev split."""

    backend: str
    calibration: str
    accuracy: float
    drop: float
    coverage: float
    kept: bool = False


class Step(StepFields):
    """Quantize weights and activations to 8 bits, calibrated on training clips.

    The backend's calibrations are tried in turn until one costs no more than `max_drop` on the
    dev split at `min_coverage`; if none does, the one that costs least is kept and the shortfall
    stands in the report. Every backend in `compare` is tried as well, for the record only.
    """

    keeps: ClassVar[str] = "quantized"

    kind: Literal["quantize"] = "quantize"
    backend: member_of("Quantizer") = Field(  # type: ignore[valid-type]
        default_factory=lambda: load("Quantizer", "neural_compressor")(kind="neural_compressor"),
        description='what quantizes, e.g. { kind = "neural_compressor" }',
    )
    compare: tuple[member_of("Quantizer"), ...] = Field(  # type: ignore[valid-type]
        (), description="backends to show side by side; their models are not shipped"
    )
    max_drop: float = Field(
        0.005,
        ge=0,
        le=1,
        description="accuracy that may be lost before other calibrations are tried",
    )
    min_coverage: float = Field(0.99, ge=0, le=1, description="share of MACs that must run as INT8")
    calibration_clips: int = Field(
        256, ge=1, description="training clips that set the activation ranges"
    )

    @property
    def takes(self) -> Format:
        """What the backend takes."""
        takes: Format = self.backend.takes
        return takes

    @property
    def gives(self) -> Format:
        """Always ONNX."""
        return "onnx"

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """None but the step before."""
        return ()

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Quantize, judge on dev, keep the best; see the class."""
        from edgekws.lowering import onnx_file

        source = inputs["input"]
        train = job.data.examples("train")
        indices = job.data.calibration(self.calibration_clips)
        names = [train.names[i] for i in indices]
        bench = _Bench(source, np.ascontiguousarray(train.features[indices]), job)
        tried = list(self._until_good(bench))
        best = max(tried, key=lambda pair: (self._covers(pair[0]), pair[0].accuracy))
        trials = [replace(trial, kept=trial is best[0]) for trial, _ in tried]
        for backend in self.compare:
            trials += [trial for trial, _ in bench.trials(backend)]
        for shortfall in self._shortfalls(best[0]):
            job.emit(Event("warning", shortfall))
        onnx_file.save(best[1], source.contract, job.workdir / "model.onnx")
        details = {
            "calibrations": [asdict(trial) for trial in trials],
            "calibration_clips": names,
            "shortfalls": self._shortfalls(best[0]),
        }
        return Output(job.workdir / "model.onnx", details)

    def _covers(self, trial: Trial) -> bool:
        return trial.coverage >= self.min_coverage

    def _until_good(self, bench: "_Bench") -> Iterator[tuple[Trial, "onnx.ModelProto"]]:
        for trial, model in bench.trials(self.backend):
            yield trial, model
            if self._covers(trial) and trial.drop <= self.max_drop:
                return

    def _shortfalls(self, trial: Trial) -> list[str]:
        lines = []
        if trial.drop > self.max_drop:
            lines.append(
                f"every calibration of {trial.backend} costs more than max_drop = {self.max_drop}: "
                f"{trial.calibration} costs the least, {trial.drop:.4f}"
            )
        if not self._covers(trial):
            lines.append(
                f"{trial.coverage:.1%} of the MACs run as INT8, less than min_coverage = "
                f"{self.min_coverage:.1%}"
            )
        return lines


class _Bench:
    """Quantizes one FP32 model in several ways and measures each on the dev split."""

    def __init__(self, source: Artifact, clips: NDArray[np.float32], job: Job) -> None:
        from edgekws.lowering import checkpoint, export, onnx_file

        self._clips, self._dev, self._job = clips, job.data.examples("dev"), job
        if source.contract.representation == "3d":
            self._clips = clips[:, None]  # (N, 1, n_mels, T)
        self._network: Any = None
        if source.format == "checkpoint":
            self._network, contract = checkpoint.load(source.path)
            self._model = export.export_lowered(self._network, contract)
        else:
            self._model, _ = onnx_file.load(source.path)
        self._float_accuracy = self._accuracy(self._model)

    def _accuracy(self, model: "onnx.ModelProto") -> float:
        from edgekws.lowering.parity import logits

        best = logits(model, self._dev.features).argmax(axis=1)
        return float((best == self._dev.targets).mean())

    def trials(self, backend: Any) -> Iterator[tuple[Trial, "onnx.ModelProto"]]:
        """Yield each calibration of `backend`, measured, with its model."""
        from edgekws.metrics.graph import int8_coverage

        calibrations = backend.calibrations()
        source = self._network if backend.takes == "checkpoint" else self._model
        for done, calibration in enumerate(calibrations):
            task = f"{backend.kind}, {calibration} calibration"
            progress(self._job.emit, task, done, len(calibrations))
            model = backend.quantize(source, self._clips, calibration)
            accuracy = self._accuracy(model)
            drop = self._float_accuracy - accuracy
            yield Trial(backend.kind, calibration, accuracy, drop, int8_coverage(model)), model
