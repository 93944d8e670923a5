"""Tables of names that strangers chose: text to a spreadsheet, and the same when read again."""

from pathlib import Path

import pytest

from edgekws.core.table import csv_text, inert, inert_path, restored
from edgekws.datasets.listing.tables import read_table

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", '=HYPERLINK("x","y")']
PLAIN = ["да", "", "-", "-0.5", "+1e3", "'tis", "a=b", "yes/-1.wav", -0.5, None, 3]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_text(cell: str) -> None:
    assert inert(cell) == f"'{cell}"
    assert restored(inert(cell)) == cell
    assert inert_path(cell) == f"./{cell}"


@pytest.mark.parametrize("cell", PLAIN)
def test_all_else_stays_as_it_is(cell: object) -> None:
    assert inert(cell) == cell
    if isinstance(cell, str):
        assert restored(cell) == cell
        assert inert_path(cell) == cell


def test_a_table_reads_as_it_was_written(tmp_path: Path) -> None:
    rows = [("path", "label"), *((f"{n}.wav", cell) for n, cell in enumerate(FORMULAS[:-2]))]
    (tmp_path / "t.csv").write_text(csv_text(rows), "utf-8")
    table = read_table(tmp_path / "t.csv")
    assert [tuple(row.cells.values()) for row in table.rows] == rows[1:]
