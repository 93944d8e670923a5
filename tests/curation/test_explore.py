"""Exploring: everything that was broken on purpose is found, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.core.events import Event, quiet
from edgekws.curation.explore import Exploration, explore
from edgekws.curation.source import material
from edgekws.errors import DataError, RecipeError, UsageError

RATE = 16_000
SPEAKERS = tuple(f"s{n}" for n in range(16))
DEV, TEST = SPEAKERS[10:13], SPEAKERS[13:]


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
    """Two words of 16 speakers with lists of dev and test; nothing is wrong with it."""
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
    return explore(material(str(source), overrides), quiet)


def codes(found: Exploration) -> list[str]:
    return [one.code for one in found.findings]


def test_nothing_is_found_where_nothing_is_wrong(folder: Path) -> None:
    found = look(folder)
    assert found.findings == ()
    assert found.counts == {w: {"train": 10, "dev": 3, "test": 3} for w in ("да", "нет")}
    assert found.speakers == found.counts
    assert found.speakers_per_split == {"train": 10, "dev": 3, "test": 3}
    assert (found.clips, found.readable, found.sample_rates) == (32, 32, {"16000": 32})
    assert found.spread["peak_dbfs"][3] == pytest.approx(-20, abs=0.01)
    assert found.spread["length_s"] == (0.7,) * 7
    assert sum(found.histograms["rms_dbfs"].counts["train"]) == 20
    assert len(found.rows) == 32
    json.dumps(found.to_dict(), allow_nan=False)


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
    found = look(folder)
    assert codes(found) == [
        "unreadable", "speaker_leak", "audio_leak", "label_conflict",
        "duplicate", "silent", "low_rate", "short", "long", "faint",
        "clipping", "offset",
    ]  # fmt: skip
    assert [one.level for one in found.findings] == ["error"] * 4 + ["warning"] * 6 + ["note"] * 2
    by_code = {one.code: one for one in found.findings}
    assert all(one.count == 1 for one in found.findings)
    (leak,) = by_code["speaker_leak"].examples
    assert leak in ("s10: 2 in dev, 1 in train", "s10: 1 in train, 2 in dev")
    (same,) = by_code["audio_leak"].examples
    assert " ≈ " in same
    assert "нет/s3_nohash_8.wav [нет, train]" in same
    assert "нет/s13_nohash_0.wav [нет, test]" in same
    assert " = " in by_code["duplicate"].examples[0]
    assert by_code["unreadable"].examples[0].startswith("да/s0_nohash_0.wav: cannot be read")
    assert by_code["long"].examples == ("нет/s2_nohash_4.wav: 2.10 s",)
    assert found.readable == found.clips - 1


def test_what_systems_leave_and_what_cancels_out_is_told(folder: Path) -> None:
    (folder / "lost+found").mkdir()
    (folder / "да" / "self").symlink_to(".")
    path = folder / "да" / "s0_nohash_0.wav"
    wave, rate = soundfile.read(path)
    soundfile.write(path, np.stack([wave, -wave], 1), rate)
    found = look(folder)
    assert "lost+found" not in found.labels
    assert "ignored: 1 folder inside a folder, 1 folder lost+found" in found.notes
    by_code = {one.code: one for one in found.findings}
    assert "да/s0_nohash_0.wav: its channels cancel" in by_code["unreadable"].examples[0]
    assert "duplicate" not in by_code


def test_what_training_refuses_is_explored_and_the_reason_told(folder: Path) -> None:
    (folder / "leer").mkdir()
    lists = folder / "testing_list.txt"
    lists.write_text(lists.read_text("utf-8") + "нет/gone.wav\n", encoding="utf-8")
    found = look(folder)
    assert found.findings[0].code == "refused"
    assert "holds no recordings" in found.findings[0].examples[0]
    assert found.counts["да"] == {"train": 10, "dev": 3, "test": 3}


def test_wrong_rows_of_a_table_are_told_and_the_rest_explored(folder: Path) -> None:
    rows = [f"{p.relative_to(folder)},{p.parent.name},train" for p in folder.glob("*/*.wav")]
    rows += ["gone.wav,да,train", "нет/s3_nohash_0.wav,нет,nirgends"]
    table = folder / "clips.csv"
    table.write_text("\n".join(["path,label,split", *rows]) + "\n", encoding="utf-8")
    found = look(table)
    assert found.findings[0].code == "rows"
    assert found.findings[0].count == 2
    assert found.clips == 32


def test_a_leak_of_a_table_is_told_once(folder: Path) -> None:
    files = sorted(folder.glob("*/*.wav"))
    rows = [
        f"{p.relative_to(folder)},{p.parent.name},{('train', 'dev', 'test')[i % 3]},anna"
        for i, p in enumerate(files)
    ]
    table = folder / "clips.csv"
    table.write_text("\n".join(["path,label,split,speaker", *rows]) + "\n", encoding="utf-8")
    found = look(table)
    assert "speaker_leak" in codes(found)
    assert "rows" not in codes(found)


def test_classes_that_could_be_told_by_their_level_or_rate(folder: Path) -> None:
    for n in range(16):
        (folder / "c").mkdir(exist_ok=True)
        soundfile.write(folder / "c" / f"s{n}_nohash_0.wav", sound(900 + n, 0.9), RATE)
        (folder / "d").mkdir(exist_ok=True)
        soundfile.write(folder / "d" / f"s{n}_nohash_0.wav", sound(950 + n), 22_050)
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).unlink()
    found = {one.code: one for one in look(folder).findings}
    assert set(found) == {"class_level", "class_rate"}
    assert found["class_level"].examples[0].startswith("c: +1")
    assert found["class_rate"].examples == ("d: 22050 Hz",)


def test_progress_and_overrides(folder: Path) -> None:
    events: list[Event] = []
    given = material(str(folder), ["front_end.window_s=0.5", 'dataset.keywords=["да"]'])
    found = explore(given, events.append)
    assert set(found.labels) == {"да", "_unknown_"}
    assert [one.code for one in found.findings] == ["long"]
    assert [e.done for e in events if e.text == "listening"][-1] == 32


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
    found = [one for one in look(tmp_path).findings if one.code == "label_conflict"]
    assert len(found) == 1
    assert found[0].count == 1
    assert source.name in found[0].examples[0]
    assert "x_1.ogg" in found[0].examples[0]
