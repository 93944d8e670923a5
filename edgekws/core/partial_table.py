"""Unfinished tables: records saved as they arrive, so that a stopped command can resume."""

import fcntl
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edgekws.core.output import (
    OTHER_OUTPUT,
    check_output,
    destination,
    is_stream,
    write_text,
)
from edgekws.core.table import csv_text
from edgekws.errors import UsageError, writing


class Partial:
    """The hidden file `.NAME.part` beside a table: its identity, then a record per line.

    It does not have the table's name, so that it cannot be mistaken for the finished table.
    `records` are the records already saved under the same `identity`, and those added; `foreign` is
    whether records of another identity were dropped.
    """

    def __init__(self, output: Path, file: BinaryIO, identity: str) -> None:
        """Read the open file, and keep its records if they belong to `identity`."""
        self._output, self._file = output, file
        lines, end = _whole_lines(file)
        matches = lines[:1] == [{"of": identity}]
        self.foreign = bool(lines) and not matches
        self.records: list[Any] = lines[1:] if matches else []
        file.truncate(end if matches else 0)
        if not matches:
            self._write([{"of": identity}])

    def add(self, records: Sequence[Any]) -> None:
        """Append records and flush them to the operating system.

        Raises:
            MachineError: the disk is full.
        """
        self._write(records)
        self.records += records

    def _write(self, records: Iterable[Any]) -> None:
        with writing(self._output, OTHER_OUTPUT):
            self._file.writelines(f"{json.dumps(record)}\n".encode() for record in records)
            self._file.flush()

    def finish(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write the table as CSV under its name, atomically, and delete the partial file.

        Raises:
            MachineError: it cannot be written.
        """
        write_text(self._output, csv_text(rows))
        self.drop()

    def drop(self) -> None:
        """Delete the partial file."""
        part_path(self._output).unlink(missing_ok=True)


@contextmanager
def partial_beside(output: Path, identity: str) -> Iterator[Partial]:
    """Open the partial file of a table with exclusive access.

    For a device or a pipe the file is temporary: its records last as long as this process.

    Raises:
        UsageError: another process is writing the table, or `output` is a folder.
        MachineError: the partial file cannot be written.
    """
    check_output(output)
    if is_stream(output):
        with tempfile.TemporaryFile() as file:
            yield Partial(output, file, identity)
        return
    with writing(output, OTHER_OUTPUT):
        file = part_path(output).open("a+b")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{output} is being written by another process; wait for it"
            ) from error
        yield Partial(output, file, identity)


def part_path(output: Path) -> Path:
    """Return the path of a table's partial file."""
    place = destination(output)
    return place.with_name(f".{place.name}.part")


def _whole_lines(file: BinaryIO) -> tuple[list[Any], int]:
    """Return the records up to a truncated line, and the offset at which they end."""
    file.seek(0)
    records, end = [], 0
    for line in file:
        try:
            if not line.endswith(b"\n"):
                break
            records.append(json.loads(line))
        except ValueError:
            break
        end += len(line)
    return records, end
