"""Events of continuous audio as lines: for people, tables, Audacity, and machines."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from edgekws.cli.process import drop_output
from edgekws.core.printable import one_line, printable
from edgekws.core.table import csv_text, inert_path

if TYPE_CHECKING:
    from edgekws.runtime.detect import Event

Write = Callable[[str, "Event"], None]
"""Writes an event of the named file."""

COLUMNS = ("file", "keyword", "start_s", "end_s", "score")


def text_lines(file: TextIO, *, with_names: bool) -> Write:
    """Return a writer of lines for people, which begin with the audio's name if `with_names`."""

    def write(name: str, event: "Event") -> None:
        line = f"{event.start_s:9.2f} … {event.end_s:.2f} s  {event.keyword}  {event.score:.2f}"
        file.write(one_line(f"{name}:{line}" if with_names else line) + "\n")
        file.flush()

    return write


def csv_lines(file: TextIO) -> Write:
    """Return a writer of rows of a CSV table; the header is written immediately.

    Names are exact in a file or a pipe, and cannot steer a terminal.
    """
    shown = printable if file.isatty() else str
    file.write(csv_text([COLUMNS]))

    def write(name: str, event: "Event") -> None:
        line = event.line(inert_path(name))
        file.write(shown(csv_text([[line[column] for column in COLUMNS]])))
        file.flush()

    return write


def audacity_lines(file: TextIO) -> Write:
    """Return a writer of a label track for Audacity: start, end and label, separated by tabs."""

    def write(name: str, event: "Event") -> None:
        del name  # a label track belongs to one recording
        file.write(f"{event.start_s:.6f}\t{event.end_s:.6f}\t{event.keyword}\n")
        file.flush()

    return write


def json_lines(file: TextIO) -> Write:
    """Return a writer of JSON lines, like those of the runtime's own command."""

    def write(name: str, event: "Event") -> None:
        # ASCII only, so that no encoding of the terminal or the pipe can harm it.
        file.write(json.dumps(event.line(name)) + "\n")
        file.flush()

    return write


def while_read(write: Write) -> Write:
    """Return `write`, which stops as soon as standard output has no reader."""

    def try_to_write(name: str, event: "Event") -> None:
        try:
            write(name, event)
        except BrokenPipeError:
            drop_output(sys.stdout)

    return try_to_write
