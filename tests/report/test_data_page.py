"""The page of a dataset: every section, everything escaped, the same bytes twice."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgekws.curation.evidence import Finding
from edgekws.curation.explore import Exploration, Histogram
from edgekws.errors import MachineError
from edgekws.report.data_page import write_exploration

SPLITS = ("train", "test")


def exploration() -> Exploration:
    counts = {"да": {"train": 1_200, "test": 3}, "<b>": {"train": 0, "test": 2}}
    spread = (-40.0, -30.0, -25.0, -20.0, -15.0, -10.0, -1.0)
    histogram = Histogram((-40.0, -20.0, 0.0), {"train": (1_000, 200), "test": (5, 0)})
    names = ("length_s", "rms_dbfs", "peak_dbfs", "range_db")
    findings = (
        Finding("error", "audio_leak", "recordings in two splits", 1_234, 1_300,
                ("a<i> = b",), "keep one of each"),
        Finding("note", "offset", "clips with an offset", 1, 1_300, ("c",), "filter it out"),
    )  # fmt: skip
    return Exploration(
        "проба", "recordings", 1_205, 1_204, 0.5, ("да", "<b>"), SPLITS, counts, counts,
        {"train": 9, "test": 2}, {"anna": 1_000, "<u>": 205}, {"16000": 1_204}, {"1": 1_204},
        {".wav": 1_205}, dict.fromkeys(names, spread), {"да": spread},
        dict.fromkeys(names, histogram), findings, ("held <out>",), "real <people>", {},
        ({"path": "a.wav", "label": "да"},),
    )  # fmt: skip


@pytest.fixture
def found() -> Exploration:
    return exploration()


def test_shows_everything_and_escapes_it(found: Exploration, tmp_path: Path) -> None:
    page = write_exploration(found, tmp_path / "page.html").read_text(encoding="utf-8")
    again = write_exploration(found, tmp_path / "again.html").read_text(encoding="utf-8")
    assert page == again
    for heading in ("What to fix", "Classes", "Lengths and levels", "Speakers", "Files"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<svg") == 3
    assert "1 to fix before training" in page
    assert "Recordings in two splits: 1,234" in page
    assert "and 1,233 more" in page
    assert "a&lt;i&gt; = b" in page
    assert "held &lt;out&gt;" in page
    assert "real &lt;people&gt;" in page
    assert "<b>" not in page
    assert "<u>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "prefers-color-scheme: dark" in page


def test_a_folder_has_the_clips_and_the_figures_too(found: Exploration, tmp_path: Path) -> None:
    assert write_exploration(found, tmp_path / "out") == tmp_path / "out" / "report.html"
    with (tmp_path / "out" / "clips.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [{"path": "a.wav", "label": "да"}]
    figures = json.loads((tmp_path / "out" / "explore.json").read_text(encoding="utf-8"))
    assert figures["findings"][0]["count"] == 1_234
    assert figures["percentiles"] == [0, 5, 25, 50, 75, 95, 100]


def test_clean_data_without_speakers_has_a_page(found: Exploration, tmp_path: Path) -> None:
    bare = replace(found, findings=(), clips_per_speaker={}, hours=2.5, notes=())
    page = write_exploration(bare, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Ready to train on" in page
    assert "Nothing was found." in page
    assert "<h2>Speakers</h2>" not in page
    assert "2.50 h" in page


def test_where_nothing_can_be_written(found: Exploration, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot be written"):
        write_exploration(found, tmp_path / "file" / "page.html")
