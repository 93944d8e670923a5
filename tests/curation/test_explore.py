"""Exploring: everything that was broken on purpose is found, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.cli.data_tables import exploration_tables
from edgekws.core.events import Event, quiet
from edgekws.curation.explore import Exploration, explore
from edgekws.curation.source import data_source
from edgekws.errors import DataError, RecipeError, UsageError

RATE = 16_000
SPEAKERS = tuple(f"s{n}" for n in range(26))
DEV, TEST = (*SPEAKERS[10:13], *SPEAKERS[16:21]), (*SPEAKERS[13:16], *SPEAKERS[21:])


def sound(seed: int, level: float = 0.1) -> NDArray[np.float32]:
    """Return 0.7 s, in the middle noise that changes its colour, another one for every seed."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(10):
        place, width = random.uniform(200, 2_500), random.uniform(200, 800)
        spectrum = np.fft.rfft(random.normal(0, 1, 960))
        spectrum /= 1 + ((np.fft.rfftfreq(960, 1 / RATE) - place) / width) ** 2
        parts.append(np.fft.irfft(spectrum, 960) * random.uniform(0.3, 1))
    wave = np.concatenate([np.zeros(800), *parts, np.zeros(800)])
    return np.asarray(wave * level / np.abs(wave).max(), np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two words of 26 speakers with lists of dev and test; nothing is wrong with it."""
    root = tmp_path / "слова"
    for w, word in enumerate(("да", "нет")):
        (root / word).mkdir(parents=True)
        for n, speaker in enumerate(SPEAKERS):
            soundfile.write(root / word / f"{speaker}_nohash_0.wav", sound(100 * w + n), RATE)
    for name, speakers in (("validation_list.txt", DEV), ("testing_list.txt", TEST)):
        lines = [f"{word}/{who}_nohash_0.wav\n" for word in ("да", "нет") for who in speakers]
        (root / name).write_text("".join(lines), encoding="utf-8")
    return root


def look(source: Path, *overrides: str) -> Exploration:
    return explore(data_source(str(source), overrides), quiet)


def codes(exploration: Exploration) -> list[str]:
    return [item.code for item in exploration.findings]


def test_nothing_is_found_where_nothing_is_wrong(folder: Path) -> None:
    exploration = look(folder)
    assert exploration.findings == ()
    assert exploration.counts == {w: {"train": 10, "dev": 8, "test": 8} for w in ("да", "нет")}
    assert exploration.speakers == exploration.counts
    assert exploration.speakers_per_split == {"train": 10, "dev": 8, "test": 8}
    assert (exploration.clips, exploration.readable, exploration.sample_rates) == (
        52,
        52,
        {"16000": 52},
    )
    assert exploration.spread["peak_dbfs"][3] == pytest.approx(-20, abs=0.01)
    assert exploration.spread["length_s"] == (0.7,) * 7
    assert sum(exploration.histograms["rms_dbfs"].counts["train"]) == 20
    assert len(exploration.rows) == 52
    assert exploration.kind_of_test == "real people"
    assert "kind of test: real people" in exploration_tables(exploration)[1]
    json.dumps(exploration.to_dict(), allow_nan=False)


def test_what_was_broken_is_found_most_serious_first(folder: Path) -> None:
    yes, no = folder / "да", folder / "нет"
    (yes / "s0_nohash_0.wav").write_bytes(b"no audio")
    soundfile.write(yes / "s10_nohash_7.wav", sound(500), RATE)  # s10 is of dev; listed: train
    made_over = np.concatenate([np.zeros(900, np.float32), 0.4 * sound(113)])
    soundfile.write(no / "s3_nohash_8.wav", made_over, RATE)  # that of s13, in test
    soundfile.write(yes / "s4_nohash_9.flac", sound(105), RATE)  # that of s5 in the other word
    soundfile.write(no / "s1_nohash_2.wav", sound(101), RATE)  # that of s1, once more
    soundfile.write(no / "s2_nohash_2.wav", np.zeros(RATE), RATE)
    soundfile.write(no / "s2_nohash_3.wav", np.clip(sound(600, 3.0), -1, 1), RATE)
    soundfile.write(no / "s2_nohash_4.wav", np.tile(sound(601), 3), RATE)
    soundfile.write(no / "s2_nohash_5.wav", sound(602)[:1_600], RATE)
    soundfile.write(no / "s2_nohash_6.wav", sound(603)[::2], 8_000)
    soundfile.write(no / "s2_nohash_7.wav", sound(604) + 0.05, RATE)
    soundfile.write(no / "s2_nohash_8.wav", sound(605, 0.002), RATE)
    exploration = look(folder)
    assert codes(exploration) == [
        "unreadable", "speaker_leak", "audio_leak", "label_conflict",
        "duplicate", "silent", "low_rate", "short", "long", "faint",
        "clipping", "offset",
    ]  # fmt: skip
    assert [item.level for item in exploration.findings] == ["error"] * 4 + ["warning"] * 6 + [
        "note"
    ] * 2
    by_code = {item.code: item for item in exploration.findings}
    assert all(item.count == 1 for item in exploration.findings)
    (leak,) = by_code["speaker_leak"].examples
    assert leak in ("s10: 2 in dev, 1 in train", "s10: 1 in train, 2 in dev")
    (same,) = by_code["audio_leak"].examples
    assert " ≈ " in same
    assert "нет/s3_nohash_8.wav [нет, train]" in same
    assert "нет/s13_nohash_0.wav [нет, test]" in same
    assert " = " in by_code["duplicate"].examples[0]
    assert by_code["unreadable"].examples[0].startswith("да/s0_nohash_0.wav: cannot be read")
    assert by_code["long"].examples == ("нет/s2_nohash_4.wav: 2.10 s",)
    assert exploration.readable == exploration.clips - 1


def test_what_systems_leave_and_what_cancels_out_is_told(folder: Path) -> None:
    (folder / "lost+found").mkdir()
    (folder / "да" / "self").symlink_to(".")
    path = folder / "да" / "s0_nohash_0.wav"
    wave, rate = soundfile.read(path)
    soundfile.write(path, np.stack([wave, -wave], 1), rate)
    exploration = look(folder)
    assert "lost+found" not in exploration.labels
    assert "ignored: 1 folder inside a folder, 1 folder lost+found" in exploration.notes
    by_code = {item.code: item for item in exploration.findings}
    assert "да/s0_nohash_0.wav: its channels cancel" in by_code["unreadable"].examples[0]
    assert "duplicate" not in by_code


def test_what_training_refuses_is_explored_and_the_reason_told(folder: Path) -> None:
    (folder / "leer").mkdir()
    lists = folder / "testing_list.txt"
    lists.write_text(lists.read_text("utf-8") + "нет/gone.wav\n", encoding="utf-8")
    exploration = look(folder)
    assert exploration.findings[0].code == "refused"
    assert "holds no recordings" in exploration.findings[0].examples[0]
    assert exploration.counts["да"] == {"train": 10, "dev": 8, "test": 8}


def test_wrong_rows_of_a_table_are_told_and_the_rest_explored(folder: Path) -> None:
    rows = [f"{p.relative_to(folder)},{p.parent.name},train" for p in folder.glob("*/*.wav")]
    rows += ["gone.wav,да,train", "нет/s3_nohash_0.wav,нет,nirgends"]
    table = folder / "clips.csv"
    table.write_text("\n".join(["path,label,split", *rows]) + "\n", encoding="utf-8")
    exploration = look(table)
    assert exploration.findings[0].code == "rows"
    assert exploration.findings[0].count == 2
    assert exploration.clips == 52


def test_a_leak_of_a_table_is_told_once(folder: Path) -> None:
    files = sorted(folder.glob("*/*.wav"))
    rows = [
        f"{p.relative_to(folder)},{p.parent.name},{('train', 'dev', 'test')[i % 3]},anna"
        for i, p in enumerate(files)
    ]
    table = folder / "clips.csv"
    table.write_text("\n".join(["path,label,split,speaker", *rows]) + "\n", encoding="utf-8")
    exploration = look(table)
    assert "speaker_leak" in codes(exploration)
    assert "rows" not in codes(exploration)


def test_classes_that_could_be_told_by_their_level_or_rate(folder: Path) -> None:
    for n in range(26):
        (folder / "c").mkdir(exist_ok=True)
        soundfile.write(folder / "c" / f"s{n}_nohash_0.wav", sound(900 + n, 0.9), RATE)
        (folder / "d").mkdir(exist_ok=True)
        soundfile.write(folder / "d" / f"s{n}_nohash_0.wav", sound(950 + n), 22_050)
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).unlink()
    by_code = {item.code: item for item in look(folder).findings}
    assert set(by_code) == {"class_level", "class_rate", "few_held_out"}
    assert by_code["class_level"].examples[0].startswith("c: +1")
    assert by_code["class_rate"].examples == ("d: 22050 Hz",)


def test_too_few_held_out_speakers_are_told_beforehand(folder: Path) -> None:
    lists = folder / "testing_list.txt"
    lines = lists.read_text("utf-8").splitlines(keepends=True)
    lists.write_text("".join(lines[:7] + lines[8:15]), encoding="utf-8")  # 7 of each word
    (one,) = look(folder).findings
    assert (one.level, one.code) == ("warning", "few_held_out")
    assert one.title == "held-out parts with fewer than 8 speakers"
    assert one.examples == ("test: 7",)


def test_progress_and_overrides(folder: Path) -> None:
    events: list[Event] = []
    given = data_source(str(folder), ["front_end.window_s=0.5", 'dataset.keywords=["да"]'])
    exploration = explore(given, events.append)
    assert set(exploration.labels) == {"да", "_unknown_"}
    assert [item.code for item in exploration.findings] == ["long"]
    assert [e.done for e in events if e.text == "measuring clips"][-1] == 52


def test_where_nothing_can_be_read_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no word folders"):
        look(tmp_path)
    for n in range(5):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"s{n}_nohash_0.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="none of its 5 clips can be read"):
        look(tmp_path)
    with pytest.raises(UsageError, match="no such folder, table"):
        look(tmp_path / "nope")
    with pytest.raises(RecipeError, match=r"dataset.rot: no such key; did you mean root\?"):
        look(tmp_path, "dataset.rot=1")


def test_real_recordings_made_over_are_found(shared_data: Path, tmp_path: Path) -> None:
    words = ("five", "stop")
    for word in words:
        (tmp_path / word).mkdir()
        for path in sorted((shared_data / "asc" / word).glob("*_NO_01.flac"))[:8]:
            (tmp_path / word / path.name).symlink_to(path)
    source = sorted((tmp_path / "stop").iterdir())[3]
    wave, rate = soundfile.read(source)
    soundfile.write(tmp_path / "five" / "x_1.ogg", 0.4 * wave[500:], rate)
    conflicts = [item for item in look(tmp_path).findings if item.code == "label_conflict"]
    assert len(conflicts) == 1
    assert conflicts[0].count == 1
    assert source.name in conflicts[0].examples[0]
    assert "x_1.ogg" in conflicts[0].examples[0]
