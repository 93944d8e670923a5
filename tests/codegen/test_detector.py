import json
from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekws.codegen.detector import DetectorSettings, detector_settings
from edgekws.runtime.detect import UNIT, Detector, Event, Trigger, softmax
from tests.codegen.compiling import COMPILERS
from tests.codegen.detector_library import (
    CEvent,
    DetectorLibrary,
    GeneratedDetector,
    KernelDetector,
    Reported,
)
from tests.tone_bundle import TONES, track

LABELS = ["left", "_unknown_", "right", "_silence_"]
MANIFEST: dict[str, Any] = {
    "contract": {
        "labels": LABELS,
        "input_shape": [40, 97],
        "front_end": {"sample_rate": 16_000, "window_s": 1.0, "n_fft": 512, "hop_length": 160},
    },
    "detection": {
        "hop_frames": 2, "hop_ms": 20.0, "smoothing_ms": 60.0, "refractory_ms": 500.0,
        "keyword_ms": 600.0, "timing_offset_ms": 200.0,
        "thresholds": {"left": 0.5, "right": 0.7},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> DetectorLibrary:
    return DetectorLibrary(tmp_path_factory.mktemp("c"), detector_settings(MANIFEST))


def test_settings_are_those_of_the_python_runtime(tone_bundle: Path) -> None:
    manifest = json.loads((tone_bundle / "manifest.json").read_text("utf-8"))
    result, detector = detector_settings(manifest), Detector(tone_bundle)
    trigger = detector.trigger
    assert (result.first, result.every) == (detector._first, detector._every)
    assert list(result.columns) == trigger._columns
    assert list(result.thresholds) == trigger._thresholds
    assert (result.span, result.refractory) == (trigger._span, trigger._refractory)
    assert (result.longest, result.silence) == (trigger._longest, len(detector._silence))
    assert list(zip(result.offsets_s, result.lengths_s, strict=True)) == detector._placings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["_unknown_"]}, "no label is a keyword"),
        ({"labels": [str(i) for i in range(257)]}, "257 labels are too many; up to 256 can be"),
        ({"smoothing_ms": 1e6}, "smoothing over 50000 decisions is too long; use a smoothing_ms"),
        ({"hop_ms": 30.0}, "every 30 ms is not possible; use a multiple of 20 ms"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    manifest = json.loads(json.dumps(MANIFEST))
    part = "contract" if "labels" in change else "detection"
    manifest[part].update(change)
    with pytest.raises(ValueError, match=message):
        detector_settings(manifest)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_posteriors_are_the_counts_of_the_python_runtime(compiler: str, tmp_path: Path) -> None:
    library = DetectorLibrary(tmp_path, detector_settings(MANIFEST), compiler)
    rng = np.random.default_rng(0)
    for n_labels, scale in product((1, 2, 7, 41, 256), (0.01, 0.5, 3, 20, 1_000)):
        logits = rng.standard_normal((100_000 // n_labels, n_labels)) * scale
        for step in (0, 0.1):  # as a network of integers gives them: many are equal
            rows = np.float32(step) * np.rint(logits / step) if step else logits
            rows = rows.astype(np.float32)
            expected = np.rint(softmax(rows) * UNIT)
            np.testing.assert_array_equal(library.posteriors(rows), expected)


@pytest.mark.parametrize("distance", [-2e-9, 2e-9])
def test_posteriors_close_to_a_tie_are_rounded_to_the_right_side(
    library: DetectorLibrary, distance: float
) -> None:
    rows, expected = [], []
    for tie in np.linspace(0.5, UNIT - 1.5, 300).round() + 0.5:
        p = (Decimal(tie) + Decimal(distance)) / UNIT
        logit = (p / (1 - p)).ln()
        large = np.float32(logit)
        small = np.float32(Decimal(float(large)) - logit)  # their difference has 45 bits
        rows.append([large, small])
        odds = (Decimal(float(large)) - Decimal(float(small))).exp()
        expected.append(int((odds / (1 + odds) * UNIT).to_integral_value()))
    counts = library.posteriors(np.array(rows, np.float32))
    assert counts[:, 0].tolist() == expected
    assert len(set(expected)) == 300


def test_posteriors_of_what_is_no_number(library: DetectorLibrary) -> None:
    nan, inf = np.nan, np.inf
    rows = [[nan, 1, 2], [inf, 0, -inf], [1e30, -1e30, 0], [1e-40, 0, -0.0], [-inf, -inf, -inf]]
    third = [UNIT // 3] * 3
    expected = [[UNIT, 0, 0], [UNIT, 0, 0], [UNIT, 0, 0], third, third]
    assert library.posteriors(np.array(rows, np.float32)).tolist() == expected


def as_detections(events: list[CEvent], span: int) -> list[tuple[int, int, float, float]]:
    """Return events as the fields of the Python runtime's `Detection`."""
    return [
        (
            event.decision,
            event.keyword,
            event.start + event.moment / event.weight - (span - 1) / 2,
            event.peak / (span * UNIT),
        )
        for event in events
    ]


def random_settings(rng: np.random.Generator) -> tuple[DetectorSettings, dict[str, Any]]:
    """Return random settings of a detector of `LABELS`, and those of the trigger."""
    thresholds = {"left": rng.uniform(0, 1), "right": rng.choice([0.25, 0.5, 0.75, 1.0])}
    span, refractory = int(rng.integers(1, 9)), int(rng.integers(0, 20))
    settings = DetectorSettings(
        **{
            **vars(detector_settings(MANIFEST)),
            "first": 0,
            "span": span,
            "refractory": refractory,
            "longest": int(rng.integers(1, 30)),
            "thresholds": tuple(
                max(1, int(np.ceil(thresholds[word] * span * UNIT))) for word in ("left", "right")
            ),
        }
    )
    rules = {"smoothing_ms": 1000 * span, "refractory_ms": 1000 * refractory}
    return settings, {**rules, "thresholds": thresholds}


def random_track(rng: np.random.Generator, thresholds: dict[str, float]) -> NDArray[np.int64]:
    """Return counted posteriors `(D, labels)` that cross their thresholds again and again."""
    size = int(rng.integers(1, 400))
    counts = rng.integers(0, 3, (size, len(LABELS)))
    for column, word in ((0, "left"), (2, "right")):
        slow = np.cumsum(rng.standard_normal(size)) * rng.choice([0.02, 0.1, 0.4])
        around = thresholds[word] + slow + 0.3 * np.sin(np.arange(size) / rng.uniform(1, 15))
        counts[:, column] = np.rint(np.clip(around, 0, 1) * UNIT)
        if rng.random() < 0.3:  # exactly at the threshold, and at the ends
            levels = [0, round(thresholds[word] * UNIT), UNIT]
            counts[:, column] = rng.choice(levels, size)
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_runs_are_those_of_the_python_trigger(library: DetectorLibrary, seed: int) -> None:
    rng, events_seen = np.random.default_rng(seed), 0
    for _ in range(500):
        settings, rules = random_settings(rng)
        counts = random_track(rng, rules["thresholds"])
        trigger = Trigger(LABELS, rules, 1.0, float(settings.longest))
        expected = [tuple(detection) for detection in trigger.feed(counts / UNIT)]
        ending = [tuple(detection) for detection in trigger.flush()]
        detector, events = KernelDetector(library, settings), list[CEvent]()
        cuts = np.sort(rng.integers(0, len(counts) + 1, rng.integers(0, 6)))
        for part in np.split(counts, cuts):
            events += detector.feed(part)
        assert as_detections(events, settings.span) == expected
        assert as_detections(detector.flush(len(counts)), settings.span) == ending
        events_seen += len(expected) + len(ending)
        # A flush begins a new stream.
        assert as_detections(detector.feed(counts), settings.span) == expected
    assert events_seen > 2_000


def test_a_keyword_is_switched_off_and_on(library: DetectorLibrary) -> None:
    rng, late = np.random.default_rng(7), 0
    for _ in range(300):
        settings, rules = random_settings(rng)
        counts, cut = random_track(rng, rules["thresholds"]), int(rng.integers(0, 200))
        trigger = Trigger(LABELS, rules, 1.0, float(settings.longest))
        usual, trigger._thresholds[1] = trigger._thresholds[1], 1 << 40
        expected = list(trigger.feed(counts[:cut] / UNIT)) if cut else []
        trigger._thresholds[1] = usual
        if len(counts) > cut:
            expected += trigger.feed(counts[cut:] / UNIT)
        late += sum(detection.keyword == 1 for detection in expected)
        detector = KernelDetector(library, settings)
        detector.switch(1, on=False)
        events = detector.feed(counts[:cut])
        detector.switch(1, on=True)
        events += detector.feed(counts[cut:])
        assert as_detections(events, settings.span) == [tuple(detection) for detection in expected]
    assert late > 100


def test_a_run_ends_unreported_where_its_keyword_is_switched_off(library: DetectorLibrary) -> None:
    settings = replace(detector_settings(MANIFEST), span=1, first=0, thresholds=(1, UNIT))
    detector = KernelDetector(library, settings)
    above, below = np.array([[0, 0, UNIT, 0]] * 3), np.zeros((2, 4), np.int32)
    assert not detector.feed(above)
    detector.switch(1, on=False)
    assert not detector.feed(np.concatenate([below, above, below]))
    assert not detector.flush(8)
    assert not detector.feed(above)  # a keyword stays off in the next stream
    detector.switch(1, on=True)
    assert [event.start for event in detector.feed(np.concatenate([above, below]))] == [3]


def decisions(detector: Detector, wave: NDArray[np.float32]) -> tuple[list[Event], list[Any]]:
    """Return the events of a stream, and the logits of its decisions."""
    logits = list[Any]()
    feed_logits = detector.trigger.feed_logits

    def noted(rows: NDArray[np.float32]) -> Any:
        logits.extend(rows.copy())
        return feed_logits(rows)

    detector.trigger.feed_logits = noted  # type: ignore[method-assign, assignment]
    events = detector.feed(wave) + detector.flush()
    return events, logits


def hops_in(detector: Detector, samples: int) -> int:
    """Return how many hops a stream completes, after the silence before it."""
    front_end = detector._front_end
    padded = len(detector._silence) + samples
    return max(0, 1 + (padded - front_end.samples) // front_end.hop_samples)


def assert_same_events(
    bundle: Path, wave: NDArray[np.float32], library: DetectorLibrary, cuts: list[int]
) -> int:
    """Compare the events of a stream whose hops come in pieces; return how many there are."""
    expected, logits = decisions(Detector(bundle), wave)
    settings = library.settings
    last = settings.first + (len(logits) - 1) * settings.every
    hops = np.full((last + 1, settings.n_labels), np.nan, np.float32)
    hops[settings.first :: settings.every] = logits
    detector, events = GeneratedDetector(library), list[CEvent]()
    heard = hops_in(Detector(bundle), len(wave))
    for part in np.split(hops[:heard], sorted(cuts)):
        events += detector.feed(part)
    late = detector.feed(hops[heard:])  # of the silence after the stream, as in kws_flush
    for event in late:
        event.end = len(wave)
    events += late + detector.flush(len(wave))
    labels = json.loads((bundle / "manifest.json").read_text("utf-8"))["contract"]["labels"]
    reported = library.reported(events, [labels[column] for column in settings.columns])
    assert [one.event for one in reported] == expected
    assert_samples_agree(reported, settings)
    return len(expected)


def assert_samples_agree(reported: list[Reported], settings: DetectorSettings) -> None:
    """Assert that times in samples are those in seconds, rounded down."""
    for _, event, start, end in reported:
        assert -1.5 < start - event.start_s * settings.sample_rate < 0.5
        assert -1.5 < end - event.end_s * settings.sample_rate < 0.5


@pytest.fixture(scope="module")
def tone_library(tone_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> DetectorLibrary:
    manifest = json.loads((tone_bundle / "manifest.json").read_text("utf-8"))
    return DetectorLibrary(tmp_path_factory.mktemp("c"), detector_settings(manifest))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), cuts=st.lists(st.integers(0, 400), max_size=20))
def test_events_of_a_stream_are_those_of_the_python_runtime(
    tone_bundle: Path, tone_library: DetectorLibrary, seed: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.2, 1.5, 6))
    spoken = {float(time): str(rng.choice(list(TONES))) for time in times}
    wave = track(float(times[-1]) + 0.2, spoken, seed)  # the last is cut off
    assert assert_same_events(tone_bundle, wave, tone_library, cuts) >= 1


def test_events_in_real_speech_are_those_of_the_python_runtime(
    tone_bundle: Path, tone_library: DetectorLibrary, shared_data: Path
) -> None:
    paths = sorted((shared_data / "asc").rglob("*.flac"))[::400]
    clips = [soundfile.read(path, dtype="float32")[0] for path in paths]
    assert len(clips) >= 20
    wave = np.concatenate([part for clip in clips for part in (clip, track(0.5, {0.05: "низкий"}))])
    wave = wave.astype(np.float32)
    assert assert_same_events(tone_bundle, wave, tone_library, [5, 77, 78, 500]) >= 10
