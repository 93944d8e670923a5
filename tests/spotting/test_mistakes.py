"""The worst mistakes: those that the evaluation counts, with the audio around them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.core.events import quiet
from edgekws.report.spectrogram import as_png
from edgekws.spotting import mistakes
from edgekws.spotting.labelled_audio import Label, Labelled
from edgekws.spotting.results import evaluate_settings
from edgekws.spotting.scores import Scores, listen
from edgekws.spotting.streams import opened
from tests import tone_bundle

TOLERANCE_S = 0.25
LOW, HIGH = tone_bundle.TONES


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scores, list[Path]]:
    """Keywords: said and labelled, labelled but silent, and said but not labelled."""
    folder = tmp_path_factory.mktemp("ошибки")
    bundle = tone_bundle.make(folder, streaming=True)
    paths = [folder / "a.wav", folder / "b.wav"]
    for path, said in zip(paths, ({1.0: LOW, 4.0: HIGH}, {2.0: HIGH}), strict=True):
        soundfile.write(path, tone_bundle.track(7.0, said), tone_bundle.RATE)
    end = tone_bundle.BURST_S
    labels = (Label(LOW, 1.0, 1.0 + end), Label(LOW, 5.5, 5.5 + end), Label(HIGH, 4.0, 4.0 + end))
    recordings = [Labelled(paths[0], labels, speaker="a"), Labelled(paths[1], (), speaker="b")]
    detector, manifest = opened(bundle, quiet)
    return listen(detector, manifest, recordings, quiet), paths


def test_they_are_the_counted_ones(heard: tuple[Scores, list[Path]]) -> None:
    scores, _ = heard
    evaluation = evaluate_settings(scores, scores.settings, TOLERANCE_S)
    worst = mistakes.worst(scores, scores.settings, TOLERANCE_S)
    kinds = [mistake.kind for mistake in worst]
    assert kinds.count("false alarm") == evaluation.total.false_alarms == 1
    assert kinds.count("miss") == evaluation.total.misses == 1
    alarm, miss = worst
    assert (alarm.keyword, alarm.recording) == (HIGH, 1)
    assert alarm.start_s == pytest.approx(2.0, abs=0.6)
    assert alarm.score >= alarm.threshold
    assert (miss.keyword, miss.recording, miss.start_s) == (LOW, 0, 5.5)
    assert miss.score < miss.threshold


def test_close_calls_take_the_place_of_false_alarms_that_a_threshold_prevents(
    heard: tuple[Scores, list[Path]],
) -> None:
    scores, _ = heard
    (alarm, _) = mistakes.worst(scores, scores.settings, TOLERANCE_S)
    strict = {**scores.settings, "thresholds": dict.fromkeys((LOW, HIGH), 1.01)}
    found = mistakes.worst(scores, strict, TOLERANCE_S)
    call = found[0]
    assert (call.kind, call.keyword, call.recording) == ("close call", HIGH, 1)
    assert call.score == alarm.score < call.threshold
    assert call.start_s == pytest.approx(2.0, abs=0.6)
    assert [mistake.kind for mistake in found[1:]] == ["miss"] * 3


def test_of_a_label_without_an_end_two_seconds_are_kept(tmp_path: Path) -> None:
    """The keyword is said too softly; its recording is much longer."""
    detector, manifest = opened(tone_bundle.make(tmp_path, streaming=True), quiet)
    wave = tone_bundle.track(40.0, {})
    start = round(25.0 * tone_bundle.RATE)
    burst = tone_bundle.burst(LOW)
    wave[start : start + len(burst)] += (burst * 0.05).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, tone_bundle.RATE)
    said = Labelled(tmp_path / "a.wav", (Label(LOW),))
    free = Labelled(tmp_path / "a.wav")
    scores = listen(detector, manifest, [said, free], quiet)
    settings = {**scores.settings, "thresholds": dict.fromkeys((LOW, HIGH), 1.01)}
    miss = mistakes.worst(scores, settings, TOLERANCE_S)[-1]
    assert miss.kind == "miss"
    assert miss.end_s - miss.start_s == pytest.approx(mistakes.LONGEST_S)
    assert miss.score > 0
    assert miss.start_s < 25.2 < miss.end_s
    (kept,) = mistakes.with_audio([miss], [tmp_path / "a.wav"] * 2)
    samples, rate = mistakes.samples_of(kept)
    assert len(samples) <= (mistakes.LONGEST_S + 2 * mistakes.AROUND_S) * rate + 1


def test_their_audio_is_that_of_the_recording(heard: tuple[Scores, list[Path]]) -> None:
    scores, paths = heard
    worst = mistakes.worst(scores, scores.settings, TOLERANCE_S)
    details = json.loads(json.dumps(mistakes.as_details(mistakes.with_audio(worst, paths))))
    for mistake in mistakes.from_details(details):
        samples, rate = mistakes.samples_of(mistake)
        whole, _ = soundfile.read(paths[mistake.recording], dtype="float32")
        first = max(0, round((mistake.start_s - mistakes.AROUND_S) * rate))
        assert np.array_equal(samples, whole[first : first + len(samples)])
        assert len(samples) >= 0.6 * rate
        picture = as_png(samples, rate)
        assert picture.startswith("data:image/png;base64,")
        # Six of a few words are to take less than 300 KB of a page.
        assert len(mistake.audio) + len(picture) < 50_000
