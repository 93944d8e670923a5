"""`compress --download`: asks the dataset to fetch, and refuses where there is nothing to fetch."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import edgekws.engine.run
from edgekws.cli.app import app
from edgekws.core.events import Emit, Event
from edgekws.datasets.speech_commands import Dataset
from edgekws.errors import DataError
from edgekws.recipe.load import Loaded

RECIPE = """\
schema = 1
name = "r"
[dataset]
{dataset}
[[steps]]
kind = "teacher"
backbone = {{ kind = "plain" }}
"""
COMMANDS = 'kind = "speech_commands"\nroot = "none"'
SYNTHETIC = 'kind = "synthetic"\nkeywords = ["stop"]'


def compress(folder: Path, dataset: str, *options: str) -> tuple[int, str]:
    recipe = folder / "r.toml"
    recipe.write_text(RECIPE.format(dataset=dataset))
    result = CliRunner().invoke(app, ["compress", str(recipe), *options])
    return result.exit_code, result.output


def test_download_asks_the_dataset_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: Dataset, emit: Emit) -> None:
        emit(Event("note", f"fetching into {self.root}"))

    def run(loaded: Loaded, **options: object) -> None:
        raise DataError("the run began")

    monkeypatch.setattr(Dataset, "download", download)
    monkeypatch.setattr(edgekws.engine.run, "compress", run)
    code, told = compress(tmp_path, COMMANDS, "--download")
    assert (code, told) == (5, "fetching into none\nerror: the run began\n")
    assert compress(tmp_path, COMMANDS) == (5, "error: the run began\n")


def test_download_is_refused_where_there_is_nothing_to_fetch(tmp_path: Path) -> None:
    code, told = compress(tmp_path, SYNTHETIC, "--download")
    assert code == 2
    assert told == "error: dataset synthetic has nothing to fetch; leave --download out\n"
