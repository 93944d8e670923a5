"""What stands in the way of a run is found before the work."""

from pathlib import Path

import pytest

from edgekws.core.events import Event
from edgekws.core.report import Report
from edgekws.engine.run import compress
from edgekws.engine.run_folder import close_run
from edgekws.errors import MachineError, UsageError
from edgekws.recipe.load import Loaded


def refused(loaded: Loaded, folder: Path, match: str, kind: type[Exception] = UsageError) -> None:
    reported = list[Event]()
    before = sorted(folder.rglob("*"))
    with pytest.raises(kind, match=match):
        compress(loaded, runs=folder / "runs", dist=folder / "dist", emit=reported.append)
    assert reported == []
    assert set(before) <= set(folder.rglob("*"))


def test_a_folder_that_is_no_bundle(loaded: Loaded, tmp_path: Path) -> None:
    mine = tmp_path / "dist" / "tones" / "only_copy.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("x")
    refused(loaded, tmp_path, r"tones holds only_copy\.txt, .* move it away, or name .* --dist")
    assert mine.read_text() == "x"


def test_a_link_and_a_file(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "tones").symlink_to("elsewhere")
    refused(loaded, tmp_path, r"dist/tones is a link to elsewhere, .*--dist")
    (tmp_path / "dist" / "tones").unlink()
    (tmp_path / "dist" / "tones").write_text("x")
    refused(loaded, tmp_path, r"dist/tones is a file, .*--dist")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_latest_that_is_no_link(loaded: Loaded, tmp_path: Path, kind: str) -> None:
    latest = tmp_path / "runs" / "tones" / "latest"
    latest.parent.mkdir(parents=True)
    latest.mkdir() if kind == "folder" else latest.write_text("x")
    refused(loaded, tmp_path, rf"tones/latest is a {kind}, and the link .*--runs")


def test_dist_that_is_a_file(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("x")
    refused(loaded, tmp_path, r"dist: cannot be written .*--dist", MachineError)


def test_latest_leads_to_the_run_also_after_one_killed_while_it_was_made(tmp_path: Path) -> None:
    run = tmp_path / "tones" / "20260101-120000"
    unfinished = run.with_name("20260101-120000.incomplete")
    unfinished.mkdir(parents=True)
    (run.parent / ".latest.new").symlink_to("what was killed")
    report = Report("tones", "", {}, {}, (), ok=True)
    close_run(unfinished, report)
    assert not unfinished.exists()
    assert (run / "report.json").is_file()
    assert (run.parent / "latest").readlink() == Path(run.name)
    assert {path.name for path in run.parent.iterdir()} == {"latest", run.name}
