"""The live view of a stream: the current score of every keyword."""

from rich.console import Console  # noqa: TID251
from rich.progress_bar import ProgressBar  # noqa: TID251
from rich.table import Table  # noqa: TID251

from edgekws.cli.live_view import LiveView
from edgekws.cli.plain_text import Text

SHOW_S = 0.1
"""Shortest time between two updates of the view."""


class LiveScores(LiveView):
    """A bar per keyword on standard error if that is a terminal; nothing elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        """Use `console`, else standard error."""
        super().__init__(console, SHOW_S)

    def show(self, name: str, position_s: float, scores: dict[str, float]) -> None:
        """Show the scores, each from 0 to 1, at a position of a stream."""
        self.update(lambda: score_table(name, position_s, scores))


def score_table(name: str, position_s: float, scores: dict[str, float]) -> Table:
    """Return a row per keyword: its name, a bar and the score."""
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(name, "dim"), Text(f"{position_s:.1f} s", "dim"))
    for keyword, score in scores.items():
        table.add_row(Text(keyword), ProgressBar(1.0, score, width=30), Text(f"{score:.2f}"))
    return table
