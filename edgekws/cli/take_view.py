"""The live view of a recording: the word to speak, the time left, and the level."""

from typing import TYPE_CHECKING

from rich.console import Console  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.live_view import LiveView
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


class TakeView(LiveView):
    """A prompt with a level meter on standard error; a line per prompt if that is no terminal."""

    def __init__(self, emit: Emit, console: Console | None = None) -> None:
        """Pass other events on to `emit`; use `console`, else standard error."""
        super().__init__(console, SHOW_S)
        self._emit = emit
        self._prompt: tuple[str, int] | None = None

    def emit(self, event: Event) -> None:
        """Show an event above the prompt."""
        self.clear()
        self._emit(event)

    def show(self, moment: "Moment") -> None:
        """Show the prompt of a moment."""
        self.update(lambda: prompt_table(moment))
        prompt = (moment.text, moment.number)
        if not self._console.is_terminal and self._prompt != prompt:
            self._prompt = prompt
            self._emit(Event("note", f"say: {moment.text} ({moment.number} of {moment.of})"))


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
