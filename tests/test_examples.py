"""The notebook: its cells run one after the other, in an empty folder."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "edgekws.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def test_nothing_of_a_machine_is_kept_in_it() -> None:
    for cell in cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    for cell in cells():
        exec("".join(cell["source"]), names)  # noqa: S102 that is what it is there for
    assert names["made"].value.ok
    assert names["clip"].is_file()
    assert (tmp_path / "tiny.zip").is_file()
    assert "tiny: the network after every step" in str(names["made"])
