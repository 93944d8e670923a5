"""The life of a live view on a terminal."""

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console, RenderableType  # noqa: TID251
from rich.live import Live  # noqa: TID251


class LiveView:
    """Appears with the first content, is updated now and then, and leaves nothing behind."""

    def __init__(self, console: Console | None, every_s: float, *, redirect: bool = False) -> None:
        """Use `console`, else standard error; `every_s` is the shortest time between updates.

        With `redirect`, what is printed meanwhile appears above the view, on the same stream.
        """
        self._console = console or Console(stderr=True, highlight=False)
        self._every_s, self._redirect, self._shown = every_s, redirect, 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start; the view appears with the first content."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the view, also after an error."""
        self.clear()

    def clear(self) -> None:
        """Remove the view until the next update, so that something else can be written."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, content: Callable[[], RenderableType]) -> None:
        """Show new content, unless this is no terminal or the last update was just now."""
        if not self._console.is_terminal or time.monotonic() - self._shown < self._every_s:
            return
        if self._live is None:
            self._live = Live(
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=self._redirect,
                redirect_stderr=self._redirect,
            )
            self._live.start()
        self._live.update(content(), refresh=True)
        self._shown = time.monotonic()  # after it: a slow terminal would be written to all the time
