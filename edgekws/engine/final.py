"""The bundle, and the one evaluation on the test split: what is judged is what is deployed."""

import json
import time
from dataclasses import asdict, dataclass
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
from edgekws.engine.chain import Bench
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
known to about 1e-3 only."""

LABEL_AGREEMENT = 0.95
"""Share of test clips; a difference of 1e-3 in a feature may turn a label that was on the edge."""


@dataclass(frozen=True, kw_only=True)
class Final:
    """The sealed bundle in the cache, and what its own runtime reached on the test split."""

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
    bench: Bench,
    control: Path,
    stream: Path | None = None,
    detection: Path | None = None,
) -> Final:
    """Pack the final model, prove its runtime, and evaluate it once on the test split.

    `control` is what its latency is measured against; `stream` is the streaming form of the model,
    which is packed beside it, as are the settings in `detection`, chosen on the dev streams. A
    recipe that is judged in continuous speech has the bundle listen to the test streams as well.

    Raises:
        ParityError: the bundle's runtime does not give its own model's logits.
    """
    key = {
        "model": measured.sha256,
        "contract": asdict(artifact.contract),
        "stream": sha256_file(stream) if stream else None,
        "detection": sha256_file(detection) if detection else None,
        "listens": recipe.listens,
        "origin": origin,
        "data": bench.source.key,
        "versions": library_versions(),
        "source": closure(["edgekws.engine.final", "edgekws.runtime.score_windows"]),
    }
    cached = True

    def build(folder: Path) -> None:
        nonlocal cached
        cached = False
        _build(artifact, measured, origin, bench, stream, folder, detection, recipe.listens)

    folder = build_folder(bench.cache / "bundles" / sha256_of(key), build, bench.emit)
    told = json.loads((folder / "final.json").read_text("utf-8"))
    timed = latency(
        folder / "bundle" / "model.onnx", control, recipe.target, bench.cache, bench.emit
    )
    whole = time_whole(folder / "bundle", recipe.target, bench.cache, bench.emit)
    found = (
        *_MEASUREMENTS.validate_python(told["measurements"]),
        *timed.measurements("model"),
        *whole_latencies(whole),
    )
    details = told["details"] | {"latency": timed.to_dict("model")}
    return Final(
        folder=folder / "bundle",
        sha256=told["sha256"],
        measurements=found,
        parity=told["parity"],
        details=details,
        latency=timed,
        seconds=told["seconds"],
        cached=cached,
    )


def _build(
    artifact: Artifact,
    measured: Measured,
    origin: dict[str, Any],
    bench: Bench,
    stream: Path | None,
    folder: Path,
    detection: Path | None = None,
    listens: bool = False,
) -> None:
    from edgekws.lowering import parity
    from edgekws.metrics import accuracy
    from edgekws.metrics.class_counts import with_counts

    started = time.monotonic()
    working(bench.emit, "scoring the test split by the bundle's own runtime")
    data, bundle = bench.source.features, folder / "bundle"
    bundle.mkdir()
    dev, test = data.examples("dev"), data.examples("test")
    golden = data.waveforms("dev")[parity.golden(dev, GOLDEN_CLIPS)]
    settings = json.loads(detection.read_text("utf-8")) if detection else None
    sha256 = pack.pack(bundle, measured.model, artifact.contract, golden, origin, stream, settings)
    logits = verify.score(bundle, data.waveforms("test"))
    proofs = _prove_runtime(bundle, logits, data.waveforms("test"), test.features)
    labels, window_s = artifact.contract.labels, artifact.contract.front_end.window_s
    network = count(bundle / "model.onnx", window_s)
    heard, continuous = _listened(bundle, bench) if listens else ((), {})
    found = (
        *network,
        *accuracy.accuracy(logits, test, labels),
        *heard,
        *whole_counts(bundle, network, window_s),
    )
    matrix = accuracy.confusion(logits, test, labels)
    classes = with_counts(accuracy.per_class(logits, test, labels), matrix)
    said = bench.source.listing.caveats
    speech = continuous.get("speech", [UNTESTED])
    card = model_card(artifact.contract, origin, found, classes, sha256, said, speech)
    pack.seal(bundle, card)
    proofs["golden_max_abs_diff"] = verify.verify(bundle).max_abs_diff
    told = {
        "sha256": sha256,
        "measurements": [asdict(m) for m in found],
        "parity": proofs,
        "details": {
            "per_class": classes,
            "confusion": matrix,
            **continuous,
        },
        "seconds": time.monotonic() - started,
    }
    (folder / "final.json").write_text(json.dumps(told), encoding="utf-8")


def _listened(bundle: Path, bench: Bench) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
    """Return how the bundle does on the test streams, and the details of it."""
    from edgekws.engine.listening import judge

    return judge(bundle, bundle / "detect.py", "test", bench.source, bench.cache, bench.emit)


def _prove_runtime(
    bundle: Path,
    logits: NDArray[np.float32],
    windows: NDArray[np.int16],
    features: NDArray[np.float32],
) -> dict[str, float]:
    """Climb the bundle's rung of the parity ladder.

    Its runtime gives the logits `(N, n_labels)` of its own two ONNX files; its front end gives the
    `features` `(N, n_mels, T)` of training; and so the labels are those that the steps were
    measured by.

    Raises:
        ParityError: one of the three does not hold.
    """
    from edgekws.lowering import parity

    own = front_end_features(bundle / "frontend.onnx", windows)
    model = bundle / "model.onnx"
    proofs = {
        "runtime_max_abs_diff": parity.check(
            parity.logits(model, own), logits, what="the bundle's runtime"
        ),
        "front_end_max_abs_diff": float(np.abs(own - features).max()),
        "label_agreement": float(
            (logits.argmax(axis=1) == parity.logits(model, features).argmax(axis=1)).mean()
        ),
    }
    if not proofs["front_end_max_abs_diff"] <= FRONT_END_TOLERANCE:
        raise ParityError(
            f"frontend.onnx differs from the front end of training by up to "
            f"{proofs['front_end_max_abs_diff']:.3g} standard deviations, at most "
            f"{FRONT_END_TOLERANCE:g} is allowed; this is a fault of edgekws, please report it"
        )
    if not proofs["label_agreement"] >= LABEL_AGREEMENT:
        raise ParityError(
            f"the bundle gives only {proofs['label_agreement']:.1%} of the test clips the label "
            "that its network gives them in training's features; please report it"
        )
    return proofs


def front_end_features(model: Path, windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the features `(N, n_mels, T)` that a bundle's front end makes, window by window."""
    session = detect.session(model, threads=1)
    waves = (window[None].astype(np.float32) / 32768 for window in windows)
    return np.concatenate([session.run(None, {"waveform": wave})[0] for wave in waves])
