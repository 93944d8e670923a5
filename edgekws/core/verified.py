"""The result of verifying a bundle."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verified:
    """A bundle that passed verification.

    `sha256` is its identity, `max_abs_diff` the largest |Δlogit| on its golden clips, `notes`
    remarks that do not fail it.
    """

    sha256: str
    labels: tuple[str, ...]
    files: int
    clips: int
    max_abs_diff: float
    notes: tuple[str, ...]
