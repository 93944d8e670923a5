"""What comes of checking a bundle."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verified:
    """A bundle that was found whole.

    `sha256` is its identity, `max_abs_diff` the largest |Δlogit| on its golden clips, `notes`
    what is worth knowing all the same.
    """

    sha256: str
    labels: tuple[str, ...]
    files: int
    clips: int
    max_abs_diff: float
    notes: tuple[str, ...]
