"""The live view of a stream: the current score of every keyword."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console  # noqa: TID251
from rich.live import Live  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.plain_text import Text

SHOW_S = 0.1
"""Shortest time between two updates of the view."""


class LiveScores:
    """A bar per keyword on standard error if that is a terminal; nothing elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        """Use `console`, else standard error."""
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._shown = 0.0

    def __enter__(self) -> Self:
        """Start; the view appears with the first scores."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the view, also after an error."""
        self.clear()

    def clear(self) -> None:
        """Remove the view until there are new scores, so that something else can be written."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, name: str, position_s: float, scores: dict[str, float]) -> None:
        """Show the scores, each from 0 to 1, at a position of a stream."""
        now = time.monotonic()
        if not self._console.is_terminal or now - self._shown < SHOW_S:
            return
        self._shown = now
        if self._live is None:
            self._live = Live(
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,  # which would go to standard error
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(score_table(name, position_s, scores), refresh=True)


def score_table(name: str, position_s: float, scores: dict[str, float]) -> Table:
    """Return a row per keyword: its name, a bar and the score."""
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(name, "dim"), Text(f"{position_s:.1f} s", "dim"))
    for keyword, score in scores.items():
        table.add_row(Text(keyword), ProgressBar(1.0, score, width=30), Text(f"{score:.2f}"))
    return table
