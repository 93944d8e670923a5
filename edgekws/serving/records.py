"""What a server reports: who comes and goes, and what was detected."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "listening", "connected", "detect", "detection", "not-detected", "refused", "failed",
    "disconnected", "stopped",
]  # fmt: skip


@dataclass(frozen=True)
class Record:
    """Something that happened, with the address of the client that it concerns, if any.

    `text` is for people, `data` has the values for programs.
    """

    kind: Kind
    text: str = ""
    client: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Log = Callable[[Record], None]
