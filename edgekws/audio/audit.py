"""Audits of decoded clips: which are left out, and what makes a dataset unusable."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekws.core.contract import SILENCE
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.errors import DataError

MAX_UNREADABLE = 0.01
"""Share of unreadable clips above which the dataset is rejected."""

KEEP_ORDER: tuple[Split, ...] = ("test", "dev", "train")
"""Of two clips with the same audio, the one in the earlier split stays: nothing leaks to train."""


@dataclass(frozen=True)
class Decoded:
    """The outcome for one clip: the digest of its window, or the reason it was rejected.

    `before` is the number of samples before the window that were read too, and `before_digest`
    their digest.
    """

    digest: str = ""
    reason: Literal["unreadable", "empty", "silent", "duplicate"] | None = None
    detail: str = ""
    before: int = 0
    before_digest: str = ""

    @property
    def ok(self) -> bool:
        """Whether the clip stays."""
        return self.reason is None


def without_duplicates(clips: Sequence[Clip], outcome: list[Decoded]) -> list[Decoded]:
    """Reject clips with the same audio as an earlier clip, in the order test, dev, train."""
    first: dict[str, Clip] = {}
    result = list(outcome)
    order = sorted(range(len(clips)), key=lambda i: KEEP_ORDER.index(clips[i].split))
    for i in order:
        clip, decoded = clips[i], outcome[i]
        if not decoded.ok or clip.label == SILENCE:
            continue
        same = first.setdefault(decoded.digest, clip)
        if same is not clip:
            detail = f"same audio as {same.path} ({same.label}, {same.split})"
            result[i] = Decoded(reason="duplicate", detail=detail)
    return result


def check_labels(listing: Listing) -> None:
    """Raise `DataError` for a clip with a label that is not listed."""
    for clip in listing.clips:
        if clip.label not in listing.labels:
            raise DataError(f"{clip.path}: label {clip.label} is not one of {listing.labels}")


def check_speakers(clips: Iterable[Clip]) -> None:
    """Raise `DataError` for a speaker in two splits."""
    first: dict[str, Clip] = {}
    for clip in clips:
        if clip.speaker is None:
            continue
        other = first.setdefault(clip.speaker, clip)
        if other.split != clip.split:
            raise DataError(
                f"speaker {clip.speaker} is in two splits: {other.path} in {other.split}, "
                f"{clip.path} in {clip.split}; keep all clips of a speaker in one split"
            )


def check_coverage(labels: Iterable[str], clips: Iterable[Clip]) -> None:
    """Raise `DataError` for labels without a train clip or without a dev clip."""
    counts = Counter((clip.label, clip.split) for clip in clips)
    needed: tuple[Split, ...] = ("train", "dev")
    gaps = [f"{label} ({s})" for label in labels for s in needed if not counts[label, s]]
    if gaps:
        raise DataError(
            f"no usable clip for {', '.join(gaps)}; add recordings, or leave the label out"
        )


def check_readable(clips: Sequence[Clip], outcome: Sequence[Decoded]) -> None:
    """Raise `DataError` if more than 1 % of the clips cannot be read."""
    unreadable = [decoded.detail for decoded in outcome if decoded.reason == "unreadable"]
    if len(unreadable) > MAX_UNREADABLE * len(clips):
        raise DataError(
            f"{len(unreadable)} of {len(clips)} clips cannot be read (up to 1 % are left out):\n"
            + "\n".join(unreadable[:5])
        )
