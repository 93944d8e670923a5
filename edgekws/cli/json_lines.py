"""Output for programs: one JSON object per line on standard output."""

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from edgekws.cli.process import write_line
from edgekws.core.events import Event

if TYPE_CHECKING:
    from edgekws.report.shown import Shown


class JsonLines:
    """Writes every event, and at the end the result, as `{"event": …}`."""

    def __enter__(self) -> Self:
        """Do nothing: there is nothing to set up."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is nothing to clean up."""

    def emit(self, event: Event) -> None:
        """Write an event as it happens."""
        fields = asdict(event)
        _write(fields.pop("kind"), {k: v for k, v in fields.items() if v not in (None, {})})

    def show(self, result: "Shown") -> None:
        """Write the records of a result, one per line."""
        for record in result.records:
            _write(result.event, record)


def _write(event: str, fields: dict[str, Any]) -> None:
    # ASCII only, so that no encoding of the terminal or the pipe can harm it.
    write_line(json.dumps({"event": event, **_finite(fields)}, default=str))


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent by `null`."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
