"""The networks of a recipe with random weights: their sizes, latencies and footprint."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.core.contract import BESIDE, Contract, Normalization
from edgekws.core.events import Emit, progress
from edgekws.core.latency_run import Files
from edgekws.core.measurement import Measurement
from edgekws.core.protocols import QUANTIZER, Backbone, Step, Target
from edgekws.core.scratch import scratch_folder
from edgekws.engine.exported import lowered_form
from edgekws.engine.measure import count, now
from edgekws.engine.whole import FRONT_END, as_whole, whole_counts
from edgekws.errors import UnsupportedError
from edgekws.recipe.model import Recipe

if TYPE_CHECKING:
    import onnx
    from torch import nn


@dataclass(frozen=True)
class PlanRow:
    """The figures of one step; those unknown before training are `None`."""

    name: str
    kind: str
    params: float
    macs: float
    size_kib: float
    latency_p50_us: float | None
    note: str


@dataclass(frozen=True)
class Weighed:
    """The figures of all steps, and those of the bundle.

    `measured_at` is when latencies were measured, `uncounted` why the footprint is unknown; empty
    if there is nothing to say.
    """

    rows: tuple[PlanRow, ...]
    bundle: tuple[Measurement, ...]
    measured_at: str = ""
    uncounted: str = ""


def weigh(
    recipe: Recipe, target: Target | None, cache: Path, emit: Emit, *, counted: bool
) -> Weighed:
    """Build every network with random weights, and measure it and the bundle.

    Latency is measured on `target`; if `counted`, flash, RAM and instructions are counted too.
    """
    from edgekws.lowering import onnx_file

    with scratch_folder("plan") as scratch:
        models: dict[str, Path] = {}
        counts: dict[str, tuple[Measurement, ...]] = {}
        notes: dict[str, str] = {}
        for step, form, contract, note in _forms(recipe, cache, emit):
            path = Path(scratch, f"{len(models)}.onnx")
            onnx_file.save(form, contract, path)
            models[step.name], notes[step.name] = path, note
            counts[step.name] = count(path, recipe.front_end.window_s)
        final = next(step.name for step in reversed(recipe.steps) if step.gives not in BESIDE)
        after = [models[step.name] for step in recipe.steps if step.gives == "stream"]
        bundle = Path(scratch, "bundle")
        _pack(bundle, recipe, models[final], contract, after[-1] if after else None)
        whole = whole_counts(bundle, counts[final], recipe.front_end.window_s)
        times: dict[str, float] = {}
        speed: tuple[Measurement, ...] = ()
        measured_at = ""
        if target is not None:
            progress(emit, "latency", 0, 1)
            times, speed = _speed(target, models, final, bundle / FRONT_END)
            measured_at = now()
        rows = tuple(
            _row(step, counts[step.name], times.get(step.name), notes[step.name])
            for step in recipe.steps
            if step.name in models
        )
        footprint, uncounted = _footprint(recipe.target, bundle, emit) if counted else ((), "")
        measurements = (*counts[final], *whole, *speed, *footprint)
        return Weighed(rows, measurements, measured_at, uncounted)


def _footprint(target: Target, bundle: Path, emit: Emit) -> tuple[tuple[Measurement, ...], str]:
    """Return flash, RAM and instructions of a bundle, or the reason for their absence."""
    progress(emit, "flash, RAM and instructions", 0, 1)
    try:
        return target.footprint(bundle).measurements(), ""
    except UnsupportedError as error:
        return (), f"flash, RAM and instructions cannot be counted: {error}"


def _pack(
    bundle: Path, recipe: Recipe, model: Path, contract: Contract, stream: Path | None
) -> None:
    """Pack the parts of the bundle known before training."""
    import numpy as np

    from edgekws.bundle import pack

    bundle.mkdir()
    no_clips = np.zeros((0, contract.front_end.window_samples), np.int16)
    origin = {
        "recipe": recipe.name,
        "recipe_sha256": "0" * 64,
        "steps": [step.name for step in recipe.steps],
        "calibration_clips": [],
    }
    pack.pack(bundle, model, contract, no_clips, origin, stream)


def _speed(
    target: Target, models: dict[str, Path], final: str, front_end: Path
) -> tuple[dict[str, float], tuple[Measurement, ...]]:
    """Return the median of every step in µs, and the latencies of the bundle; all interleaved."""
    parts: dict[str, Files] = {
        "front end": front_end,
        "from audio": (front_end, models[final]),
    }
    timed = target.measure({**models, **parts}, final)
    times = {name: timed.models[name].p50_us for name in models if name in timed.models}
    network = tuple(m for m in timed.measurements(final) if m.metric != "latency_ratio")
    whole = as_whole(*(timed.measurements(name) for name in parts))
    return times, (*network, *whole)


def _row(
    step: Step, measurements: tuple[Measurement, ...], p50_us: float | None, note: str
) -> PlanRow:
    value = {m.metric: m.value for m in measurements}
    return PlanRow(
        step.name, step.kind, value["params"], value["macs"], value["size_kib"], p50_us, note
    )


def _forms(
    recipe: Recipe, cache: Path, emit: Emit
) -> Iterator[tuple[Any, "onnx.ModelProto", Contract, str]]:
    """Yield each step with the ONNX form of its result, and a note on what is estimated."""
    from edgekws.lowering import stream

    network: nn.Module | None = None
    contract: Contract | None = None
    form: onnx.ModelProto | None = None
    for number, step in enumerate(recipe.steps):
        progress(emit, f"plan {step.name}", number, len(recipe.steps))
        if step.gives in ("detection", "audio_teacher"):
            continue
        note = ""
        if step.gives == "checkpoint":
            network, contract = _network(recipe, step, network, contract)
            form = lowered_form(network, contract, cache, emit)
        elif step.times_on_target:
            note = "as the step before gives it: the form is chosen by its latency, in the run"
        elif step.keeps == "quantized" and form is not None and contract is not None:
            form, note = _quantized(form, contract), "estimated with onnxruntime's quantizer"
        assert form is not None  # the chain begins with a step that trains a network
        assert contract is not None
        if step.gives == "stream":
            yield step, stream.streaming_form(form, contract), contract, "per hop"
            continue
        yield step, form, contract, note


def _network(
    recipe: Recipe, step: Step, before: "nn.Module | None", contract: "Contract | None"
) -> "tuple[nn.Module, Contract]":
    import torch

    from edgekws.lowering import checkpoint, to2d
    from edgekws.lowering.folding import folded

    torch.manual_seed(recipe.seed)
    backbone: Backbone | None = getattr(step, "backbone", None)
    if backbone is None:
        assert before is not None
        assert contract is not None
        return to2d.exact(before, contract) if step.kind == "to2d" else (before, contract)
    front_end, labels = recipe.front_end.front_end(), recipe.dataset.labels()
    shape: tuple[int, ...] = (front_end.n_mels, front_end.n_frames)
    if backbone.representation == "3d":
        shape = (1, *shape)
    # with as many digits as those of data: they are stored in every file
    statistics = Normalization((-1 / 3,) * front_end.n_mels, (4 / 3,) * front_end.n_mels)
    architecture = backbone.model_dump(mode="json")
    fresh = Contract(front_end, statistics, labels, shape, architecture)
    return folded(checkpoint.untrained(fresh), fresh)


def _quantized(form: "onnx.ModelProto", contract: Contract) -> "onnx.ModelProto":
    import numpy as np

    # Weights of 7 bits have the same size, and their sums are exact on any CPU, as proofs require.
    quantizer = QUANTIZER.validate_python({"kind": "onnxruntime", "reduce_range": True})
    noise = np.random.default_rng(0).standard_normal((8, *contract.input_shape))
    return quantizer.quantize(form, noise.astype(np.float32), quantizer.calibrations()[0])
