"""The bundle and its only evaluation on the test split: the deployed files are what is judged."""

import json
import time
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edgekws.bundle import pack, verify
from edgekws.bundle.card import model_card
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import Artifact
from edgekws.core.environment import library_versions
from edgekws.core.events import working
from edgekws.core.latency_run import LatencyRun
from edgekws.core.measurement import Measurement
from edgekws.core.source_code import closure
from edgekws.core.store import build_folder
from edgekws.engine.chain import RunContext
from edgekws.engine.footprint import counted_footprint
from edgekws.engine.measure import Measured, count, latency
from edgekws.engine.whole import time_whole, whole_counts, whole_latencies
from edgekws.errors import ParityError
from edgekws.recipe.model import Recipe
from edgekws.runtime import detect

_MEASUREMENTS = TypeAdapter(tuple[Measurement, ...])

UNTESTED = "not tested in continuous speech: every figure is of clips; add a step calibrate"

GOLDEN_CLIPS = 8

FRONT_END_TOLERANCE = 0.02
"""In normalised features. The ONNX form computes in float32: a quiet bin beside a loud vowel is
only accurate to about 1e-3."""

LABEL_AGREEMENT = 0.95
"""Share of test clips; a difference of 1e-3 in a feature may flip a borderline label."""


@dataclass(frozen=True, kw_only=True)
class Final:
    """The sealed bundle in the cache, and the results of its own runtime on the test split."""

    folder: Path
    sha256: str
    measurements: tuple[Measurement, ...]
    parity: dict[str, Any]
    details: dict[str, Any]
    latency: LatencyRun
    seconds: float
    cached: bool


def evaluate_bundle(
    artifact: Artifact,
    measured: Measured,
    origin: dict[str, Any],
    recipe: Recipe,
    context: RunContext,
    control: Path,
    stream: Path | None = None,
    detection: Path | None = None,
) -> Final:
    """Pack the final model, prove its runtime, and evaluate it once on the test split.

    Latency is measured against `control`; `stream` is the streaming form of the model, packed with
    it, as are the settings in `detection`, chosen on the dev streams. If the recipe is judged in
    continuous speech, the bundle is also evaluated on the test streams.

    Raises:
        ParityError: the bundle's runtime does not reproduce its own model's logits.
    """
    key = {
        "model": measured.sha256,
        "contract": json.loads(artifact.contract.to_json()),
        "stream": sha256_file(stream) if stream else None,
        "detection": sha256_file(detection) if detection else None,
        "listens": recipe.listens,
        "origin": origin,
        "data": context.source.key,
        "versions": library_versions(),
        "source": closure(["edgekws.engine.final", "edgekws.runtime.score_windows"]),
    }
    cached = True

    def build(folder: Path) -> None:
        nonlocal cached
        cached = False
        _build(artifact, measured, origin, context, stream, folder, detection, recipe.listens)

    folder = build_folder(context.cache / "bundles" / sha256_of(key), build, context.emit)
    record = json.loads((folder / "final.json").read_text("utf-8"))
    timed = latency(
        folder / "bundle" / "model.onnx", control, recipe.target, context.cache, context.emit
    )
    whole = time_whole(folder / "bundle", recipe.target, context.cache, context.emit)
    measurements = (
        *_MEASUREMENTS.validate_python(record["measurements"]),
        *timed.measurements("model"),
        *whole_latencies(whole),
        *counted_footprint(folder / "bundle", recipe.target, context.cache, context.emit),
    )
    details = record["details"] | {"latency": timed.to_dict("model")}
    return Final(
        folder=folder / "bundle",
        sha256=record["sha256"],
        measurements=measurements,
        parity=record["parity"],
        details=details,
        latency=timed,
        seconds=record["seconds"],
        cached=cached,
    )


def _build(
    artifact: Artifact,
    measured: Measured,
    origin: dict[str, Any],
    context: RunContext,
    stream: Path | None,
    folder: Path,
    detection: Path | None = None,
    listens: bool = False,
) -> None:
    from edgekws.lowering import parity
    from edgekws.metrics import accuracy
    from edgekws.metrics.class_counts import with_counts

    started = time.monotonic()
    working(context.emit, "scoring the test split by the bundle's own runtime")
    data, bundle = context.source.features, folder / "bundle"
    bundle.mkdir()
    dev, test = data.examples("dev"), data.examples("test")
    golden = data.waveforms("dev")[parity.golden(dev, GOLDEN_CLIPS)]
    settings = json.loads(detection.read_text("utf-8")) if detection else None
    sha256 = pack.pack(bundle, measured.model, artifact.contract, golden, origin, stream, settings)
    logits, proofs = _score_test(bundle, context)
    labels, window_s = artifact.contract.labels, artifact.contract.front_end.window_s
    network = count(bundle / "model.onnx", window_s)
    event_metrics, continuous = _continuous_results(bundle, context) if listens else ((), {})
    measurements = (
        *network,
        *accuracy.accuracy(logits, test, labels),
        *event_metrics,
        *whole_counts(bundle, network, window_s),
    )
    matrix = accuracy.confusion(logits, test, labels)
    classes = with_counts(accuracy.per_class(logits, test, labels), matrix)
    listing = context.source.listing
    card = model_card(
        artifact.contract,
        origin,
        measurements,
        classes,
        sha256,
        (*listing.test_caveats, *listing.caveats),
        continuous.get("speech", [UNTESTED]),
        kind_of_test=listing.kind_of_test,
    )
    pack.seal(bundle, card)
    proofs["golden_max_abs_diff"] = verify.verify(bundle).max_abs_diff
    record = {
        "sha256": sha256,
        "measurements": [asdict(m) for m in measurements],
        "parity": proofs,
        "details": {
            "per_class": classes,
            "confusion": matrix,
            **continuous,
        },
        "seconds": time.monotonic() - started,
    }
    (folder / "final.json").write_text(json.dumps(record), encoding="utf-8")


def _score_test(bundle: Path, context: RunContext) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Return the bundle's logits on the test clips, and the proofs of its parity.

    A clip that has a past in its recording is scored as the end of a stream.
    """
    from edgekws.audio.decoding import to_float32
    from edgekws.audio.features import normalised
    from edgekws.audio.front_ends import features
    from edgekws.audio.rendering import streams

    data, corpus = context.source.features, context.source.corpus
    windows, of_training = data.waveforms("test"), data.examples("test").features
    logits = verify.score(bundle, windows)
    with_past = streams(corpus, "test", data.front_end)
    if not with_past:
        return logits, _prove_runtime(bundle, logits, windows, of_training)
    mean, std = map(np.array, astuple(data.normalization))
    lone = normalised(features(to_float32(windows), data.front_end), mean, std)
    proofs = _prove_runtime(bundle, logits, windows, lone)
    logits[list(with_past)] = verify.score(bundle, np.stack(list(with_past.values())))
    proofs["label_agreement"] = _label_agreement(bundle, logits, of_training)
    return logits, proofs


def _continuous_results(
    bundle: Path, context: RunContext
) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
    """Return the bundle's results on the test streams, and their details."""
    from edgekws.engine.listening import judge

    return judge(bundle, bundle / "detect.py", "test", context.source, context.cache, context.emit)


def _prove_runtime(
    bundle: Path,
    logits: NDArray[np.float32],
    windows: NDArray[np.int16],
    features: NDArray[np.float32],
) -> dict[str, float]:
    """Prove the bundle's parity.

    Its runtime must reproduce the logits `(N, n_labels)` of its two ONNX files; its front end must
    reproduce the `features` `(N, n_mels, T)` of training; and the labels must agree with those
    that the steps were measured by.

    Raises:
        ParityError: one of the three does not hold.
    """
    from edgekws.lowering import parity

    from_audio = front_end_features(bundle / "frontend.onnx", windows)
    model = bundle / "model.onnx"
    proofs = {
        "runtime_max_abs_diff": parity.check(
            parity.logits(model, from_audio), logits, what="the bundle's runtime"
        ),
        "front_end_max_abs_diff": float(np.abs(from_audio - features).max()),
        "label_agreement": _label_agreement(bundle, logits, features),
    }
    if not proofs["front_end_max_abs_diff"] <= FRONT_END_TOLERANCE:
        raise ParityError(
            f"frontend.onnx differs from the front end of training by up to "
            f"{proofs['front_end_max_abs_diff']:.3g} standard deviations, at most "
            f"{FRONT_END_TOLERANCE:g} is allowed; this is a fault of edgekws, please report it"
        )
    return proofs


def _label_agreement(
    bundle: Path, logits: NDArray[np.float32], features: NDArray[np.float32]
) -> float:
    from edgekws.lowering import parity

    expected = parity.logits(bundle / "model.onnx", features)
    agreement = float((logits.argmax(axis=1) == expected.argmax(axis=1)).mean())
    if not agreement >= LABEL_AGREEMENT:
        raise ParityError(
            f"the bundle gives only {agreement:.1%} of the test clips the label that its network "
            "gives them in training's features; please report it"
        )
    return agreement


def front_end_features(model: Path, windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the features `(N, n_mels, T)` of a bundle's front end, window by window."""
    session = detect.session(model, threads=1)
    waves = (window[None].astype(np.float32) / 32768 for window in windows)
    return np.concatenate([session.run(None, {"waveform": wave})[0] for wave in waves])
