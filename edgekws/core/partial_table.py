"""A table in the making: records kept as they come, so that a stopped command can go on."""

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
    """The hidden file `.NAME.part` beside a table: a record a line, after a line that says of what.

    It is no table and does not stand under its name, so that no one takes it for the whole.
    `records` are those of the same `identity` that were there, and those added; `foreign` tells
    that those of another one were dropped.
    """

    def __init__(self, output: Path, file: BinaryIO, identity: str) -> None:
        """Take the open file, and what its records must belong to."""
        self._output, self._file = output, file
        found, end = _whole_lines(file)
        ours = found[:1] == [{"of": identity}]
        self.foreign = bool(found) and not ours
        self.records: list[Any] = found[1:] if ours else []
        file.truncate(end if ours else 0)
        if not ours:
            self._write([{"of": identity}])

    def add(self, records: Sequence[Any]) -> None:
        """Append records; they are with the system when this returns.

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
        """Write the table as CSV under its name, in one go, and drop the partial file.

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
    """Open the partial file of a table; nobody else may meanwhile.

    Beside a device or a pipe there is none: its records last as long as this process.

    Raises:
        UsageError: another process is writing the table, or `output` is a folder.
        MachineError: there is no writing beside it.
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
    """Return where a table is kept in the making."""
    place = destination(output)
    return place.with_name(f".{place.name}.part")


def _whole_lines(file: BinaryIO) -> tuple[list[Any], int]:
    """Read the records up to a line that was cut off; return them, and where they end."""
    file.seek(0)
    found, end = [], 0
    for line in file:
        try:
            if not line.endswith(b"\n"):
                break
            found.append(json.loads(line))
        except ValueError:
            break
        end += len(line)
    return found, end
