"""A table in the making: what is kept, what is dropped, and what is said where it cannot be."""

from pathlib import Path

import pytest

from edgekws.core.partial_table import part_path, partial_beside
from edgekws.errors import MachineError, UsageError


def records(output: Path, identity: str) -> list[object]:
    with partial_beside(output, identity) as partial:
        return partial.records


def test_records_are_there_again_for_the_same_identity_alone(tmp_path: Path) -> None:
    output = tmp_path / "l.csv"
    with partial_beside(output, "a") as partial:
        assert not partial.foreign
        partial.add([["да", 1], {"x": None}])
        assert partial.records == [["да", 1], {"x": None}]
    assert records(output, "a") == [["да", 1], {"x": None}]
    with partial_beside(output, "b") as partial:
        assert partial.foreign
        assert partial.records == []
    assert records(output, "a") == []


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_cut_line_is_dropped_wherever_it_was_cut(tmp_path: Path, cut: int) -> None:
    output = tmp_path / "l.csv"
    with partial_beside(output, "a") as partial:
        partial.add([["one"], ["две", 2]])
    whole = part_path(output).read_bytes()
    part_path(output).write_bytes(whole[:-cut])
    with partial_beside(output, "a") as partial:
        assert partial.records == [["one"]]
        partial.add([["три"]])
    assert records(output, "a") == [["one"], ["три"]]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b'{"of": "a"', b"file,label,score\nx\n"])
def test_what_is_no_partial_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    output = tmp_path / "l.csv"
    part_path(output).write_bytes(content)
    assert records(output, "a") == []
    assert part_path(output).read_bytes() == b'{"of": "a"}\n'


def test_the_table_is_written_in_one_go(tmp_path: Path) -> None:
    output = tmp_path / "l.csv"
    output.write_text("older")
    with partial_beside(output, "a") as partial:
        partial.add([1])
        assert output.read_text() == "older"
        partial.finish([["file", "label"], ["a, b", "да"]])
    assert output.read_text("utf-8") == 'file,label\n"a, b",да\n'
    assert list(tmp_path.iterdir()) == [output]


def test_where_there_is_no_writing_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not a file; name another --output"):
        records(tmp_path, "a")
    (tmp_path / "file").touch()
    with pytest.raises(
        MachineError, match=r"l\.csv: cannot be written \(.*; name another --output"
    ):
        records(tmp_path / "file" / "l.csv", "a")


def test_two_cannot_write_the_same_table(tmp_path: Path) -> None:
    message = r"l\.csv is being written by another process; wait for it"
    with partial_beside(tmp_path / "l.csv", "a"), pytest.raises(UsageError, match=message):
        records(tmp_path / "l.csv", "a")
    assert records(tmp_path / "l.csv", "a") == []
