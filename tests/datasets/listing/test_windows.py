"""Windows out of longer recordings: each checked against the table, and refusals."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgekws.audio.decoding import decode, to_int16
from edgekws.audio.reading import read_audio
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Listing, Split
from edgekws.core.events import quiet
from edgekws.datasets.listing.windows import _drawn, _gaps
from edgekws.datasets.manifest import Dataset
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

RATE = 8000
FRONT_END = FrontEnd(RATE, 0.8, 256, 240, 80, 20, 20.0, 4000.0)
W = FRONT_END.window_s
SEED = 7


def record(path: Path, seconds: float) -> None:
    """Write noise that is different in every file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(f"{path.parent.name}/{path.name}".encode()))
    soundfile.write(path, rng.uniform(-0.5, 0.5, int(seconds * RATE)), RATE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Ten speakers: sentences with one or two keywords, a short file with one; negatives."""
    rows = ["path,label,speaker,start_s,end_s"]
    for s in range(10):
        start = 1.2 + 0.03 * s
        for word in ("да", "нет"):
            record(tmp_path / f"{s}-{word}.wav", 4)
            rows.append(f"{s}-{word}.wav,{word},г{s},{start},{start + 0.5}")
        record(tmp_path / f"{s}-both.wav", 5.5)
        rows.append(f"{s}-both.wav,да,г{s},1.5,2.0")
        rows.append(f"{s}-both.wav,нет,г{s},2.1,2.65")
        record(tmp_path / f"{s}-alone.wav", 0.7)
        rows.append(f"{s}-alone.wav,нет,г{s},0.1,0.5")
    for n in range(8):
        record(tmp_path / "neg" / f"n{n}" / "a.wav", 3.3)
    record(tmp_path / "neg" / "г0" / "the-same-voice.wav", 3)
    (tmp_path / "t.csv").write_text("\n".join(rows), "utf-8")
    return tmp_path


def listed(home: Path, seed: int = SEED, front_end: FrontEnd = FRONT_END, **fields: Any) -> Listing:
    table = {"path": home / "t.csv", "windows": {"per_keyword": 3, "partial": 2}, **fields}
    return Dataset.model_validate(table).list_clips(front_end, seed, home, quiet)


def places(listing: Listing) -> dict[Path, list[Clip]]:
    """Return the rows of the table by file."""
    rows = defaultdict(list)
    for clip in listing.recordings:
        if clip.label != UNKNOWN:
            rows[clip.path].append(clip)
    return dict(rows)


def share(clip: Clip, window: Clip) -> float:
    """Return which share of a keyword a window holds, counted in milliseconds."""
    first, last = (round(1000 * t) for t in (clip.start_s, clip.end_s or 0))
    said = set(range(first, last))
    span = range(round(1000 * window.start_s), round(1000 * (window.end_s or 0)))
    return len(said.intersection(span)) / len(said)


def test_every_window_holds_what_its_label_says(home: Path) -> None:
    listing = listed(home, negatives=[home / "neg"])
    rows, kinds = places(listing), Counter[str]()
    for window in listing.clips:
        length_s = soundfile.info(window.path).duration
        if window.end_s is None:
            assert (window.start_s, window.label) == (0, "нет")
            assert length_s < W
            kinds["file"] += 1
            continue
        assert window.start_s >= 0
        assert window.end_s <= length_s
        assert window.end_s - window.start_s == pytest.approx(W, abs=1e-6)
        assert round(1000 * window.start_s) == pytest.approx(1000 * window.start_s, abs=1e-6)
        held = {row.label: share(row, window) for row in rows.get(window.path, ())}
        if window.label != UNKNOWN:
            assert held.pop(window.label) == 1
            assert all(other == 0 for other in held.values())  # there is room
            kinds["whole"] += 1
        elif any(held.values()):
            part = max(held.values())
            assert sorted(held.values())[:-1] in ([], [0])
            assert 0.24 <= part <= 0.51  # to the grid of 1 ms
            kinds["part"] += 1
        else:
            kinds["free"] += 1
    assert kinds["file"] == 10
    assert kinds["whole"] == 4 * 10 * 3
    assert 4 * 10 * 2 - 3 <= kinds["part"] <= 4 * 10 * 2  # two may begin at the same place
    seconds = sum(
        last - first
        for path, clips in rows.items()
        for first, last in _gaps([(c.start_s, c.end_s or 0) for c in clips], _seconds(path))
        if last - first >= W
    )
    seconds += 8 * 3.3 + 3
    assert kinds["free"] == pytest.approx(0.5 * seconds, rel=0.15)
    assert any(note.startswith("windows of 0.8 s: 120 with a whole word") for note in listing.notes)


def _seconds(path: Path) -> float:
    return float(soundfile.info(path).duration)


def test_both_parts_of_a_keyword_are_held(home: Path) -> None:
    listing = listed(home)
    rows = places(listing)
    sides = Counter(
        window.start_s < row.start_s
        for window in listing.clips
        if window.label == UNKNOWN and window.end_s is not None
        for row in rows.get(window.path, ())
        if 0 < share(row, window) < 1
    )
    assert sides[True] > 20
    assert sides[False] > 20


def test_windows_are_cut_at_the_sample(home: Path) -> None:
    corpus = decode(listed(home, negatives=[home / "neg"]), FRONT_END, home / "cache", quiet)
    assert not corpus.rejected
    checked = 0
    for split in SPLITS:
        for clip, wave in zip(corpus.splits[split], corpus.waveforms(split), strict=True):
            if clip.end_s is not None:
                whole = to_int16(read_audio(clip.path, RATE))
                first = round(clip.start_s * RATE)
                np.testing.assert_array_equal(wave, whole[first : first + len(wave)])
                checked += 1
    assert checked > 200


def test_no_speaker_is_in_two_splits(home: Path) -> None:
    for seed in range(3):
        listing = listed(home, seed, negatives=[home / "neg"])
        splits: defaultdict[str | Path | None, set[Split]] = defaultdict(set)
        for clip in (*listing.clips, *listing.recordings):
            splits[clip.speaker].add(clip.split)
            splits[clip.path].add(clip.split)
        assert {len(names) for names in splits.values()} == {1}
        # the recordings of a speaker of the table go with their clips
        assert splits["г0"] == splits[home / "neg" / "г0" / "the-same-voice.wav"]
        strangers = {s for n in range(8) for s in splits[f"n{n}"]}
        assert strangers == set(SPLITS)
        assert {clip.split for clip in listing.negatives} == set(SPLITS)
        for clip in listing.negatives:
            assert splits[clip.speaker] == splits[clip.path] == {clip.split}


def test_negatives_are_the_parts_without_a_keyword(home: Path) -> None:
    listing = listed(home, negatives=[home / "neg"])
    rows = places(listing)
    recordings = {clip.path for clip in listing.recordings}
    assert {part.path for part in listing.negatives} == {
        path for path in recordings if "alone" not in path.name
    }
    for part in listing.negatives:
        assert part.label == UNKNOWN
        assert (part.end_s or 0) - part.start_s >= W
        assert all(share(row, part) == 0 for row in rows.get(part.path, ()))


def test_windows_of_a_part_of_a_negative_stay_in_it(home: Path) -> None:
    rows = [f"neg/n{n}/a.wav,n{n},{0.5 * (n % 3)},{0.5 * (n % 3) + 2}" for n in range(8)]
    (home / "neg.csv").write_text("\n".join(["file,speaker,start_s,end_s", *rows]), "utf-8")
    listing = listed(home, negatives=[home / "neg.csv"])
    parts = {c.path: c for c in listing.negatives if c.path.parent.parent.name == "neg"}
    assert len(parts) == 8
    assert all(part.end_s == part.start_s + 2 for part in parts.values())
    windows = [clip for clip in listing.clips if clip.path in parts]
    assert len(windows) >= 8
    for clip in windows:
        part = parts[clip.path]
        assert part.start_s <= clip.start_s < (clip.end_s or 9) <= (part.end_s or 0)


def test_a_recording_with_speakers_of_two_splits_is_refused(home: Path) -> None:
    lines = (home / "t.csv").read_text("utf-8").splitlines()
    splits = ["train", *["dev", "test"] * 5]
    rows = [f"{line},{splits[int(line[0])]}" for line in lines[1:]]
    rows.append("1-да.wav,нет,гость,3,3.4,train")
    (home / "t.csv").write_text("\n".join([f"{lines[0]},split", *rows]), "utf-8")
    with pytest.raises(
        DataError, match=r"1-да.wav has clips in dev \(of г1\) and in train \(of гость"
    ):
        listed(home)


def test_windows_come_from_the_seed_and_dev_and_test_from_none(home: Path) -> None:
    negatives = [home / "neg"]
    assert listed(home, negatives=negatives) == listed(home, negatives=negatives)
    first, other = (set(listed(home, seed, negatives=negatives).clips) for seed in (1, 2))

    def of(clips: set[Clip], split: str) -> dict[Path, set[Clip]]:
        by_file = defaultdict(set)
        for clip in clips:
            if clip.split == split:
                by_file[clip.path].add(clip)
        return by_file

    assert of(first, "test") == of(other, "test")
    both = of(first, "dev").keys() & of(other, "dev").keys()
    for path in both:
        assert of(first, "dev")[path] == of(other, "dev")[path]
    trained = of(first, "train").keys() & of(other, "train").keys()
    assert sum(of(first, "train")[path] != of(other, "train")[path] for path in trained) > 10


def test_another_row_leaves_the_windows_of_the_others(home: Path) -> None:
    before = {c for c in listed(home).clips if c.path.name != "9-да.wav"}
    table = home / "t.csv"
    lines = [line for line in table.read_text("utf-8").splitlines() if "9-да" not in line]
    table.write_text("\n".join(lines), "utf-8")
    assert set(listed(home).clips) == before


def test_rows_without_a_place_stay_whole(home: Path) -> None:
    record(home / "whole.wav", 3)
    with (home / "t.csv").open("a", encoding="utf-8") as file:
        file.write("\nwhole.wav,да,г1,,")
    whole = [clip for clip in listed(home).clips if clip.path.name == "whole.wav"]
    assert [(clip.start_s, clip.end_s, clip.label) for clip in whole] == [(0, None, "да")]


def test_keywords_longer_than_the_window_are_reported(home: Path) -> None:
    with (home / "t.csv").open("a", encoding="utf-8") as file:
        file.write("\n0-да.wav,да,г0,3.0,3.995")
    listing = listed(home)
    (note,) = [note for note in listing.notes if "longer than the window" in note]
    assert note.startswith(
        "keywords longer than the window of 0.8 s, left out: 1, up to 0.995 s in"
    )
    assert note.endswith("0-да.wav; set window_s in [front_end] to 1 to include them all")
    tight = FrontEnd(RATE, 0.38, 256, 240, 80, 20, 20.0, 4000.0)
    with pytest.raises(
        DataError,
        match=r"t\.csv: no clip of 'да' in train fits into a window of 0\.38 s; set window_s in "
        r"\[front_end\] to 1 to include them all",
    ):
        listed(home, front_end=tight)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unknown": False}, "windows of _unknown_ have no effect with unknown = false; set part"),
    ],
)
def test_fields_without_effect_are_refused(
    home: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        listed(home, **fields)


def test_wrong_negatives_are_reported(home: Path) -> None:
    with pytest.raises(DataError, match=r"is in .*t\.csv and under dataset\.negatives; its parts"):
        listed(home, negatives=[home])
    (home / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no recordings; remove it from dataset\.neg"):
        listed(home, negatives=[home / "empty"])
    with pytest.raises(DataError, match=r"missing: no such folder"):
        listed(home, negatives=[home / "missing"])
    record(home / "few" / "a" / "1.wav", 2)
    record(home / "few" / "b-1.wav", 2)
    with pytest.raises(DataError, match=r"negatives: 2 speakers \(a, b-1\.wav\), but 3 are needed"):
        listed(home, negatives=[home / "few"])


def test_windows_without_any_place_are_refused(home: Path) -> None:
    lines = (home / "t.csv").read_text("utf-8").splitlines()
    rows = [line.rsplit(",", 2)[0] for line in lines if "both" not in line]
    (home / "t.csv").write_text("\n".join(rows), "utf-8")
    message = r"t\.csv: no row has the position of its word, so dataset\.windows cuts nothing; give"
    with pytest.raises(DataError, match=message):
        listed(home)


def test_labels_and_fingerprint_know_windows(home: Path) -> None:
    def dataset(**fields: Any) -> Dataset:
        return Dataset.model_validate({"path": home / "t.csv", **fields})

    assert dataset().labels() == ("да", "нет")
    assert dataset(windows={}).labels() == ("да", "нет", UNKNOWN) == listed(home).labels
    bare = dataset(windows={"partial": 0, "per_negative_second": 0}, unknown=False)
    assert bare.labels() == ("да", "нет")
    before = dataset(windows={}, negatives=[home / "neg"]).fingerprint()
    assert before != dataset(windows={}).fingerprint()
    assert before != dataset(windows={"partial": 3}, negatives=[home / "neg"]).fingerprint()
    record(home / "neg" / "n9" / "a.wav", 2)
    assert before != dataset(windows={}, negatives=[home / "neg"]).fingerprint()


@given(st.integers(0, 5000), st.integers(1, 3000), st.integers(0, 40), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_places_are_spread_over_the_grid(first: int, length: int, count: int, seed: int) -> None:
    grid = range(first, first + length)
    drawn = _drawn(grid, count, np.random.default_rng(seed))
    assert all(round(1000 * place) in grid for place in drawn)
    assert drawn == sorted(set(drawn))
    assert len(drawn) <= count
    for part in range(count):  # each has one, up to where its border cuts a millisecond
        first_of, last_of = part * length // count, -(-(part + 1) * length // count)
        assert any(first + first_of <= round(1000 * place) < first + last_of for place in drawn)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=6), st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_gaps_are_what_no_span_covers(spans: list[tuple[int, int]], end: int) -> None:
    said = [(first, min(first + length, end)) for first, length in spans if first < end]
    covered = {t for first, last in said for t in range(first, last)}
    free = [t for first, last in _gaps(said, end) for t in range(int(first), int(last))]
    assert free == [t for t in range(end) if t not in covered]


def test_the_wake_words_of_the_corpus(shared_data: Path, tmp_path: Path) -> None:
    """Real recordings: splits without leaks, positive windows that hold the whole keyword."""
    source = shared_data / "wuw2" / "manifest.csv"
    dataset = Dataset.model_validate(
        {
            "path": source,
            "columns": {"path": "file", "label": "keyword"},
            "windows": {"per_keyword": 2},
            "negatives": [shared_data / "librispeech"],
        }
    )
    front_end = FrontEnd(RATE, 1.1, 256, 240, 80, 32, 20.0, 4000.0)
    listing = dataset.list_clips(front_end, SEED, tmp_path, quiet)
    rows = places(listing)
    assert len(rows) == 1140
    checked = 0
    for window in listing.clips:
        if window.label != UNKNOWN and window.end_s is not None:
            (row,) = rows[window.path]
            last = min(row.end_s or 0, soundfile.info(row.path).duration)
            assert window.start_s <= row.start_s + 1e-6
            assert window.end_s >= last - 1e-6
            checked += 1
    assert checked > 2200
