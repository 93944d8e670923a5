"""Static INT8 quantization, with the calibration that costs the least accuracy."""

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
"""So many of the calibration clips are looked through for sums that saturate."""


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

    With `sensitivity` each layer is quantized alone, and left out alone, and the layers are put
    back to FP32 one after the other, the most sensitive first; `keep_float = "auto"` ships the
    point on that way that costs no more than `max_drop` at the highest coverage.
    """

    keeps: ClassVar[str] = "quantized"

    kind: Literal["quantize"] = "quantize"
    backend: AnyQuantizer = Field(
        default_factory=lambda: QUANTIZER.validate_python({"kind": "neural_compressor"}),
        description='what quantizes, e.g. { kind = "neural_compressor" }',
    )
    compare: tuple[AnyQuantizer, ...] = Field(
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
        256, ge=1, le=100_000, description="training clips that set the activation ranges"
    )
    sensitivity: bool = Field(
        False, description="measure what each layer costs, and what it buys to leave it in FP32"
    )
    keep_float: Literal["auto", "none"] = Field(
        "none",
        description="auto leaves the layers in FP32 that max_drop asks for and min_coverage allows",
    )
    saturates: bool | None = Field(
        None,
        description="whether the CPU adds U8 × S8 products in 16 bits, as x86 without VNNI does; "
        "the target tells where omitted, and backends without reduce_range follow it",
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

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with `saturates`, and each backend's `reduce_range`, decided."""
        saturates = saturates_on(isa) if self.saturates is None else self.saturates
        changes = {
            "saturates": saturates,
            "backend": _with_range(self.backend, saturates),
            "compare": tuple(_with_range(backend, saturates) for backend in self.compare),
        }
        return self.model_copy(update=changes)

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Quantize, judge on dev, keep the best; see the class."""
        from edgekws.lowering import onnx_file

        source = inputs["input"]
        train = job.data.examples("train")
        indices = job.data.calibration(self.calibration_clips)
        bench = _Bench(source, np.ascontiguousarray(train.features[indices]), job)
        tried = list(self._until_good(bench))
        best, network = max(tried, key=lambda pair: (self._covers(pair[0]), pair[0].accuracy))
        trials = [replace(trial, kept=trial is best) for trial, _ in tried]
        for backend in self.compare:
            trials += [trial for trial, _ in bench.trials(backend)]
        told, kept = self._look_inside(network, bench)
        shipped = network.model(kept.layers if kept else ())
        shortfalls = self._shortfalls(best, kept)
        saturation = bench.saturation(network, shipped)
        for line in [*shortfalls, *self._warnings(saturation)]:
            job.emit(Event("warning", line))
        onnx_file.save(shipped, source.contract, job.workdir / "model.onnx")
        details = {
            "calibrations": [asdict(trial) for trial in trials],
            **told,
            "reduce_range": bool(getattr(self.backend, "reduce_range", False)),
            "saturation": saturation,
            "calibration_clips": [train.names[i] for i in indices],
            "shortfalls": shortfalls,
        }
        kinds: Kinds = {"frontier": "frontier"} if "frontier" in details else {}
        return Output(job.workdir / "model.onnx", details, kinds)

    def _look_inside(
        self, network: "QuantizedNetwork", bench: "_Bench"
    ) -> "tuple[dict[str, Any], Point | None]":
        """Return the sensitivities and the frontier for the report, and the point to ship."""
        if not self.sensitivity and self.keep_float == "none":
            return {}, None
        from edgekws.steps import _sensitivity

        found = _sensitivity.sensitivities(network, bench.judge, bench.progress("sensitivity"))
        order = _sensitivity.order(found, self.min_coverage)
        points = _sensitivity.frontier(
            network, order, bench.judge, bench.size_kib, bench.progress("layers in FP32")
        )
        kept = points[0]
        if self.keep_float == "auto":
            kept = _sensitivity.choose(points, self.max_drop, self.min_coverage)
        told = {
            "sensitivity": [asdict(row) for row in found],
            "frontier": _sensitivity.rows(points, kept),
        }
        return told, kept

    def _covers(self, trial: Trial) -> bool:
        return trial.coverage >= self.min_coverage

    def _until_good(self, bench: "_Bench") -> "Iterator[tuple[Trial, QuantizedNetwork]]":
        for trial, network in bench.trials(self.backend):
            yield trial, network
            if self._covers(trial) and trial.drop <= self.max_drop:
                return

    def _shortfalls(self, trial: Trial, kept: "Point | None") -> list[str]:
        shipped = kept or trial
        lines = []
        if shipped.drop > self.max_drop and self.keep_float == "auto":
            lines.append(
                f"no set of layers in FP32 that min_coverage = {self.min_coverage:.1%} has room "
                f"for brings the drop to max_drop = {self.max_drop}: {shipped.drop:.4f} is left"
            )
        elif shipped.drop > self.max_drop:
            lines.append(
                f"every calibration of {trial.backend} costs more than max_drop = {self.max_drop}: "
                f"{trial.calibration} costs the least, {trial.drop:.4f}"
            )
        if shipped.coverage < self.min_coverage:
            lines.append(
                f"{shipped.coverage:.1%} of the MACs run as INT8, less than min_coverage = "
                f"{self.min_coverage:.1%}"
            )
        return lines

    def _warnings(self, saturation: list[dict[str, Any]]) -> list[str]:
        found = [row for row in saturation if row["shipped"]]
        if not self.saturates or not found:
            return []
        worst = max(found, key=lambda row: float(row["shipped"] / row["pairs"]))
        return [
            f"the target has no VNNI: {sum(row['shipped'] for row in found)} sums of the "
            f"calibration clips saturate, most of them for their number in {worst['layer']}; "
            "set reduce_range = true"
        ]


def _with_range(backend: Quantizer, saturates: bool) -> Any:
    """Return the backend with `reduce_range` decided, where it has one that is not."""
    if getattr(backend, "reduce_range", False) is not None:
        return backend
    return backend.model_copy(update={"reduce_range": saturates})


class _Bench:
    """Quantizes one FP32 model in several ways and measures each on the dev split."""

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
        """Return what tells how far a task is."""
        return lambda done, total: progress(self._job.emit, task, done, total)

    def size_kib(self, model: "onnx.ModelProto") -> float:
        """Return the size of the file that the model would be shipped in."""
        from edgekws.lowering import onnx_file

        path = self._job.workdir / "weighed.onnx"
        onnx_file.save(model, self._contract, path)
        size = path.stat().st_size / 1024
        path.unlink()
        return size

    def trials(self, backend: Quantizer) -> "Iterator[tuple[Trial, QuantizedNetwork]]":
        """Yield each calibration of `backend`, measured, with its network."""
        from edgekws.metrics.graph import int8_coverage

        calibrations = backend.calibrations()
        source = self._network if backend.takes == "checkpoint" else self._model
        for done, calibration in enumerate(calibrations):
            self.progress(f"{backend.kind}, {calibration} calibration")(done, len(calibrations))
            network = backend.quantized(source, self._clips, calibration)
            model = network.model()
            accuracy = self.judge.scores(model).accuracy
            drop = self.judge.float_accuracy - accuracy
            yield Trial(backend.kind, calibration, accuracy, drop, int8_coverage(model)), network

    def saturation(
        self, network: "QuantizedNetwork", shipped: "onnx.ModelProto"
    ) -> list[dict[str, Any]]:
        """Count the pairs that would saturate without VNNI, as shipped and in either width."""
        from edgekws.quantizers.int8.saturation import count_saturation, in_bits

        working(self._job.emit, "counting saturated sums")
        widths = {
            name: {layer: in_bits(floats.weight, bits) for layer, floats in network.floats.items()}
            for name, bits in (("in_8_bits", 8), ("in_7_bits", 7))
        }
        return count_saturation(shipped, self._clips[:SATURATION_CLIPS], widths)
