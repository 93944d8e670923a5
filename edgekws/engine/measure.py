"""Measurements: every model as ONNX, with the same counter, evaluator and latency harness."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import Artifact
from edgekws.core.environment import library_versions
from edgekws.core.events import Emit, working
from edgekws.core.latency_run import Files, LatencyRun, chain
from edgekws.core.measurement import Measurement
from edgekws.core.protocols import Target
from edgekws.core.source_code import closure
from edgekws.core.store import build_folder, is_intact
from edgekws.engine.chain import RunContext, network_modules

if TYPE_CHECKING:
    import onnx

_MEASUREMENTS = TypeAdapter(tuple[Measurement, ...])
_LATENCY = TypeAdapter(LatencyRun)


@dataclass(frozen=True)
class Measured:
    """A model in its ONNX form, with measurements independent of the machine's speed.

    `model` is the measured ONNX file, `dev_logits` a `.npy` of `(N, n_labels)`. A torch network
    also has `forms`: all FP32 forms built from it, by name. One that may become the control of
    latencies also has `naive`, its plain export, which is one of the forms.
    """

    model: Path
    naive: Path | None
    forms: Mapping[str, Path]
    dev_logits: Path
    measurements: tuple[Measurement, ...]
    parity: dict[str, Any]

    @property
    def sha256(self) -> str:
        """The hash of the ONNX file."""
        return sha256_file(self.model)


def measure(
    artifact: Artifact, keeps: str, parent: Measured | None, context: RunContext, *, plain: bool
) -> Measured:
    """Measure one artifact on the dev split, and prove it against the previous step.

    With `plain`, a torch network is also exported as it is, as a control of latencies.

    Raises:
        ParityError: a step that must not change what the network computes did change it.
    """
    key = {
        "artifact": artifact.sha256,
        "parent": parent.sha256 if parent else None,
        "keeps": keeps,
        "plain": plain,
        "data": context.source.key,
        "versions": library_versions(),
        "source": closure(["edgekws.engine.measure", *network_modules(artifact)]),
    }

    def build(folder: Path) -> None:
        _measure(artifact, keeps, parent, context, folder, plain=plain)

    folder = build_folder(context.cache / "measurements" / sha256_of(key), build, context.emit)
    record = json.loads((folder / "measured.json").read_text("utf-8"))
    naive = folder / "naive.onnx"
    return Measured(
        folder / "model.onnx",
        naive if naive.is_file() else None,
        {name: folder / file for name, file in record["forms"].items()},
        folder / "dev_logits.npy",
        _MEASUREMENTS.validate_python(record["measurements"]),
        record["parity"],
    )


@dataclass(frozen=True)
class Streamed:
    """The streaming form of a windowed model, measured per hop and proven against it."""

    model: Path
    measurements: tuple[Measurement, ...]
    parity: dict[str, Any]


def measure_stream(artifact: Artifact, windowed: Measured, context: RunContext) -> Streamed:
    """Measure a streaming graph, and prove it on golden clips against its windowed model.

    Raises:
        ParityError: a decision differs from that of the windowed network.
    """
    key = {
        "artifact": artifact.sha256,
        "windowed": windowed.sha256,
        "data": context.source.key,
        "versions": library_versions(),
        "source": closure(["edgekws.engine.measure"]),
    }

    def build(folder: Path) -> None:
        from edgekws.lowering import onnx_file, parity, stream_parity

        working(context.emit, "proving the streaming form")
        dev = context.source.features.examples("dev")
        golden = dev.features[parity.golden(dev)]
        model, contract = onnx_file.load(artifact.path)
        proof = stream_parity.check(windowed.model, model, golden)
        measurements = count(artifact.path, contract.front_end.window_s)
        record = {"measurements": [asdict(m) for m in measurements], "parity": proof}
        (folder / "measured.json").write_text(json.dumps(record), encoding="utf-8")

    folder = build_folder(context.cache / "measurements" / sha256_of(key), build, context.emit)
    record = json.loads((folder / "measured.json").read_text("utf-8"))
    measurements = _MEASUREMENTS.validate_python(record["measurements"])
    return Streamed(artifact.path, measurements, record["parity"])


def _measure(
    artifact: Artifact,
    keeps: str,
    parent: Measured | None,
    context: RunContext,
    folder: Path,
    *,
    plain: bool,
) -> None:
    from edgekws.lowering import parity
    from edgekws.metrics.accuracy import accuracy

    working(context.emit, "measuring on dev")
    dev = context.source.features.examples("dev")
    golden = parity.golden(dev)
    proofs, forms = _write_onnx(artifact, dev.features[golden], folder, plain=plain)
    if artifact.format == "audio_teacher":
        logits = _logits_from_audio(artifact, context)
    else:
        logits = parity.logits(folder / "model.onnx", dev.features)
    np.save(folder / "dev_logits.npy", logits)
    if parent:
        proofs |= _prove(keeps, logits, np.load(parent.dev_logits), golden)
    measurements = (
        *count(folder / "model.onnx", artifact.contract.front_end.window_s),
        *accuracy(logits, dev, artifact.contract.labels),
    )
    record = {"measurements": [asdict(m) for m in measurements], "parity": proofs, "forms": forms}
    (folder / "measured.json").write_text(json.dumps(record), encoding="utf-8")


def _write_onnx(
    artifact: Artifact, golden: NDArray[np.float32], folder: Path, *, plain: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write `model.onnx`, and for a checkpoint its other FP32 forms, with `plain` `naive.onnx`.

    Returns the differences of `model` and `naive` from torch, and the file of each form by name.
    All forms are proven.
    """
    from edgekws.lowering import checkpoint, export, forms, onnx_file, parity

    if artifact.format != "checkpoint":
        (folder / "model.onnx").write_bytes(artifact.path.read_bytes())
        return {}, {}
    network, contract = checkpoint.load(artifact.path)
    lowered, *others = forms.float_forms(export.export_lowered(network, contract)).items()
    naive = {"naive": (forms.PLAIN, export.export_naive(network, contract))} if plain else {}
    built = naive | {"model": lowered}
    built |= {f"fp32-{n}": form for n, form in enumerate(others)}
    expected = parity.torch_logits(network, golden, contract)
    proofs = {}
    for stem, (name, model) in built.items():
        path = folder / f"{stem}.onnx"
        onnx_file.save(model, contract, path)
        proofs[stem] = parity.check(expected, parity.logits(path, golden), what=f"the form {name}")
    differences = {f"{stem}_max_abs_diff": proofs[stem] for stem in ("model", *naive)}
    return differences, {name: f"{stem}.onnx" for stem, (name, _) in built.items()}


def _logits_from_audio(artifact: Artifact, context: RunContext) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of a teacher that takes audio, on the dev clips."""
    from edgekws.lowering import audio_graph

    embedding, layers = audio_graph.read(artifact.path)
    return audio_graph.logits(layers, context.source.audio.vectors(embedding, "dev"))


def _prove(
    keeps: str,
    logits: NDArray[np.float32],
    before: NDArray[np.float32],
    golden: NDArray[np.int64],
) -> dict[str, Any]:
    """Prove what the step must preserve."""
    from edgekws.lowering import parity, quantization_parity

    if keeps == "exact":
        return {"max_abs_diff": parity.check(before[golden], logits[golden], what="the step")}
    if keeps == "quantized":
        return quantization_parity.compare(before, logits)
    return {}


def count(model: Path, window_s: float) -> tuple[Measurement, ...]:
    """Return the counts of a graph: parameters, MACs per second, size, memory, INT8 coverage.

    An inference is one window of `window_s` seconds; for a streaming graph, one hop.
    """
    import onnx

    from edgekws.lowering import onnx_file
    from edgekws.metrics import graph, memory

    proto, seconds = _one_inference(onnx.load(str(model)), window_s)
    return (
        Measurement("params", graph.parameters(proto)),
        Measurement("macs", graph.macs(proto) / seconds, "/s"),
        Measurement("size_kib", onnx_file.size_kib(model), "KiB"),
        Measurement("peak_ram_kib", memory.peak_ram_kib(proto), "KiB"),
        Measurement("int8_coverage", graph.int8_coverage(proto)),
    )


def _one_inference(model: "onnx.ModelProto", window_s: float) -> "tuple[onnx.ModelProto, float]":
    """Return the graph of one inference, and the seconds of audio that it covers."""
    from edgekws.lowering import stream_state

    if stream_state.stream_of(model) is None:
        return model, window_s
    return stream_state.of_one_hop(model), stream_state.hop_s(model)


def latency(model: Path, control: Path, target: Target, cache: Path, emit: Emit) -> LatencyRun:
    """Return the latency of `model` on the target, interleaved with `naive`, the control."""
    return timed({"model": model, "naive": control}, "naive", target, cache, emit)


def alone(
    model: Path, target: Target, cache: Path, emit: Emit, *, fresh: bool = False
) -> LatencyRun:
    """Return the latency of `model` on the target, as its own control.

    `fresh` discards cached results.
    """
    return timed({"model": model}, "model", target, cache, emit, fresh=fresh)


def timed(
    models: Mapping[str, Files],
    control: str,
    target: Target,
    cache: Path,
    emit: Emit,
    *,
    fresh: bool = False,
) -> LatencyRun:
    """Return the latencies of models on the target, interleaved with the one named `control`.

    Several files form a chain, timed from the first input to the last output. Cached by host,
    except for a run without a level control, which is measured again next time. `fresh` discards
    cached results.
    """
    key = {
        "models": {n: [sha256_file(file) for file in chain(f)] for n, f in models.items()},
        "control": control,
        "target": target.model_dump(mode="json"),
        "host": target.fingerprint(),
        "source": closure([type(target).__module__, "edgekws.runtime.latency"]),
    }

    folder = cache / "latency" / sha256_of(key)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if is_intact(folder, emit):
        earlier = _LATENCY.validate_json((folder / "latency.json").read_bytes())
        return replace(earlier, cached=True)
    working(emit, "measuring latency")
    run: LatencyRun = replace(target.measure(models, control), measured_at=now())
    if run.level:
        build_folder(folder, lambda f: _write(f / "latency.json", _LATENCY.dump_json(run)), emit)
    return run


def now() -> str:
    """Return date and time to the minute, as shown with a latency."""
    return datetime.now().astimezone().isoformat(" ", "minutes")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
