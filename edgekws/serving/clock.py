"""Positions in a client's audio, on the client's own clock."""

from collections import deque

KEPT_S = 30.0
"""How far back a position may be: longer than any keyword and its report take."""

STEP_S = 0.01
"""Least time between two timestamps that are kept, which bounds their number."""


class Clock:
    """Maps seconds of audio to milliseconds of the client, from the timestamps of its chunks.

    Without timestamps it starts at 0, or at that of the stream's start. A gap between two chunks,
    where the client sent nothing, moves what follows.
    """

    def __init__(self, start_ms: float | None) -> None:
        """Start at the timestamp of the stream, if it has one."""
        self._marks: deque[tuple[float, float]] = deque([(0.0, start_ms or 0.0)])

    def mark(self, position_s: float, timestamp_ms: float | None) -> None:
        """Note the timestamp, if any, of a chunk that begins at `position_s`."""
        if timestamp_ms is None:
            return
        if position_s == 0:
            self._marks.clear()
        elif position_s < self._marks[-1][0] + STEP_S:
            return
        self._marks.append((position_s, timestamp_ms))
        while len(self._marks) > 1 and self._marks[1][0] <= position_s - KEPT_S:
            self._marks.popleft()

    def at(self, position_s: float) -> int:
        """Return the client's time at a position, in milliseconds."""
        earlier = (mark for mark in reversed(self._marks) if mark[0] <= position_s)
        start_s, timestamp_ms = next(earlier, self._marks[0])
        return round(timestamp_ms + 1000 * (position_s - start_s))
