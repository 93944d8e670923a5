"""What people see: live progress on a terminal, plain lines elsewhere, tables at the end."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, JustifyMethod  # noqa: TID251
from rich.live import Live  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.pace import Heartbeat, Pace, counted
from edgekws.cli.plain_text import Text
from edgekws.cli.process import drop_output
from edgekws.core import figures
from edgekws.core.events import Event
from edgekws.core.measurement import WHOLE_NOTE, Measurement, Verdict
from edgekws.core.printable import one_line
from edgekws.report.evaluation_tables import comparison_tables, evaluation_tables
from edgekws.report.tables import (
    MET,
    WHOLE_HEADS,
    Row,
    bounded,
    budget_tables,
    heard_tables,
    is_figures,
    measured_lines,
    plan_table,
    side_by_side,
    step_line,
    step_tables,
    verified_lines,
    whole_rows,
)

if TYPE_CHECKING:
    from edgekws.bundle.export import Exported
    from edgekws.core.report import Report
    from edgekws.core.verified import Verified
    from edgekws.engine.doctor import Check
    from edgekws.engine.plan import Plan
    from edgekws.evaluation.compare import Comparison
    from edgekws.evaluation.evaluate import Evaluation
    from edgekws.evaluation.predict import Predicted
    from edgekws.report.tables import Table as Shown

PLAIN_WIDTH = 140
"""Columns of a table that goes to a file or a pipe."""

PLAIN_EVERY_S = 60.0
"""Between two lines of progress in a file or a pipe."""

WIDE = 120
"""Columns of a terminal on which the whole table of steps has room."""

_STATUS = {"ok": "green", "warn": "yellow", "missing": "bold red"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on without a reader: what a command makes is made, as into a file."""
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


def _styled(line: Sequence[str]) -> list[str | Text]:
    """Colour the margin and the word of a limit that is met or broken."""
    *cells, margin, word = line
    met = word == MET
    styles = ("green", "green") if met else ("red", "bold red")
    return [*cells, Text(margin, styles[0]), Text(word, styles[1])]


def show_error(text: str) -> None:
    """Write an error on standard error, red where that is a terminal."""
    console = _console(stderr=True)
    console.print(Text(text, style="red"), soft_wrap=True)


class Terminal:
    """Shows events on standard error while a command runs, and its result on standard output."""

    def __init__(self) -> None:
        """Look where the two streams go."""
        self._err, self._out = _console(stderr=True), _console(stderr=False)
        self._live: Live | None = None
        self._pace: Pace | None = None
        self._heart: Heartbeat | None = None
        self._step = ""

    def __enter__(self) -> Self:
        """Begin; the progress line comes with the first progress."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the progress line away, also after an error."""
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
            self._say(f"{self._step} …", "bold")
        elif event.kind == "measured":
            self._say(step_line(self._step, event.data), "")
        elif event.kind == "warning":
            self._say(f"warning: {event.text}", "yellow")
        elif event.kind == "run":
            folder = event.data.get("folder")
            self._say(f"run {event.text}" + (f" in {folder}" if folder else ""), "bold")
        elif event.kind in ("note", "done"):
            self._say(event.text, "dim")

    def _say(self, text: str, style: str) -> None:
        self._err.print(Text(one_line(text), style=style), soft_wrap=True)

    def _progress(self, event: Event) -> None:
        """Show how far a task is: a bar on a terminal, elsewhere a line now and then."""
        task, done, total = event.text, event.done or 0, event.total or 1
        begins = self._pace is None or not self._pace.goes_on(task, done)
        if self._pace is None or begins:
            self._pace = Pace(task, done)
        if done >= total:
            self._clear()
            self._pace = None
            return
        self._still()
        left = self._pace.left(done, total)
        line = f"  {counted(event)}, {left}" if left else f"  {counted(event)}"
        if self._err.is_terminal:
            self._bar(line, done, total)
        elif (begins and total == 1) or self._pace.is_due(PLAIN_EVERY_S):
            self._say(line, "")
        if total == 1:
            self._go_on_saying(line)

    def _go_on_saying(self, line: str) -> None:
        """Show from time to time that a task goes on of which nothing more is heard."""

        def beat(passed_s: float) -> None:
            text = f"{line} {figures.duration(passed_s)}"
            if self._err.is_terminal:
                self._bar(text, 0, 1)
            else:
                self._say(text, "")

        self._heart = Heartbeat(1.0 if self._err.is_terminal else PLAIN_EVERY_S, beat)

    def _still(self) -> None:
        if self._heart is not None:
            self._heart.stop()
            self._heart = None

    def _bar(self, text: str, done: int, total: int) -> None:
        """Show a line, with a bar where it is known how much there is to do."""
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(one_line(text)), *([ProgressBar(total, done, width=30)] if total > 1 else [])
        )
        if self._live is None:
            self._live = Live(console=self._err, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(line, refresh=True)

    def _clear(self) -> None:
        self._still()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Show a table, or several under one another where the columns have no room."""
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

    def show_report(self, report: "Report") -> None:
        """Show a row a step, what the bundle weighs as a whole and hears, then the budget."""
        self._steps(report)
        self._bundle(report)
        self._budget(report.deciding())

    def _steps(self, report: "Report") -> None:
        self._clear()
        for table in step_tables(report, wide=self._out.width >= WIDE):
            self._table(*table)
        for note in report.notes:
            self._out.print(Text(f"note: {note}"), soft_wrap=True)

    def _bundle(self, report: "Report") -> None:
        """Show what the bundle weighs with its front end, and what it hears."""
        for result in report.results:
            if result.kind == "bundle":
                self._whole(result.measurements)
                for table in heard_tables(result):
                    self._table(*table)

    def _whole(self, found: Sequence[Measurement]) -> None:
        """Show front end and network side by side, where both were measured."""
        if rows := whole_rows(found):
            self._table("on the device", WHOLE_HEADS, rows)
            self._out.print(Text(WHOLE_NOTE, "dim"))
            self._out.print()

    def _budget(self, rows: Sequence[Row]) -> None:
        for title, head, lines in budget_tables(rows):
            styled = [_styled(line) for line in lines]
            self._table(title, head, styled)

    def show_plan(self, plan: "Plan") -> None:
        """Show what every step will weigh, and what of the budget is known already."""
        self._clear()
        self._table(*plan_table(plan))
        self._whole(plan.bundle)
        self._budget(bounded(plan.verdicts, "final model"))
        for note in plan.notes:
            self._out.print(Text(f"note: {note}"), soft_wrap=True)

    def show_check(self, found: Sequence[Measurement], verdicts: Sequence[Verdict]) -> None:
        """Show every measurement, and the budget."""
        self._clear()
        self._table("measured", ("metric", "value"), list(measured_lines(found)))
        self._whole(found)
        self._budget(bounded(verdicts, "model"))

    def show_evaluations(self, evaluations: Sequence["Evaluation"]) -> None:
        """Show accuracies, a row a class, and the labels most often confused."""
        self._clear()
        for table in evaluation_tables(evaluations):
            self._table(*table)

    def show_comparison(self, made: "Comparison") -> None:
        """Show the systems and their differences, and end with a sentence a pair."""
        self._clear()
        for table in comparison_tables(made):
            self._table(*table)
        for pair in made.pairs:
            self._out.print(Text(pair.sentence, "bold"), soft_wrap=True)

    def show_predicted(self, predicted: "Predicted", output: Path) -> None:
        """Say how many labels were written, and what could not be read."""
        self._clear()
        left_out = len(predicted.unreadable)
        text = f"{figures.count(predicted.rows)} labels in {one_line(str(output))}"
        if left_out:
            text += f"; {figures.count(left_out)} files could not be read and have no row"
        self._out.print(Text(text), soft_wrap=True)

    def show_verified(self, found: "Verified", bundle: Path) -> None:
        """Say that a bundle is whole, and what it hears."""
        self._clear()
        for line in verified_lines(found, bundle):
            self._out.print(Text(line), soft_wrap=True)

    def show_exported(self, made: "Exported") -> None:
        """Say what was written, and that it was verified."""
        self.show_verified(made.verified, made.output)

    def show_file(self, report: "Report", path: Path) -> None:
        """Show a row a step, the bundle, and where the report is."""
        self._steps(report)
        self._bundle(report)
        self._budget(report.deciding())
        self._out.print(Text(one_line(str(path))), soft_wrap=True)

    def show_recipe(self, path: Path) -> None:
        """Say where a recipe was written, and what to do with it."""
        text = f"Wrote {path}. Next: edgekws plan {path}, then edgekws compress {path}"
        self._out.print(Text(one_line(text)), soft_wrap=True)

    def show_recipes(self, found: Sequence[tuple[str, str, Path]]) -> None:
        """Show name and description of every built-in recipe, and where they lie."""
        widest = max((len(name) for name, _, _ in found), default=0)
        for name, told, _ in found:
            self._out.print(Text(f"{name:<{widest}}  {told}"), soft_wrap=True)
        for folder in sorted({str(path.parent) for _, _, path in found}):
            self._out.print(Text(f"in {folder}"), soft_wrap=True)

    def show_doctor(self, checks: Sequence["Check"]) -> None:
        """Show a line for every check, and under it what to do where something is wrong."""
        widest = max(len(check.name) for check in checks)
        for check in checks:
            line = Text(f"{check.status:<8}", _STATUS[check.status])
            line.add(f"{check.name:<{widest}}  {check.detail}", "default")
            self._out.print(line, soft_wrap=True)
            if check.advice:
                self._out.print(Text(f"{'':<{widest + 10}}{check.advice}"), soft_wrap=True)

    def show_tables(
        self, event: str, told: dict[str, Any], tables: "Sequence[Shown]", lines: Sequence[str]
    ) -> None:
        """Show tables, and lines under them; `event` and `told` are for machines."""
        self._clear()
        for table in tables:
            self._table(*table)
        for line in lines:
            self._out.print(Text(one_line(line)), soft_wrap=True)
