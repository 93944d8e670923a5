"""Findings about a dataset, most serious first, with examples and advice."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.curation import sound_findings as sound
from edgekws.curation.evidence import LEVELS, Evidence, Finding, Level, finding
from edgekws.curation.listing import NO_SPLIT
from edgekws.curation.repeats import Repeat
from edgekws.datasets.listing.labels import word_name
from edgekws.metrics.intervals import FEW_SPEAKERS as FEW_TO_JUDGE

RARE = 0.2
FEW_SPEAKERS = 5


def findings(evidence: Evidence) -> list[Finding]:
    """Return all findings, most serious first."""
    results = [result for check in _CHECKS for result in check(evidence)]
    return sorted(results, key=lambda result: LEVELS.index(result.level))  # stable


def _refused(e: Evidence) -> Iterator[Finding]:
    rows = e.inventory.rows
    if rows:
        advice = "correct these rows; training rejects the whole table while one is wrong"
        yield finding("error", "rows", "wrong rows of the table", rows, len(e.pieces), advice)
    elif e.inventory.refused:
        advice = "correct this; the rest covers the clips as far as they could be listed"
        lines = e.inventory.refused.splitlines()
        title = "reasons why training rejects this data"
        yield finding("error", "refused", title, lines, len(lines), advice)


def _shared_speakers(e: Evidence) -> Iterator[Finding]:
    where: dict[str, Counter[str]] = {}
    for piece in e.pieces:
        if piece.speaker:
            where.setdefault(piece.speaker, Counter())[piece.split] += 1
    leaks = {who: splits for who, splits in where.items() if len(splits) > 1}
    items = [
        f"{who}: " + ", ".join(f"{n} in {s}" for s, n in at.items()) for who, at in leaks.items()
    ]
    if items:
        advice = "keep all clips of a speaker in one split; training rejects this"
        title = "speakers in two splits"
        yield finding("error", "speaker_leak", title, items, len(where), advice)


def _repeated(e: Evidence) -> Iterator[Finding]:
    across = [r for r in e.repeats if len({e.pieces[i].split for i in r.members}) > 1]
    labels = [r for r in e.repeats if len({e.pieces[i].label for i in r.members}) > 1]
    rest = [r for r in e.repeats if r not in across and r not in labels]
    total = len(e.pieces)
    if across:
        advice = "keep one of each; a recording seen in training proves nothing in a test"
        yield finding("error", "audio_leak", "recordings in two splits",
                       [_same(e, r) for r in across], total, advice)  # fmt: skip
    if labels:
        advice = "listen, and keep the one with the right label"
        yield finding("error", "label_conflict", "recordings with two labels",
                       [_same(e, r) for r in labels], total, advice)  # fmt: skip
    if rest:
        advice = "keep one of each; training leaves out exact duplicates"
        yield finding("warning", "duplicate", "duplicate recordings",
                       [_same(e, r) for r in rest], total, advice)  # fmt: skip


def _same(e: Evidence, repeat: Repeat) -> str:
    sign = "=" if repeat.exact else "≈"
    shown = [e.pieces[i] for i in repeat.members[:4]]
    text = f" {sign} ".join(f"{e.name(p)} [{p.label}, {p.split}]" for p in shown)
    more = len(repeat.members) - len(shown)
    return text + (f" and {more} more" if more else "")


def _coverage(e: Evidence) -> Iterator[Finding]:
    splits = e.inventory.splits
    if splits == [NO_SPLIT]:
        return
    present = {(piece.label, piece.split) for piece in e.pieces}
    labels = sorted({piece.label for piece in e.pieces})
    levels: dict[str, Level] = {"train": "error", "dev": "error", "test": "warning"}
    for split, level in levels.items():
        missing = [label for label in labels if (label, split) not in present]
        if missing and not (split == "dev" and "dev" not in splits):
            advice = "record it from more speakers, or leave the class out"
            yield finding(level, f"no_{split}", f"classes without clips in {split}", missing,
                           len(labels), advice)  # fmt: skip


def _names_alike(e: Evidence) -> Iterator[Finding]:
    forms: dict[str, set[str]] = {}
    for label in {piece.label for piece in e.pieces}:
        forms.setdefault(word_name(" ".join(label.split()).casefold()), set()).add(label)
    pairs = [" / ".join(sorted(names)) for names in forms.values() if len(names) > 1]
    if pairs:
        advice = "use one name, or names that differ by more than case and spaces"
        yield finding("warning", "names", "classes with nearly the same name", pairs,
                       len(forms), advice)  # fmt: skip


def _balance(e: Evidence) -> Iterator[Finding]:
    split = e.inventory.splits[0]
    counts = Counter(p.label for p in e.pieces if p.split == split and p.label != SILENCE)
    words = [n for label, n in counts.items() if label != UNKNOWN]
    middle = float(np.median(words)) if words else 0.0
    rare = sorted((n, label) for label, n in counts.items() if n < RARE * middle)
    if rare:
        items = [f"{label}: {n} clips" for n, label in rare]
        title = f"classes with less than a fifth of the median {middle:g} clips in {split}"
        yield finding("warning", "rare", title, items, len(counts),
                       "record more of them, or add some with data augment")  # fmt: skip


def _few_speakers(e: Evidence) -> Iterator[Finding]:
    nameless = [e.name(p) for p in e.pieces if not p.speaker and p.label != SILENCE]
    if nameless:
        advice = "set dataset.speaker_pattern, or a column speaker; without it a speaker can be "
        advice += "in two splits, and intervals are too narrow"
        yield finding("warning", "no_speaker", "clips without a known speaker", nameless,
                       len(e.pieces), advice)  # fmt: skip
    split, voices = e.inventory.splits[0], dict[str, set[str]]()
    for piece in e.pieces:
        if piece.speaker and piece.split == split and piece.label != SILENCE:
            voices.setdefault(piece.label, set()).add(piece.speaker)
    few = sorted((len(who), label) for label, who in voices.items() if len(who) < FEW_SPEAKERS)
    if few:
        items = [f"{label}: {n}" for n, label in few]
        title = f"classes with fewer than {FEW_SPEAKERS} speakers in {split}"
        yield finding("warning", "few_speakers", title, items, len(voices),
                       "record more people: a network memorizes a few voices")  # fmt: skip


def _held_out(e: Evidence) -> Iterator[Finding]:
    """Yield the parts to judge by whose speakers are too few for a figure to be trusted."""
    counts = []
    for split in ("dev", "test"):
        voices = {p.speaker for p in e.pieces if p.split == split and p.speaker}
        if 0 < len(voices) < FEW_TO_JUDGE:
            counts.append(f"{split}: {len(voices)}")
    if counts:
        title = f"held-out parts with fewer than {FEW_TO_JUDGE} speakers"
        advice = "hold out more speakers, or record more: figures of so few are read with care"
        yield finding("warning", "few_held_out", title, counts, 2, advice)


_CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    _refused,
    sound.unreadable,
    _shared_speakers,
    _repeated,
    _coverage,
    _names_alike,
    sound.silent,
    sound.class_levels,
    sound.rates,
    sound.clipping,
    sound.lengths,
    sound.faint,
    _few_speakers,
    _held_out,
    _balance,
    sound.offset,
)
