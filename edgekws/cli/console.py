"""Output for people: live progress on a terminal, plain lines elsewhere, tables at the end."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Console, JustifyMethod  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.live_view import LiveView
from edgekws.cli.pace import Heartbeat, Pace, counted
from edgekws.cli.plain_text import Text
from edgekws.cli.process import drop_output
from edgekws.core import figures
from edgekws.core.events import Event
from edgekws.core.printable import one_line
from edgekws.report.tables import EXCEEDED, MET, is_figures, side_by_side, step_line

if TYPE_CHECKING:
    from edgekws.report.shown import Shown

PLAIN_WIDTH = 140
"""Columns of a table that goes to a file or a pipe."""

PLAIN_EVERY_S = 60.0
"""Time between two lines of progress in a file or a pipe."""

WIDE = 120
"""Columns of a terminal that the whole table of steps needs."""

_MARKS = {"ok": "green", "warn": "yellow", "missing": "bold red"}
_VERDICTS = {MET: ("green", "green"), EXCEEDED: ("red", "bold red")}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Continue without a reader: the command still does its work."""
        drop_output(sys.stderr if self.stderr else sys.stdout)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    # A terminal is what isatty says: no variable may bring control characters into a file.
    return _Console(
        stderr=stderr,
        width=width,
        force_terminal=stream.isatty(),
        highlight=False,
        soft_wrap=False,
    )


def _styled(row: Sequence[str]) -> Sequence[str | Text]:
    """Colour the margin and the word of a limit, in a row that ends with them."""
    if not row or row[-1] not in _VERDICTS:
        return row
    *cells, margin, word = row
    margin_style, word_style = _VERDICTS[word]
    return [*cells, Text(margin, margin_style), Text(word, word_style)]


def _marked(line: str) -> Text:
    """Return a line with its initial mark coloured."""
    mark, space, rest = one_line(line).partition(" ")
    text = Text(mark, _MARKS.get(mark, "default"))
    text.add(space + rest, "default")
    return text


def show_error(text: str) -> None:
    """Write an error to standard error, in red on a terminal."""
    console = _console(stderr=True)
    console.print(Text(text, style="red"), soft_wrap=True)


class Terminal:
    """Shows events on standard error while a command runs, and its result on standard output."""

    def __init__(self) -> None:
        """Open both streams."""
        self._err, self._out = _console(stderr=True), _console(stderr=False)
        self._live = LiveView(self._err, 0.0, redirect=True)
        self._pace: Pace | None = None
        self._heart: Heartbeat | None = None
        self._step = ""

    def __enter__(self) -> Self:
        """Start; the progress line appears with the first progress."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the progress line, also after an error."""
        self._clear()

    def emit(self, event: Event) -> None:
        """Show an event."""
        if event.kind == "progress":
            self._progress(event)
            return
        self._clear()
        if event.kind == "step":
            self._pace = None
            of = f"{event.done}/{event.total} " if event.total else ""
            self._step = f"{of}{event.text}"
            self._print(f"{self._step} …", "bold")
        elif event.kind == "measured":
            self._print(step_line(self._step, event.data), "")
        elif event.kind == "warning":
            self._print(f"warning: {event.text}", "yellow")
        elif event.kind == "run":
            folder = event.data.get("folder")
            self._print(f"run {event.text}" + (f" in {folder}" if folder else ""), "bold")
        elif event.kind in ("note", "done"):
            self._print(event.text, "dim")

    def _print(self, text: str, style: str) -> None:
        self._err.print(Text(one_line(text), style=style), soft_wrap=True)

    def _progress(self, event: Event) -> None:
        """Show the progress of a task: a bar on a terminal, an occasional line elsewhere."""
        task, done, total = event.text, event.done or 0, event.total or 1
        begins = self._pace is None or not self._pace.goes_on(task, done)
        if self._pace is None or begins:
            self._pace = Pace(task, done)
        if done >= total:
            self._clear()
            self._pace = None
            return
        self._stop_repeating()
        left = self._pace.left(done, total)
        line = f"  {counted(event)}, {left}" if left else f"  {counted(event)}"
        if self._err.is_terminal:
            self._bar(line, done, total)
        elif (begins and total == 1) or self._pace.is_due(PLAIN_EVERY_S):
            self._print(line, "")
        if total == 1:
            self._repeat(line)

    def _repeat(self, line: str) -> None:
        """Show periodically that a silent task is still running."""

        def beat(passed_s: float) -> None:
            text = f"{line} {figures.duration(passed_s)}"
            if self._err.is_terminal:
                self._bar(text, 0, 1)
            else:
                self._print(text, "")

        self._heart = Heartbeat(1.0 if self._err.is_terminal else PLAIN_EVERY_S, beat)

    def _stop_repeating(self) -> None:
        if self._heart is not None:
            self._heart.stop()
            self._heart = None

    def _bar(self, text: str, done: int, total: int) -> None:
        """Show a line, with a bar if the total is known."""
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(one_line(text)), *([ProgressBar(total, done, width=30)] if total > 1 else [])
        )
        self._live.update(lambda: line)

    def _clear(self) -> None:
        self._stop_repeating()
        self._live.clear()

    def _table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Show a table, split into several if its columns do not fit."""
        texts = [tuple(head), *(tuple(one_line(str(cell)) for cell in row) for row in rows)]
        for columns in side_by_side(texts, self._out.width):
            self._columns(title, head, rows, columns)

    def _columns(
        self,
        title: str,
        head: Sequence[str],
        rows: Sequence[Sequence[str | Text]],
        columns: Sequence[int],
    ) -> None:
        table = Table(
            title=Text(title, "italic"),
            title_justify="left",
            box=None,
            pad_edge=False,
            padding=(0, 1),
        )
        for n in columns:
            whole = n > 0 and is_figures(str(row[n]) for row in rows)
            side: JustifyMethod = "left" if n == 0 else "right"
            table.add_column(Text(head[n]), justify=side, overflow="fold", no_wrap=whole)
        for row in rows:
            cells = [row[n] for n in columns]
            table.add_row(
                *(Text(one_line(cell)) if isinstance(cell, str) else cell for cell in cells)
            )
        self._out.print(table)
        self._out.print()

    def show(self, result: "Shown") -> None:
        """Show the tables of a result, followed by its lines."""
        self._clear()
        narrow = result.narrow if self._out.width < WIDE else None
        for title, head, rows in result.tables if narrow is None else narrow:
            self._table(title, head, [_styled(row) for row in rows])
        if result.caption:
            self._out.print(Text(result.caption, "dim"))
            self._out.print()
        for line in result.lines:
            text = _marked(line) if result.marked else Text(one_line(line))
            self._out.print(text, soft_wrap=True)
