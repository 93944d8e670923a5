"""What a person sees while a stream is heard: the score of every keyword, now."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console  # noqa: TID251
from rich.live import Live  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.plain_text import Text

SHOW_S = 0.1
"""The view changes no more often than this."""


class LiveScores:
    """A bar a keyword on standard error where that is a terminal; nothing elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        """Look where standard error goes."""
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._shown = 0.0

    def __enter__(self) -> Self:
        """Begin; the view comes with the first scores."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the view away, also after an error."""
        self.clear()

    def clear(self) -> None:
        """Take the view away until there are new scores: something else is to be written."""
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
    """Return a row a keyword: its name, a bar and the score."""
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(name, "dim"), Text(f"{position_s:.1f} s", "dim"))
    for keyword, score in scores.items():
        table.add_row(Text(keyword), ProgressBar(1.0, score, width=30), Text(f"{score:.2f}"))
    return table
