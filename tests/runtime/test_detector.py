"""Continuous detection: the right events, and the same ones whatever the pieces."""

import io
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import wave
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekws.runtime import detect
from edgekws.runtime.detect import Detector, Event, Trigger
from tests.tone_bundle import BURST_S, RATE, TONES, make, track

SPOKEN = {0.1: "низкий", 2.0: "высокий", 3.6: "низкий", 5.55: "высокий"}
AUDIO = track(6.0, SPOKEN)


def events(detector: Detector, samples: np.ndarray, *pieces: int) -> list[Event]:
    """Feed the samples in pieces of these lengths, again and again."""
    heard, start = [], 0
    while start < len(samples):
        for piece in pieces:
            heard += detector.feed(samples[start : start + piece])
            start += piece
    return heard + detector.flush()


def test_every_keyword_is_heard_when_it_is_said_and_at_both_ends(tone_bundle: Path) -> None:
    heard = events(Detector(tone_bundle), AUDIO, len(AUDIO))
    assert [event.keyword for event in heard] == list(SPOKEN.values())
    for event, start_s in zip(heard, SPOKEN, strict=True):
        middle = (event.start_s + event.end_s) / 2
        # At the ends digital silence, which the network does not know, is in the window as well.
        at_end = start_s in (min(SPOKEN), max(SPOKEN))
        assert middle == pytest.approx(start_s + BURST_S / 2, abs=0.25 if at_end else 0.15)
        assert 0 <= event.start_s < event.end_s <= 6.0
        assert 0.7 <= event.score <= 1


def test_times_of_events_are_those_of_their_centres(tone_bundle: Path) -> None:
    """Settings at which an event would begin, or end, before the stream are among them."""
    manifest = json.loads((tone_bundle / "manifest.json").read_text("utf-8"))
    detection = manifest["detection"]
    detector, other = Detector(tone_bundle), Detector(tone_bundle)
    posteriors = np.concatenate(list(other.posteriors(AUDIO)))
    interval_s = detector.seconds(1) - detector.seconds(0)
    assert interval_s == pytest.approx(detection["hop_ms"] / 1000)
    heard = Trigger(detector.labels, detection, interval_s, 1.0).feed(posteriors)
    assert len(heard) >= 3
    for offset_ms, keyword_ms in (
        (detection["timing_offset_ms"], detection["keyword_ms"]),
        (900, 1000),
    ):
        detector._placings = [(offset_ms / 1000, keyword_ms / 1000)] * len(TONES)
        detector.reset()
        for event, run in zip(detector.feed(AUDIO), heard, strict=True):
            end_s = max(0.0, detector.seconds(run.centre) - offset_ms / 1000)
            assert event.end_s == pytest.approx(end_s)
            assert event.start_s == pytest.approx(max(0.0, end_s - keyword_ms / 1000))
            assert event.score == pytest.approx(run.score)
            assert event.keyword == detector.labels[run.keyword]
    assert detector.heard_s == 6.0


def test_a_keyword_has_the_length_and_offset_that_were_measured_for_it(
    tone_bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(tone_bundle, tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    shared = events(Detector(tone_bundle), AUDIO, 1000)[1:]
    detection = manifest["detection"]
    detection["keyword_lengths_ms"] = {"высокий": 250.0}
    detection["timing_offsets_ms"] = {"низкий": detection["timing_offset_ms"] + 40}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    own = events(Detector(tmp_path / "bundle"), AUDIO, 1000)[1:]
    assert {event.keyword for event in own} == set(TONES)
    for event, before in zip(own, shared, strict=True):
        low = event.keyword == "низкий"
        assert event.end_s == pytest.approx(before.end_s - (0.04 if low else 0))
        length_s = before.end_s - before.start_s if low else 0.25
        assert event.end_s - event.start_s == pytest.approx(length_s)


def test_noise_silence_and_fillers_make_no_event(tone_bundle: Path) -> None:
    detector = Detector(tone_bundle, threshold=0.001)
    assert {e.keyword for e in events(detector, track(3.0, {}), 1000)} <= {"низкий", "высокий"}
    assert events(Detector(tone_bundle), track(3.0, {}), 1000) == []
    assert events(Detector(tone_bundle), np.zeros(RATE, np.float32), 1000) == []


@pytest.mark.parametrize(
    "pieces", [(1,), (112,), (320,), (RATE,), (10**6,), (1, 5000, 0, 319, 20_001), (12_800,)]
)
def test_the_same_events_whatever_the_pieces(tone_bundle: Path, pieces: tuple[int, ...]) -> None:
    samples = AUDIO[: 3 * RATE] if pieces == (1,) else AUDIO
    detector = Detector(tone_bundle)
    expected = events(detector, samples, 777)
    assert len(expected) >= 2
    assert events(detector, samples, *pieces) == expected


@pytest.mark.parametrize("n_mels", [23, 40])
@pytest.mark.parametrize("streaming", [True, False])
def test_posteriors_are_the_same_bits_whatever_the_pieces(
    tmp_path: Path, n_mels: int, streaming: bool
) -> None:
    detector = Detector(make(tmp_path, streaming=streaming, n_mels=n_mels), hop_ms=20)

    def posteriors(piece: int) -> np.ndarray:
        detector.reset()
        parts = [AUDIO[i : i + piece] for i in range(0, len(AUDIO), piece)]
        return np.concatenate([p for part in parts for p in detector.posteriors(part)])

    whole = posteriors(len(AUDIO))
    assert len(whole) > 200
    for piece in (320, 111, 9_999):
        np.testing.assert_array_equal(posteriors(piece), whole)


@pytest.mark.parametrize("every", [1, 5, 7, 60])
def test_hops_wait_for_the_next_decision(tmp_path: Path, every: int) -> None:
    """The posteriors are those of a decision every hop, and small pieces share calls."""
    bundle = make(tmp_path, streaming=True)

    def posteriors(detector: Detector, piece: int) -> np.ndarray:
        parts = np.split(AUDIO, range(piece, len(AUDIO), piece))
        return np.concatenate([p for part in parts for p in detector.posteriors(part)])

    expected = posteriors(Detector(bundle, hop_ms=20), len(AUDIO))[::every]
    for piece in (320, 777, 40_000):
        detector = Detector(bundle, hop_ms=20 * every)
        network = Mock(wraps=detector._network)
        detector._network = network
        np.testing.assert_array_equal(posteriors(detector, piece), expected)
        if (piece, every) == (320, 5):
            assert network.logits.call_count < 1.2 * len(expected) + 10


def test_the_streaming_form_hears_what_the_windowed_network_hears(tmp_path: Path) -> None:
    posteriors = []
    for streaming in (True, False):
        folder = tmp_path / str(streaming)
        folder.mkdir()
        detector = Detector(make(folder, streaming=streaming), hop_ms=20)
        posteriors.append(np.concatenate(list(detector.posteriors(AUDIO))))
    np.testing.assert_allclose(posteriors[0], posteriors[1], atol=1e-4)


def test_decisions_are_those_of_the_classifier_on_the_same_window(tone_bundle: Path) -> None:
    detector, classifier = Detector(tone_bundle), detect.Classifier(tone_bundle)
    posteriors = np.concatenate(list(detector.posteriors(AUDIO)))
    for decision in range(10, len(posteriors), 7):
        # The window ends with the last sample that its last frame holds.
        end = round(detector.seconds(decision) * RATE)
        used = 512 + 96 * 160
        if end < used:
            continue
        window = np.zeros(RATE, np.float32)
        window[:used] = AUDIO[end - used : end]
        expected = detect.softmax(classifier.logits(window)[None])[0]
        np.testing.assert_allclose(posteriors[decision], expected, atol=1e-4)


def test_int16_is_taken_as_it_is_recorded(tone_bundle: Path) -> None:
    samples = (AUDIO * 32767).astype(np.int16)
    detector = Detector(tone_bundle)
    expected = events(detector, samples.astype(np.float32) / 32768, 4000)
    assert events(detector, samples, 4000) == expected


def test_memory_does_not_grow(tone_bundle: Path) -> None:
    detector = Detector(tone_bundle)

    def feed(seconds: int) -> int:
        for _ in range(seconds):
            detector.feed(AUDIO[:RATE])
        return tracemalloc.get_traced_memory()[0]

    feed(5)
    tracemalloc.start()
    before = feed(5)
    after = feed(60)
    tracemalloc.stop()
    assert after - before < 20_000


def test_graphs_that_round_otherwise_at_once_are_run_hop_by_hop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make(tmp_path, streaming=True)
    whole = Detector(bundle)
    expected = events(whole, AUDIO, 320)
    assert whole._front_end.blocks == detect.BLOCKS
    run = detect.Binding.run

    def rounded_otherwise(self: detect.Binding) -> None:
        run(self)
        outputs = self._arrays[1]
        for name in ("features", "logits"):
            if name in outputs and len(outputs[name]) == 25:
                outputs[name] *= np.float32(1 + 1e-6)

    monkeypatch.setattr(detect.Binding, "run", rounded_otherwise)
    detector = Detector(bundle)
    assert isinstance(detector._network, detect.StreamingNetwork)
    assert (detector._front_end.blocks, detector._network.blocks) == ((1,), (1,))
    assert events(detector, AUDIO, len(AUDIO)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([-9.0, -1.0, 0.0, 0.4, 1.0, 4.0]), min_size=4, max_size=4),
             min_size=1, max_size=150),
    st.sampled_from([0.0005, 0.2, 0.5, 0.7, 0.99]), st.integers(1, 4),
    st.lists(st.integers(0, 150), max_size=4),
)  # fmt: skip
def test_decisions_that_wait_are_not_lost(
    rows: list[list[float]], threshold: float, span: int, cuts: list[int]
) -> None:
    logits = np.array(rows, np.float32)
    detection = {
        "smoothing_ms": span * 100, "refractory_ms": 300,
        "thresholds": {"a": threshold, "b": threshold},
    }  # fmt: skip
    labels = ["a", "_unknown_", "b", "_silence_"]
    at_once, patient = (Trigger(labels, detection, 0.1, 0.8) for _ in range(2))
    expected = at_once.feed(detect.softmax(logits))
    detections: list[detect.Detection] = []
    for part in np.split(logits, sorted(cuts)):
        single = (logit[None] for logit in part) if len(part) < 40 else [part]
        detections += [h for row in single for h in patient.feed_logits(row)]
    assert patient.scores == at_once.scores
    assert detections + patient.flush() == expected + at_once.flush()


def test_decisions_far_from_the_threshold_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    detection = {"smoothing_ms": 200, "refractory_ms": 0, "thresholds": {"a": 0.7}}
    trigger = Trigger(["a", "_unknown_"], detection, 0.1, 1.0)
    taken: list[int] = []
    take = trigger._process

    def noted(posteriors: np.ndarray) -> list[detect.Detection]:
        taken.append(len(posteriors))
        return take(posteriors)

    monkeypatch.setattr(trigger, "_process", noted)
    for odds in [0.0] * 60 + [2.0] + [0.0] * 5:
        trigger.feed_logits(np.array([[odds, 0.5]], np.float32))
    assert (taken, len(trigger._pending)) == ([1, 50, 10, 1], 4)


def slow_runs(
    posteriors: np.ndarray, span: int, refractory: int, longest: int, threshold: float
) -> list[tuple[int, float, float]]:
    """The rules of `Trigger` for one keyword, decision by decision."""
    counts = [round(float(p) * detect.UNIT) for p in posteriors]
    run: list[tuple[int, float]] = []
    detections, reported, free = [], False, 0
    for n in range(len(counts) + 1):
        value = sum(counts[max(0, n - span + 1) : n + 1]) / (span * detect.UNIT)
        over = n < len(counts) and value >= threshold
        if over:
            if not run:
                reported = n < free
            run.append((n, value))
        if run and not reported and (not over or len(run) == longest):
            weights = [(v - threshold) * span * detect.UNIT + 1 for _, v in run]
            centre = sum(w * m for w, (m, _) in zip(weights, run, strict=True)) / sum(weights)
            detections.append((n, centre - (span - 1) / 2, max(v for _, v in run)))
            reported, free = True, n + refractory
        if not over:
            run = []
    return detections


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.75, 0.9, 1.0]), min_size=1, max_size=60),
    st.integers(1, 4), st.integers(0, 6), st.integers(1, 12), st.sampled_from([0.25, 0.5, 0.75]),
    st.lists(st.integers(0, 60), max_size=5),
)  # fmt: skip
def test_the_trigger_against_its_rules_and_in_pieces(
    scores: list[float], span: int, refractory: int, longest: int, threshold: float, cuts: list[int]
) -> None:
    posteriors = np.array([[p, 1 - p, 1 - p] for p in scores])
    detection = {
        "smoothing_ms": span * 100, "refractory_ms": refractory * 100,
        "thresholds": {"да": threshold},
    }  # fmt: skip
    trigger = Trigger(["да", "_unknown_", "_silence_"], detection, 0.1, longest / 10)
    detections = [h for part in np.split(posteriors, sorted(cuts)) for h in feed(trigger, part)]
    detections += trigger.flush()
    expected = slow_runs(posteriors[:, 0], span, refractory, longest, threshold)
    assert [h.decision for h in detections] == [n for n, _, _ in expected]
    np.testing.assert_allclose(
        [h.centre for h in detections], [c for _, c, _ in expected], atol=1e-6
    )
    np.testing.assert_allclose(
        [h.score for h in detections], [s for _, _, s in expected], atol=1e-4
    )


def feed(trigger: Trigger, part: np.ndarray) -> list[detect.Detection]:
    return trigger.feed(part) if len(part) else []


def test_keywords_have_thresholds_of_their_own() -> None:
    detection = {"smoothing_ms": 0, "refractory_ms": 0, "thresholds": {"a": 0.4, "b": 0.9}}
    trigger = Trigger(["a", "_unknown_", "b"], detection, 0.1, 1.0)
    heard = trigger.feed(np.array([[0.5, 0.0, 0.5], [0.0, 0.05, 0.95], [0.3, 0.4, 0.3]]))
    assert [(trigger.keywords[h.keyword], h.decision, h.centre) for h in heard] == [
        ("a", 1, 0.0), ("b", 2, 1.0),
    ]  # fmt: skip
    assert trigger.scores == {"a": pytest.approx(0.3, abs=1e-4), "b": pytest.approx(0.3, abs=1e-4)}


def test_errors_of_a_bundle_say_what_to_do(tone_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every 30 ms is not possible; use a multiple of 20 ms"):
        Detector(tone_bundle, hop_ms=30)
    bundle = Path(shutil.copytree(tone_bundle, tmp_path / "bundle"))
    (bundle / "frontend_stream.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"frontend_stream\.onnx is missing"):
        Detector(bundle)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    del manifest["detection"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="packed without detection settings; pack it again"):
        Detector(bundle)


def run(
    bundle: Path, *arguments: object, stdin: bytes = b""
) -> tuple[int, list[dict[str, Any]], str]:
    """Run the bundle's own `detect.py` in a separate interpreter."""
    command = [sys.executable, "-I", str(bundle / "detect.py"), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    lines = [json.loads(line) for line in io.StringIO(done.stdout.decode())]
    return done.returncode, lines, done.stderr.decode()


def test_the_command_prints_the_events_of_wav_pcm_and_standard_input(
    tone_bundle: Path, tmp_path: Path
) -> None:
    pcm = (AUDIO * 32767).astype("<i2")
    soundfile.write(tmp_path / "звук.wav", pcm, RATE, subtype="PCM_16")
    (tmp_path / "a.raw").write_bytes(pcm.tobytes() + b"\0")
    detections = events(Detector(tone_bundle), pcm, len(pcm))
    code, lines, errors = run(tone_bundle, "--stream", "missing.wav", tmp_path / "звук.wav")
    assert code == 5
    assert "missing.wav" in errors
    assert lines == [event.line(str(tmp_path / "звук.wav")) for event in detections]
    assert set(lines[0]) == {"file", "keyword", "start_s", "end_s", "score"}
    code, raw, errors = run(tone_bundle, "--pcm", "--stream", tmp_path / "a.raw")
    assert (code, errors) == (0, "")
    code, piped, _ = run(tone_bundle, "--stream", "-", stdin=pcm.tobytes())
    assert code == 0
    for other in (raw, piped):
        assert [line | {"file": 0} for line in other] == [line | {"file": 0} for line in lines]


def test_standard_input_is_heard_while_it_comes(tone_bundle: Path) -> None:
    command = [sys.executable, "-I", str(tone_bundle / "detect.py"), "--stream", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        samples = (track(3.0, {0.5: "низкий"}) * 32767).astype("<i2").tobytes()
        os.write(process.stdin.fileno(), samples[:50_001])
        os.write(process.stdin.fileno(), samples[50_001:])
        assert json.loads(process.stdout.readline())["keyword"] == "низкий"  # it is still open
        process.stdin.close()


def test_bad_usage_is_reported(tone_bundle: Path) -> None:
    code, _, errors = run(tone_bundle, "--stream", "-", "--hop-ms", "30")
    assert code == 2
    assert "use a multiple of 20 ms" in errors
    assert run(tone_bundle)[0] == 2


def test_a_wav_that_was_cut_off_is_heard_to_its_last_whole_frame(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.arange(2_000, dtype="<i2").tobytes())
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:-3])
    assert len(np.concatenate(list(detect.wav_blocks(tmp_path / "a.wav", RATE)))) == 999
