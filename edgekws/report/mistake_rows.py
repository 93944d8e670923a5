"""The worst mistakes in continuous audio: as a table, and as pictures with sound."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgekws.report.spectrogram import as_png
from edgekws.spotting import mistakes
from edgekws.spotting.mistakes import Mistake

if TYPE_CHECKING:
    from edgekws.report.tables import Table

HEADS = ("worst", "keyword", "score", "threshold", "file", "from")


def table(worst: Sequence[Mistake]) -> "Table":
    """Return a row for each mistake."""
    title = "worst mistakes and close calls"
    return title, HEADS, [_row(mistake) for mistake in worst]


def figure(mistake: Mistake) -> dict[str, Any]:
    """Return a mistake with its sound and its picture."""
    sign = "≥" if mistake.kind == "false alarm" else "<"
    return {
        "title": f"{mistake.kind}: {mistake.keyword}",
        "score": f"score {mistake.score:.2f} {sign} threshold {mistake.threshold:.2f}",
        "place": f"{mistake.file or f'recording {mistake.recording}'}, {_from(mistake)}",
        "audio": mistake.audio,
        "picture": as_png(*mistakes.samples_of(mistake)),
    }


def _row(mistake: Mistake) -> list[str]:
    scores = (f"{mistake.score:.3f}", f"{mistake.threshold:.3f}")
    return [mistake.kind, mistake.keyword, *scores, mistake.file, _from(mistake)]


def _from(mistake: Mistake) -> str:
    return f"{mistake.start_s:.2f} s"
