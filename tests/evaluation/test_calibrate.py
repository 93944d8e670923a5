"""Calibration and evaluation of events on tones whose events can be told beforehand."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.bundle.verify import verify
from edgekws.core.events import quiet
from edgekws.errors import DataError, UsageError
from edgekws.evaluation.calibrate import Calibrated, calibrate
from edgekws.evaluation.evaluate_events import evaluate_events
from edgekws.metrics.event_intervals import Basis
from edgekws.metrics.events import Spans, outcome
from edgekws.metrics.intervals import garwood
from edgekws.runtime.detect import Event
from edgekws.spotting.calibration import LEAST_MEASURED
from edgekws.spotting.labelled_audio import Label, Labelled
from edgekws.spotting.results import EventEvaluation, evaluate_settings
from edgekws.spotting.scores import listen as record
from edgekws.spotting.streams import detector, listen, opened, source
from tests.tone_bundle import BURST_S, RATE, TONES, make, track

SAID = [
    {0.7: "низкий", 3.1: "высокий"},
    {1.2: "высокий", 4.0: "низкий"},
    {2.0: "низкий"},
]
LENGTH_S = 6.0
LENGTHS = [LENGTH_S] * 3 + [8.0] * 2
LOW, HIGH = TONES
LABELS: Any = {"where": {}, "tolerance_s": 0.25}
"""How labels are read and matched, as the command does without options."""


def write(folder: Path, name: str, wave: np.ndarray) -> str:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, wave, RATE, subtype="PCM_16")
    return name


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("тоны"), streaming=True)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of sentences with tones, and a folder of noise with a lone, weak low tone."""
    folder = tmp_path_factory.mktemp("записи")
    rows = ["file,keyword,speaker,start_s,end_s"]
    for number, said in enumerate(SAID):
        name = write(folder, f"{number}.wav", track(LENGTH_S, said, seed=number))
        rows += [f"{name},{word},s{number},{t},{t + BURST_S}" for t, word in said.items()]
    (folder / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    write(folder / "noise", "1.wav", track(8.0, {}, seed=7))
    write(folder / "noise", "2.wav", track(8.0, {3.0: LOW}, seed=8) * 0.5)
    return folder


def run(bundle: Path, recordings: Path, output: Path, rate: float = 0.0) -> Calibrated:
    noise = [recordings / "noise"]
    return calibrate(
        bundle, recordings / "t.csv", noise, output, quiet, max_fa_per_hour=rate, **LABELS
    )


def judge(bundle: Path, recordings: Path, **where: frozenset[str]) -> EventEvaluation:
    noise = [recordings / "noise"]
    return evaluate_events(bundle, recordings / "t.csv", noise, quiet, where, 0.25).evaluation


def settings(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text("utf-8"))["detection"]


@pytest.fixture(scope="module")
def calibrated(
    tones: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Calibrated:
    return run(tones, recordings, tmp_path_factory.mktemp("calibrated") / "b")


def test_the_bundle_that_is_written_is_whole_and_was_changed_in_its_settings_alone(
    tones: Path, calibrated: Calibrated
) -> None:
    assert verify(calibrated.output) == calibrated.verified != verify(tones)
    names = {p.name for p in tones.rglob("*") if p.is_file()}
    changed = {
        name
        for name in names - {"golden.json"}
        if not name.endswith(".wav")
        and (tones / name).read_bytes() != (calibrated.output / name).read_bytes()
    }
    assert changed == {"manifest.json", "SHA256SUMS", "MODEL_CARD.md"}
    card = (calibrated.output / "MODEL_CARD.md").read_text("utf-8")
    assert verify(tones).sha256 in card


def test_it_is_reproducible_and_may_go_on_from_itself(
    recordings: Path, calibrated: Calibrated, tmp_path: Path
) -> None:
    again = run(calibrated.output, recordings, tmp_path / "again.zip")
    shutil.unpack_archive(again.output, tmp_path / "b")
    reported, before = settings(tmp_path / "b"), settings(calibrated.output)
    assert reported == before
    cards = [(b / "MODEL_CARD.md").read_text("utf-8") for b in (tmp_path / "b", calibrated.output)]
    assert cards[0] == cards[1]


def test_it_keeps_to_the_false_alarms_and_finds_every_tone(calibrated: Calibrated) -> None:
    built, reported = calibrated.evaluation, settings(calibrated.output)
    assert (built.total.labels, built.total.misses, built.total.false_alarms) == (5, 0, 0)
    assert (built.total.repeats, built.total.confusions) == (0, 0)
    assert reported["source"] == "calibrated"
    assert reported["keyword_ms"] == pytest.approx(1000 * BURST_S, abs=1)
    assert built.total.end_error_ms is not None
    assert built.total.end_error_ms < 60
    record = reported["calibration"]
    assert record["keyword_free_s"] == pytest.approx(3 * LENGTH_S + 16 - 5 * (BURST_S + 0.5))
    assert record["keywords"][LOW]["labels"] == 3
    assert record["keywords"][LOW]["curve"][-1][1:] == [3, 0]
    assert all(0.05 <= threshold <= 1 for threshold in reported["thresholds"].values())
    (note,) = built.notes
    assert "cannot show 0 false alarms per hour: even with none in them, up to" in note
    assert note.endswith("(95 %, by speaker)")
    assert built.total.miss_rate_basis == Basis("by speaker", 3, 0)
    assert built.total.false_alarms_per_hour_basis == Basis("by speaker", 3, 2)
    assert built.keywords[1].miss_rate_basis == Basis("by speaker", 2, 0)


def test_keywords_with_enough_labels_get_a_length_and_an_offset_of_their_own(
    tones: Path, tmp_path: Path
) -> None:
    """Labels of the low tone begin 0.2 s before it, and all are timed as the tones are."""
    rows, before_s = ["file,keyword,speaker,start_s,end_s"], {LOW: 0.2, HIGH: 0.0}
    for number in range(LEAST_MEASURED):
        said = {1.0: LOW, 3.5: HIGH} if number else {1.0: LOW}
        name = write(tmp_path, f"{number}.wav", track(5.0, said, seed=number))
        rows += [
            f"{name},{word},s{number},{t - before_s[word]},{t + BURST_S}"
            for t, word in said.items()
        ]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    built = calibrate(
        tones, tmp_path / "t.csv", [], tmp_path / "b", quiet, max_fa_per_hour=0.0, **LABELS
    )
    reported = settings(tmp_path / "b")
    assert reported["keyword_lengths_ms"] == {LOW: pytest.approx(1000 * (BURST_S + 0.2), abs=1)}
    assert reported["timing_offsets_ms"].keys() == {LOW}
    low, _ = built.evaluation.keywords
    assert low.end_bias_ms == pytest.approx(0, abs=1)
    (first, *_), *_ = heard(tmp_path / "b", [tmp_path / "0.wav"])
    assert first.end_s - first.start_s == pytest.approx(BURST_S + 0.2, abs=0.001)


def test_more_false_alarms_are_never_bought_than_allowed(
    tones: Path, recordings: Path, tmp_path: Path
) -> None:
    hours = settings(run(tones, recordings, tmp_path / "a").output)["calibration"]
    for allowed in (1, 3):
        rate = 3600 * allowed / hours["keyword_free_s"]
        built = run(tones, recordings, tmp_path / f"b{allowed}", rate)
        assert built.evaluation.total.false_alarms <= allowed
        assert built.evaluation.total.misses == 0


def test_the_figures_are_those_of_the_events_that_the_runtime_tells(
    calibrated: Calibrated, recordings: Path
) -> None:
    built = judge(calibrated.output, recordings)
    assert built.keywords == calibrated.evaluation.keywords
    assert [note.split(" are")[0] for note in built.notes] == ["the positives", "the negatives"]
    files = [*sorted(recordings.glob("*.wav")), *sorted((recordings / "noise").glob("*.wav"))]
    events = list(heard(calibrated.output, files))
    for one in built.keywords:
        counts = np.zeros(4, int)
        for number, reported in enumerate(events):
            said = SAID[number] if number < len(SAID) else {}
            own = [(t, t + BURST_S) for t, word in said.items() if word == one.keyword]
            mine = spans([(e.start_s, e.end_s) for e in reported if e.keyword == one.keyword])
            every = spans([(t, t + BURST_S) for t in sorted(said)])
            result = outcome(mine, spans(own), every, spans([(0, LENGTHS[number])]), 0.25)
            counts += [result.misses, result.false_alarms, result.repeats, result.confusions]
        assert counts.tolist() == [one.misses, one.false_alarms, one.repeats, one.confusions]


def heard(bundle: Path, files: list[Path]) -> Iterator[list[Event]]:
    with detector(bundle, quiet) as result:
        for file in files:
            blocks = [soundfile.read(file, dtype="float32")[0]]
            yield [event for events in listen(result, blocks) for event in events]


def spans(pairs: list[tuple[float, float]]) -> Spans:
    return Spans(*np.array(pairs, float).reshape(-1, 2).T)


def test_real_speech_gives_the_events_that_the_runtime_tells(
    tones: Path, shared_data: Path
) -> None:
    files = sorted((shared_data / "librispeech").rglob("*.ogg"))[:2]
    with detector(tones, quiet, threshold=0.4) as result:
        heard = [
            e.keyword
            for file in files
            for events in listen(result, source(str(file), RATE, None))
            for e in events
        ]
    built = opened(tones, quiet)
    scores = record(*built, [Labelled(file) for file in files], quiet)
    reported = {**scores.settings, "thresholds": dict.fromkeys(TONES, 0.4)}
    counted = {
        one.keyword: one.false_alarms for one in evaluate_settings(scores, reported, 0.25).keywords
    }
    assert len(heard) >= 5
    assert counted == {word: heard.count(word) for word in TONES}


def test_speakers_are_chosen_by_column(calibrated: Calibrated, recordings: Path) -> None:
    built = judge(calibrated.output, recordings, speaker=frozenset({"s2"}))
    assert (built.recordings, built.total.labels) == (3, 1)
    (low, high) = built.keywords
    assert (low.miss_rate, high.miss_rate, high.miss_rate_ci95) == (0.0, None, None)
    assert [note.split(" are")[0] for note in built.notes] == ["the negatives"]


def test_folders_of_clips_do_as_well(tones: Path, tmp_path: Path) -> None:
    for word in TONES:
        for number in range(2):
            folder = tmp_path / "clips" / word
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, f"{number}.wav", track(1.5, {0.5: word}, seed=number))
    write(tmp_path / "noise", "1.wav", track(5.0, {}))
    built = calibrate(
        tones,
        tmp_path / "clips",
        [tmp_path / "noise"],
        tmp_path / "b",
        quiet,
        max_fa_per_hour=0.0,
        **LABELS,
    )
    assert (built.evaluation.total.labels, built.evaluation.total.misses) == (4, 0)
    # Labels without times cover their recordings, and take nothing from the noise.
    assert built.evaluation.keyword_free_s == pytest.approx(5.0)
    assert built.evaluation.total.miss_rate_basis == Basis("by recording", 0, 4)
    assert built.evaluation.total.false_alarms_per_hour_basis == Basis("if independent", 0, 1)
    assert built.evaluation.total.false_alarms_per_hour_ci95 == pytest.approx(garwood(0, 5.0))
    assert built.evaluation.total.end_error_ms is None
    assert settings(tmp_path / "b")["timing_offset_ms"] == settings(tones)["timing_offset_ms"]


def test_one_speaker_shows_nothing_of_others(tones: Path, tmp_path: Path) -> None:
    said = {1.0: LOW, 3.0: HIGH}
    rows = ["file,keyword,speaker,start_s,end_s"]
    for number in range(2):
        name = write(tmp_path, f"{number}.wav", track(5.0, said, seed=number))
        rows += [f"{name},{word},ann,{t},{t + BURST_S}" for t, word in said.items()]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    built = calibrate(
        tones, tmp_path / "t.csv", [], tmp_path / "b", quiet, max_fa_per_hour=2.0, **LABELS
    )
    total = built.evaluation.total
    assert (total.miss_rate, total.miss_rate_ci95) == (0, None)
    assert total.false_alarms_per_hour_ci95 is None
    assert total.miss_rate_basis == total.false_alarms_per_hour_basis == Basis("one speaker", 1, 0)
    (note,) = built.evaluation.notes
    assert note.endswith(
        " s free of keywords, of one speaker, cannot show 2 false alarms per hour for others"
    )


def test_false_alarms_an_hour_are_those_of_the_negatives_where_labels_have_no_times(
    tones: Path, tmp_path: Path
) -> None:
    """Ten recordings that labels cover, and 10 s without: five false alarms are 1,800 an hour."""
    for number in range(10):
        (tmp_path / "clips" / LOW).mkdir(parents=True, exist_ok=True)
        write(tmp_path / "clips" / LOW, f"{number}.wav", track(1.5, {0.5: LOW}, seed=number))
    write(tmp_path / "talk", "1.wav", track(10.0, dict.fromkeys(np.arange(1.0, 10, 2), LOW)))
    negatives = [tmp_path / "talk"]
    built, worst = evaluate_events(tones, tmp_path / "clips", negatives, quiet, {}, 0.25)
    assert built.keyword_free_s == pytest.approx(10.0)
    assert built.total.false_alarms == 5
    assert built.total.false_alarms_per_hour == pytest.approx(1800)
    alarms = [one for one in worst if one.kind == "false alarm"]
    assert {one.file for one in alarms} == {str(tmp_path / "talk" / "1.wav")}
    assert sorted(round(one.start_s) for one in alarms) == [1, 3, 5, 7, 9]
    assert all(one.audio for one in worst)


def test_a_label_ends_with_its_recording(tones: Path, tmp_path: Path) -> None:
    write(tmp_path, "1.wav", track(3.0, {2.5: LOW}))
    said = Labelled(tmp_path / "1.wav", (Label(LOW, 2.5, 3.1), Label(HIGH)))
    scores = record(*opened(tones, quiet), [said], quiet)
    assert [scores.axis.labels[word].end.tolist() for word in TONES] == [[3.0], [3.0]]


def test_errors_say_what_to_do(tones: Path, recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bundle is, or overlaps with, the bundle; name another"):
        run(tones, recordings, tones)
    with pytest.raises(DataError, match=r"nothing: no such bundle; give its folder"):
        run(tmp_path / "nothing", recordings, tmp_path / "b")
    said = tmp_path / "clips" / LOW
    said.mkdir(parents=True)
    write(said, "1.wav", track(1.0, {0.3: LOW}))
    with pytest.raises(DataError, match=r"s of keyword-free audio are too little .* --negatives"):
        calibrate(
            tones, tmp_path / "clips", [], tmp_path / "b", quiet, max_fa_per_hour=1.0, **LABELS
        )
    write(said, "2.wav", np.zeros(0))
    with pytest.raises(DataError, match=r"2\.wav: holds no samples; take it out"):
        calibrate(
            tones, tmp_path / "clips", [], tmp_path / "b", quiet, max_fa_per_hour=1.0, **LABELS
        )
    late = tmp_path / "t.csv"
    late.write_text(f"file,keyword,start_s\nclips/{LOW}/1.wav,{LOW},1", encoding="utf-8")
    with pytest.raises(DataError, match=r"from 1 s on, and the recording ends at 1 s; correct"):
        evaluate_events(tones, late, [recordings / "noise"], quiet, {}, 0.25)


def test_a_keyword_that_no_threshold_hits_is_told(tones: Path, tmp_path: Path) -> None:
    write(tmp_path, "1.wav", track(3.0, {1.0: LOW}))
    write(tmp_path, "2.wav", track(3.0, {}))
    rows = ["file,keyword,start_s,end_s", f"1.wav,{LOW},1.0,1.4", f"2.wav,{HIGH},1.0,1.4"]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    built = calibrate(
        tones, tmp_path / "t.csv", [], tmp_path / "b", quiet, max_fa_per_hour=100.0, **LABELS
    )
    note = f"{HIGH} is always missed: it is no hit at any threshold from 0.05 on"
    assert note in built.evaluation.notes
    assert not any(text.startswith(LOW) for text in built.evaluation.notes)


def test_a_keyword_that_is_given_up_or_unknown_is_told(tones: Path, tmp_path: Path) -> None:
    write(tmp_path, "1.wav", track(3.0, {1.0: LOW}))
    rows = ["file,keyword,start_s,end_s", f"1.wav,{LOW},1.0,1.4"]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    same = tmp_path / "same"
    write(same, "1.wav", track(3.0, {1.0: LOW}))  # said, but not labelled
    built = calibrate(
        tones, tmp_path / "t.csv", [same], tmp_path / "b", quiet, max_fa_per_hour=0.0, **LABELS
    )
    assert built.evaluation.keywords[0].misses == 1
    assert f"{HIGH} is not among the positives: its threshold is a guess" in built.evaluation.notes
    assert any(
        note.startswith(f"{LOW} is always missed: hits would exceed the limit")
        for note in built.evaluation.notes
    )
