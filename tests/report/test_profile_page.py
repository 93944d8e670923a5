"""The page of a profile: whole, self-contained, escaped."""

import json
import re
from pathlib import Path

import pytest

from edgekws.errors import MachineError, UsageError
from edgekws.report import profile_page, profile_rows
from tests import profiles


def test_page_and_json(tmp_path: Path) -> None:
    made = profiles.profile(two=True)
    page, figures = profile_page.write(made, tmp_path / "out")
    text = page.read_text("utf-8")
    assert "&lt;b&gt;b.onnx" in text
    assert "<b>b.onnx" not in text
    assert "0.833 × the time of музыка.onnx: faster" in text
    assert text.count("<svg") == 4
    assert not re.findall(r"(?:src|href)=\"(?!#)", text)
    assert text == profile_page.page(made)
    told = json.loads(figures.read_text("utf-8"))
    assert told["weights"][0]["runs_kib"] is None
    assert told["ratios"][0]["verdict"] == "faster"


def test_no_verdict_is_said() -> None:
    text = profile_page.page(profiles.profile(two=True, level=False))
    assert "No verdict" in text
    assert "faster" not in text


def test_shares_of_a_bundle() -> None:
    made = profiles.profile()
    assert profile_rows.ends(made)[1] == [["музыка", "200 µs", "80.0 %", "12.0 %", "8.0 %"]]
    assert profile_rows.operator_types(made.operators[0])[1][0] == [
        "Add",
        "10",
        "10.0 µs",
        "41.7 %",
    ]
    assert "Audio to label" in profile_page.page(made)


def test_says_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"p\.png: --output is a folder, or a file that ends in"):
        profile_page.check_output(Path("p.png"))
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="name another --output"):
        profile_page.write(profiles.profile(), tmp_path / "file" / "p.json")
