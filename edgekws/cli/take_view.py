"""The live view of a recording: what to say, the time left, and the level."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console  # noqa: TID251
from rich.live import Live  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.plain_text import Text
from edgekws.core.events import Emit, Event

if TYPE_CHECKING:
    from edgekws.curation.record import Moment

SHOW_S = 0.05
"""Shortest time between two updates of the view."""

QUIET_DBFS = -60.0
"""The level at which the bar is empty; it is full at 0 dBFS."""

LOUD_DBFS = -6.0
"""The level above which the bar turns red."""


class TakeView:
    """A prompt with a level meter on standard error; a line per prompt where it is no terminal."""

    def __init__(self, emit: Emit, console: Console | None = None) -> None:
        """Pass other events on to `emit`; use `console`, else standard error."""
        self._emit = emit
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._shown = 0.0
        self._prompt: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        """Start; the view appears with the first prompt."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the view, also after an error."""
        self._clear()

    def emit(self, event: Event) -> None:
        """Show an event above the prompt."""
        self._clear()
        self._emit(event)

    def show(self, moment: "Moment") -> None:
        """Show the prompt of a moment."""
        if not self._console.is_terminal:
            if self._prompt != (moment.text, moment.number):
                self._prompt = (moment.text, moment.number)
                self._emit(Event("note", f"say: {moment.text} ({moment.number} of {moment.of})"))
            return
        now = time.monotonic()
        if now - self._shown < SHOW_S:
            return
        self._shown = now
        if self._live is None:
            self._live = Live(
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(prompt_table(moment), refresh=True)

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def prompt_table(moment: "Moment") -> Table:
    """Return the prompt, the countdown, and the level."""
    table = Table.grid(padding=(0, 1))
    ask, style = ("say:", "bold green") if moment.speaking else ("ready …", "dim")
    filled = min(max(moment.level_dbfs - QUIET_DBFS, 0.0), -QUIET_DBFS)
    loud = "red" if moment.level_dbfs > LOUD_DBFS else "green"
    table.add_row(
        Text(ask, style),
        Text(moment.text, "bold"),
        Text(f"{moment.number} of {moment.of}", "dim"),
        Text(f"{moment.left_s:.1f} s"),
        ProgressBar(-QUIET_DBFS, filled, width=30, complete_style=loud, finished_style=loud),
        Text(f"{moment.level_dbfs:.0f} dBFS", "dim"),
    )
    return table
