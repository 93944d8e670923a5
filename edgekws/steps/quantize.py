"""The step `quantize`: static INT8, with the calibration that loses the least accuracy."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.core.contract import Artifact, Format
from edgekws.core.details import Kinds
from edgekws.core.events import Event, progress, working
from edgekws.core.job import Job, Output
from edgekws.core.protocols import QUANTIZER, AnyQuantizer, Quantizer
from edgekws.quantizers.int8.isa import saturates_on
from edgekws.steps._fields import StepFields

if TYPE_CHECKING:
    import onnx

    from edgekws.quantizers.int8.mixed import QuantizedNetwork
    from edgekws.steps._sensitivity import Point

SATURATION_CLIPS = 32
"""The number of calibration clips that are searched for sums that saturate."""


@dataclass(frozen=True)
class CalibrationResult:
    """One calibration of one backend, evaluated on the dev split."""

    backend: str
    calibration: str
    accuracy: float
    drop: float
    coverage: float
    kept: bool = False


class Step(StepFields):
    """Quantize weights and activations to 8 bits, calibrated on training clips.

    The backend's calibrations are tried in turn until one loses no more than `max_drop` on the
    dev split at `min_coverage`; if none does, the best one is kept and the report lists the
    shortfall. Every backend in `compare` is also tried, for comparison only.

    With `sensitivity`, each layer is quantized alone and skipped alone, and the layers are returned
    to FP32 one by one, the most sensitive first; `keep_float = "auto"` ships the point with the
    highest coverage that loses no more than `max_drop`.
    """

    keeps: ClassVar[str] = "quantized"

    kind: Literal["quantize"] = "quantize"
    backend: AnyQuantizer = Field(
        default_factory=lambda: QUANTIZER.validate_python({"kind": "neural_compressor"}),
        description='the quantizer, e.g. { kind = "neural_compressor" }',
    )
    compare: tuple[AnyQuantizer, ...] = Field(
        (), description="backends to compare with; their models are not shipped"
    )
    max_drop: float = Field(
        0.005,
        ge=0,
        le=1,
        description="accuracy that may be lost before the next calibration is tried",
    )
    min_coverage: float = Field(0.99, ge=0, le=1, description="share of MACs that must run as INT8")
    calibration_clips: int = Field(
        256, ge=1, le=100_000, description="training clips that set the activation ranges"
    )
    sensitivity: bool = Field(
        False, description="measure the accuracy lost in each layer, and the gain of FP32 there"
    )
    keep_float: Literal["auto", "none"] = Field(
        "none",
        description="auto keeps layers in FP32 to meet max_drop, as far as min_coverage allows",
    )
    saturates: bool | None = Field(
        None,
        description="whether the CPU adds U8 × S8 products in 16 bits, as x86 without VNNI does; "
        "default: as on the target, or here; sets reduce_range where a backend leaves it out",
    )

    @property
    def takes(self) -> Format:
        """The backend's input format."""
        takes: Format = self.backend.takes
        return takes

    @property
    def gives(self) -> Format:
        """Always ONNX."""
        return "onnx"

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with `saturates`, and each backend's `reduce_range`, filled in."""
        saturates = saturates_on(isa) if self.saturates is None else self.saturates
        changes = {
            "saturates": saturates,
            "backend": _with_range(self.backend, saturates),
            "compare": tuple(_with_range(backend, saturates) for backend in self.compare),
        }
        return self.model_copy(update=changes)

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Quantize, evaluate on dev, keep the best; see the class."""
        from edgekws.lowering import onnx_file

        source = inputs["input"]
        train = job.data.examples("train")
        indices = job.data.calibration(self.calibration_clips)
        bench = _CalibrationBench(source, np.ascontiguousarray(train.features[indices]), job)
        tried = list(self._until_good(bench))
        best, network = max(tried, key=lambda pair: (self._covers(pair[0]), pair[0].accuracy))
        trials = [replace(trial, kept=trial is best) for trial, _ in tried]
        for backend in self.compare:
            trials += [trial for trial, _ in bench.trials(backend)]
        analysis, kept = self._analyse_layers(network, bench)
        shipped = network.model(kept.layers if kept else ())
        shortfalls = self._shortfalls(best, kept)
        saturation = bench.saturation(network, shipped)
        for line in [*shortfalls, *self._warnings(saturation)]:
            job.emit(Event("warning", line))
        onnx_file.save(shipped, source.contract, job.workdir / "model.onnx")
        details = {
            "calibrations": [asdict(trial) for trial in trials],
            **analysis,
            "reduce_range": bool(getattr(self.backend, "reduce_range", False)),
            "saturation": saturation,
            "calibration_clips": [train.names[i] for i in indices],
            "shortfalls": shortfalls,
        }
        kinds: Kinds = {"frontier": "frontier"} if "frontier" in details else {}
        return Output(job.workdir / "model.onnx", details, kinds)

    def _analyse_layers(
        self, network: "QuantizedNetwork", bench: "_CalibrationBench"
    ) -> "tuple[dict[str, Any], Point | None]":
        """Return the sensitivities and the frontier for the report, and the point to ship."""
        if not self.sensitivity and self.keep_float == "none":
            return {}, None
        from edgekws.steps import _sensitivity

        rows = _sensitivity.sensitivities(network, bench.judge, bench.progress("sensitivity"))
        order = _sensitivity.order(rows, self.min_coverage)
        points = _sensitivity.frontier(
            network, order, bench.judge, bench.size_kib, bench.progress("layers in FP32")
        )
        kept = points[0]
        if self.keep_float == "auto":
            kept = _sensitivity.choose(points, self.max_drop, self.min_coverage)
        analysis = {
            "sensitivity": [asdict(row) for row in rows],
            "frontier": _sensitivity.rows(points, kept),
        }
        return analysis, kept

    def _covers(self, trial: CalibrationResult) -> bool:
        return trial.coverage >= self.min_coverage

    def _until_good(
        self, bench: "_CalibrationBench"
    ) -> "Iterator[tuple[CalibrationResult, QuantizedNetwork]]":
        for trial, network in bench.trials(self.backend):
            yield trial, network
            if self._covers(trial) and trial.drop <= self.max_drop:
                return

    def _shortfalls(self, trial: CalibrationResult, kept: "Point | None") -> list[str]:
        shipped = kept or trial
        lines = []
        if shipped.drop > self.max_drop and self.keep_float == "auto":
            lines.append(
                f"no set of FP32 layers within min_coverage = {self.min_coverage:.1%} reduces "
                f"the drop to max_drop = {self.max_drop}: {shipped.drop:.4f} remains"
            )
        elif shipped.drop > self.max_drop:
            lines.append(
                f"every calibration of {trial.backend} loses more than max_drop = {self.max_drop}: "
                f"{trial.calibration} loses the least, {trial.drop:.4f}"
            )
        if shipped.coverage < self.min_coverage:
            lines.append(
                f"{shipped.coverage:.1%} of the MACs run as INT8, less than min_coverage = "
                f"{self.min_coverage:.1%}"
            )
        return lines

    def _warnings(self, saturation: list[dict[str, Any]]) -> list[str]:
        saturating = [row for row in saturation if row["shipped"]]
        if not self.saturates or not saturating:
            return []
        worst = max(saturating, key=lambda row: float(row["shipped"] / row["pairs"]))
        return [
            f"the target has no VNNI: {sum(row['shipped'] for row in saturating)} sums of the "
            f"calibration clips saturate, the highest share in {worst['layer']}; "
            "set reduce_range = true"
        ]


def _with_range(backend: Quantizer, saturates: bool) -> Any:
    """Return the backend with `reduce_range` filled in if it was left open."""
    if getattr(backend, "reduce_range", False) is not None:
        return backend
    return backend.model_copy(update={"reduce_range": saturates})


class _CalibrationBench:
    """Quantizes one FP32 model with several calibrations and evaluates each on the dev split."""

    def __init__(self, source: Artifact, clips: NDArray[np.float32], job: Job) -> None:
        from edgekws.lowering import checkpoint, export, onnx_file, parity
        from edgekws.steps._sensitivity import Judge

        self._clips, self._contract, self._job = clips, source.contract, job
        if source.contract.representation == "3d":
            self._clips = clips[:, None]  # (N, 1, n_mels, T)
        self._network: Any = None
        if source.format == "checkpoint":
            self._network, contract = checkpoint.load(source.path)
            self._model = export.export_lowered(self._network, contract)
        else:
            self._model, _ = onnx_file.load(source.path)
        dev = job.data.examples("dev")
        self.judge = Judge(
            lambda model: parity.logits(model, dev.features), self._model, dev.targets
        )

    def progress(self, task: str) -> Callable[[int, int], None]:
        """Return a function that reports the progress of a task."""
        return lambda done, total: progress(self._job.emit, task, done, total)

    def size_kib(self, model: "onnx.ModelProto") -> float:
        """Return the size of the model's ONNX file."""
        from edgekws.lowering import onnx_file

        path = self._job.workdir / "sized.onnx"
        onnx_file.save(model, self._contract, path)
        size = path.stat().st_size / 1024
        path.unlink()
        return size

    def trials(self, backend: Quantizer) -> "Iterator[tuple[CalibrationResult, QuantizedNetwork]]":
        """Yield each calibration of `backend` with its result and network."""
        from edgekws.metrics.graph import int8_coverage

        calibrations = backend.calibrations()
        source = self._network if backend.takes == "checkpoint" else self._model
        for done, calibration in enumerate(calibrations):
            self.progress(f"{backend.kind}, {calibration} calibration")(done, len(calibrations))
            network = backend.quantized(source, self._clips, calibration)
            model = network.model()
            accuracy = self.judge.scores(model).accuracy
            drop = self.judge.float_accuracy - accuracy
            yield (
                CalibrationResult(backend.kind, calibration, accuracy, drop, int8_coverage(model)),
                network,
            )

    def saturation(
        self, network: "QuantizedNetwork", shipped: "onnx.ModelProto"
    ) -> list[dict[str, Any]]:
        """Count the pairs that saturate without VNNI, as shipped and with 8- and 7-bit weights."""
        from edgekws.quantizers.int8.saturation import count_saturation, in_bits

        working(self._job.emit, "counting saturated sums")
        widths = {
            name: {layer: in_bits(floats.weight, bits) for layer, floats in network.floats.items()}
            for name, bits in (("in_8_bits", 8), ("in_7_bits", 7))
        }
        return count_saturation(shipped, self._clips[:SATURATION_CLIPS], widths)
