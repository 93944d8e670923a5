"""Events of continuous audio as lines: for people, tables, Audacity, and machines."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edgekws.cli.process import drop_output
from edgekws.errors import MachineError

if TYPE_CHECKING:
    from edgekws.runtime.detect import Event

Write = Callable[[str, "Event"], None]
"""Writes the event that was heard in a file."""

COLUMNS = ("file", "keyword", "start_s", "end_s", "score")


def text_lines(file: TextIO, *, with_names: bool) -> Write:
    """Return what writes a line for a person, beginning with the audio's name if `with_names`."""

    def write(name: str, event: "Event") -> None:
        line = f"{event.start_s:9.2f} … {event.end_s:.2f} s  {event.keyword}  {event.score:.2f}"
        file.write(f"{name}:{line}\n" if with_names else f"{line}\n")
        file.flush()

    return write


def csv_lines(file: TextIO) -> Write:
    """Return what writes rows of a CSV table; its head is written at once."""
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()

    def write(name: str, event: "Event") -> None:
        table.writerow(event.line(name))
        file.flush()

    return write


def audacity_lines(file: TextIO) -> Write:
    """Return what writes a label track as Audacity imports it: start, end, label, by tabs."""

    def write(name: str, event: "Event") -> None:
        del name  # a label track belongs to one recording
        file.write(f"{event.start_s:.6f}\t{event.end_s:.6f}\t{event.keyword}\n")
        file.flush()

    return write


def json_lines(file: TextIO) -> Write:
    """Return what writes JSON lines, as the runtime's own command does."""

    def write(name: str, event: "Event") -> None:
        # ASCII only, so that no encoding of the terminal or the pipe can harm it.
        file.write(json.dumps(event.line(name)) + "\n")
        file.flush()

    return write


def while_read(write: Write) -> Write:
    """Return what writes on standard output for as long as somebody reads it."""

    def try_to_write(name: str, event: "Event") -> None:
        try:
            write(name, event)
        except BrokenPipeError:
            drop_output(sys.stdout)

    return try_to_write


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Yield a text file that gets its name only when all was written.

    Raises:
        MachineError: it cannot be written.
    """
    if path.is_dir():
        raise MachineError(f"{path}: is a folder; name the file to write with --output")
    fresh = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8", newline="") as file:
            yield file
        fresh.replace(path)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error}); name another --output") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
