"""One reader of tables: what it accepts, and the line of everything that it refuses."""

import os
from pathlib import Path

import pytest

from edgekws.datasets.listing.tables import Table, read_table
from edgekws.errors import DataError


def _read(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Table:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "path,label\na.wav,yes\n"),
        ("t.csv", "\ufeffpath,label\r\na.wav,yes\r\n"),
        ("t.csv", "path;label\na.wav;yes\n"),
        ("t.csv", "sep=;\r\npath;label\r\na.wav;yes\r\n"),
        ("t.csv", "\ufeffsep=,\npath,label\na.wav,yes\n"),
        ("t.csv", "path\tlabel\na.wav\tyes\n"),
        ("t.tsv", "path\tlabel\na.wav\tyes\n"),
        ("t.tsv", "path,label\na.wav,yes\n"),
        ("t.jsonl", '\ufeff{"path": "a.wav", "label": "yes"}\n'),
    ],
)
def test_a_table_of_any_delimiter_is_read(tmp_path: Path, name: str, text: str) -> None:
    table = _read(tmp_path, text, name)
    table.refuse()
    assert table.columns == ("path", "label")
    assert [row.cells for row in table.rows] == [{"path": "a.wav", "label": "yes"}]
    assert table.rows[0].line == 1 + text.startswith(("path", "\ufeffpath")) + 2 * ("sep=" in text)


def test_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    assert _read(tmp_path, "file\na;b.wav\n").rows[0].cells == {"file": "a;b.wav"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "path,label\na,b\n\nc\n", r"t\.csv:4: 1 cells, but 2 columns; add the missing"),
        ("t.csv", "path;label\na;b;c\n", r"t\.csv:2: 3 cells, .*; quote text that contains a semi"),
        ("t.csv", "sep=;\npath;path\n", r"t\.csv:2: path: 2 columns have this name"),
        ("t.csv", "sep=;\npath;label\na\n", r"t\.csv:3: 1 cells, but 2 columns"),
        ("t.csv", "path,label\na,b\0\n", r"t\.csv:2: contains the character NUL"),
        ("t.csv", b"path,label\na,\xed\xa0\x80\n", r"t\.csv: is not UTF-8"),
        ("t.csv", f"path,label\n{'a' * 200_000},b\n", r"t\.csv:2: is not valid CSV: field larger"),
        ("t.jsonl", '{"path": "a", "path": "b"}\n', r"t\.jsonl:1: path: 2 columns have this"),
        ("t.jsonl", '{"path": "\\ud800"}\n', r"t\.jsonl:1: path: contains half of a UTF-16 pair"),
        ("t.jsonl", f"\n{'[' * 100_000}\n", r"t\.jsonl:2: is nested too deeply"),
        ("t.jsonl", f'{{"a": {"9" * 5000}}}\n', r"t\.jsonl:1: contains a number with thousands"),
        ("t.jsonl", "[]\n", r"t\.jsonl:1: expected an object"),
    ],
)
def test_what_is_wrong_is_reported_with_its_line(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _read(tmp_path, text, name).refuse()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, message in {
        "pipe.csv": "is not a regular file",
        "loop.csv": "symbolic links",
        "folder.csv": "cannot be read: Is a directory",
        "a" * 5000 + ".csv": "longer than a file system allows",
        "none.csv": "no such file",
    }.items():
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name)
