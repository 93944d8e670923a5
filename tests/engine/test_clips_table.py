"""The table of clips that a run leaves: it says who was held out, and reads as a dataset."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.core.corpus import SPLITS, Clip
from edgekws.core.events import quiet
from edgekws.core.report import Report
from edgekws.datasets.folder import Dataset as FolderDataset
from edgekws.datasets.manifest import Dataset
from edgekws.engine.data import Source
from edgekws.recipe.load import Loaded, load
from edgekws.runtime.front_end import FrontEnd


def rows(source: Source, path: Path) -> list[dict[str, str]]:
    source.write_clips(path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_clip_is_listed_with_its_split(loaded: Loaded, tmp_path: Path) -> None:
    source = Source(loaded.recipe, tmp_path / "cache", quiet)
    result = rows(source, tmp_path / "clips.csv")
    assert len(result) == len(source.listing.clips) == 40
    for row, clip in zip(result, source.listing.clips, strict=True):
        assert Path(row["file"]) == clip.path
        assert Path(row["file"]).is_absolute()
        assert (row["label"], row["speaker"], row["split"]) == (
            clip.label,
            clip.speaker,
            clip.split,
        )
        assert row["start_s"] == row["end_s"] == ""
    again = Source(loaded.recipe, tmp_path / "cache", quiet)
    again.write_clips(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "clips.csv").read_bytes()
    assert "listing" not in vars(again)  # taken from the cache


def test_bytes_that_are_not_utf8_come_through_to_the_features(
    loaded: Loaded, tmp_path: Path
) -> None:
    folder = tmp_path / "rec"
    rng = np.random.default_rng(1)
    for word in "ab":
        (folder / word).mkdir(parents=True)
        for n in range(10):
            name = os.fsencode(folder / word) + b"/\xff%d_nohash_0.wav" % n
            soundfile.write(name, rng.uniform(-0.5, 0.5, 8_000), 8_000, format="WAV")
        again = folder / word / os.fsdecode(b"\xfe_nohash_0.wav")
        again.write_bytes(Path(os.fsdecode(name)).read_bytes())
    dataset = FolderDataset(root=folder, unknown=False, speaker_pattern="^([^_]+)_")
    recipe = loaded.recipe.model_copy(update={"dataset": dataset})
    source = Source(recipe, tmp_path / "cache", quiet)
    result = rows(source, tmp_path / "clips.csv")
    assert len(result) == 22
    assert all("\\udcff" in row["file"] or "\\udcfe" in row["file"] for row in result)
    names = source.features.examples("train").names
    assert all("\\udcff" in name for name in names)
    assert [Path(one["path"]).suffix for one in source.summary()["rejected"]] == [".wav"] * 2
    report = Report("demo", "", {}, source.summary(), (), ok=True)
    report.save(tmp_path / "report.json")
    assert "\\\\udcfe" in (tmp_path / "report.json").read_text("utf-8")
    assert len(Report.load(tmp_path / "report.json").data["rejected"]) == 2


@pytest.fixture
def spoken(tones: Path, tmp_path: Path) -> Loaded:
    """Two words of ten speakers at a known place in three seconds, and four other speakers."""
    table = ["path,label,speaker,start_s,end_s"]
    rng = np.random.default_rng(1)
    for name in [f"{w}-{s}.wav" for w in "ab" for s in range(10)] + [
        f"n/{s}/x.wav" for s in "cdef"
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.5, 0.5, 24_000), 8_000)
        if "-" in name:
            table.append(f"{name},{name[0]},s{name[2]},1.2,{1.7 + 0.01 * int(name[2]):g}")
    (tmp_path / "t.csv").write_text("\n".join(table))
    recipe = tones.read_text("utf-8").replace(str(tones.parent / "clips.csv"), f"{tmp_path}/t.csv")
    windows = f'windows = {{}}\nnegatives = ["{tmp_path}/n"]'
    path = tmp_path / "windows.toml"
    path.write_text(recipe.replace("unknown = false", windows), "utf-8")
    return load(str(path))


def test_of_windows_the_recordings_are_listed(spoken: Loaded, tmp_path: Path) -> None:
    """Their table, as a dataset with given splits, cuts the same windows into the same splits."""
    source = Source(spoken.recipe, tmp_path / "cache", quiet)
    result = rows(source, tmp_path / "clips.csv")
    assert len(result) == 20 + 4
    words = [row for row in result if row["label"] != "_unknown_"]
    assert {(row["start_s"], row["end_s"]) for row in words if row["speaker"] == "s3"} == {
        ("1.2", "1.73")
    }
    others = [row for row in result if row["label"] == "_unknown_"]
    assert {(row["speaker"], row["start_s"], row["end_s"]) for row in others} == {
        (name, "", "") for name in "cdef"
    }
    assert {row["split"] for row in words} == set(SPLITS) == {row["split"] for row in others}
    again = Dataset.model_validate(
        {
            "path": tmp_path / "clips.csv",
            "root": "/",
            "columns": {"path": "file"},
            "windows": {},
            "where": {"label": ["a", "b"]},
        }
    )
    front_end: FrontEnd = spoken.recipe.front_end.front_end()
    listing = again.list_clips(front_end, spoken.recipe.seed, tmp_path, quiet)

    def held_out(clips: Iterable[Clip]) -> set[Clip]:
        return {c for c in clips if c.label in "ab" and c.split != "train"}

    assert held_out(listing.clips) == held_out(source.listing.clips) != set()


def test_windows_left_out_are_counted_with_their_recordings(spoken: Loaded, tmp_path: Path) -> None:
    silent = tmp_path / "n" / "g" / "x.wav"
    silent.parent.mkdir()
    soundfile.write(silent, np.zeros(24_000), 8_000)
    summary = Source(spoken.recipe, tmp_path / "cache", quiet).summary()
    (row,) = summary["rejected"]
    assert (row["path"], row["reason"], row["detail"]) == (
        str(silent),
        "silent",
        "largest sample 0 of 1",
    )
    assert row["clips"] > 1
    assert f"left out as silent: {row['clips']} clips of 1 recording" in summary["notes"]
