"""Finds clips that hold the same audio, sample by sample or as the same recording made over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.inspection import PRINT_SIZE, Sound
from edgekws.audio.likeness import SAME, alike, correlation, groups
from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_audio
from edgekws.core.contract import SILENCE
from edgekws.core.events import Emit
from edgekws.curation.listing import Piece
from edgekws.errors import DataError

MOST_PRINTS = 40_000
"""More clips than this are compared within their label only: all pairs would take minutes."""

MOST_PAIRS = 10_000
"""So many of the likeliest pairs are compared sample by sample."""

SILENT_DBFS = -60.0
_RATE = 8_000
_LONGEST_S = 10.0


@dataclass(frozen=True)
class Repeat:
    """Clips, by their index, with the same audio; `exact`: sample by sample."""

    members: tuple[int, ...]
    exact: bool


def repeats(
    pieces: Sequence[Piece], sounds: Sequence[Sound | None], emit: Emit
) -> tuple[list[Repeat], list[str]]:
    """Return the groups of clips with the same audio, and notes on what was not compared.

    Silent clips and those of `_silence_` may repeat and are left out. Candidates are clips whose
    prints are alike; they are the same where their waveforms, at 8 kHz, correlate.
    """
    first: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for i, sound in enumerate(sounds):
        if sound and sound.peak_dbfs > SILENT_DBFS and pieces[i].label != SILENCE:
            same = first.setdefault(sound.digest, i)
            if same != i:
                pairs.append((same, i))
    candidates, notes = _candidates(list(first.values()), pieces, sounds)
    scores = in_parallel(
        lambda k: _score(*(pieces[i] for i in candidates[k])),
        len(candidates),
        emit,
        "comparing",
        unit="pairs",
    )
    pairs += [pair for pair, score in zip(candidates, scores, strict=True) if score >= SAME]
    return [_repeat(members, sounds) for members in groups(len(pieces), pairs)], notes


def _candidates(
    unique: Sequence[int], pieces: Sequence[Piece], sounds: Sequence[Sound | None]
) -> tuple[list[tuple[int, int]], list[str]]:
    lots, notes = [list(unique)], []
    if len(unique) > MOST_PRINTS:
        by_label: dict[str, list[int]] = {}
        for i in unique:
            by_label.setdefault(pieces[i].label, []).append(i)
        lots = [part[:MOST_PRINTS] for part in by_label.values()]
        notes.append(
            f"{len(unique):,} clips: recordings made over were looked for within each label only, "
            "exact repetitions among all"
        )
    found = [
        (score, lot[i], lot[j])
        for lot in lots
        for score, i, j in alike(_prints([sounds[k] for k in lot]))
    ]
    found.sort(reverse=True)
    if len(found) > MOST_PAIRS:
        notes.append(
            f"{len(found):,} pairs of clips sound alike; the likeliest {MOST_PAIRS:,} were compared"
        )
    return [(i, j) for _, i, j in found[:MOST_PAIRS]], notes


def _prints(sounds: Sequence[Sound | None]) -> NDArray[np.float32]:
    prints = [sound.likeness for sound in sounds if sound]
    return np.stack(prints) if prints else np.empty((0, PRINT_SIZE), np.float32)


def _score(a: Piece, b: Piece) -> float:
    try:
        waves = [read_audio(piece.path, _RATE, piece.start_s, _end(piece)) for piece in (a, b)]
    except DataError:  # of a readable file this part alone is not: its channels cancel out here
        return 0.0
    return correlation(*(wave - wave.mean() for wave in waves))  # an offset is no likeness


def _end(piece: Piece) -> float:
    longest = piece.start_s + _LONGEST_S
    return longest if piece.end_s is None else min(piece.end_s, longest)


def _repeat(members: Sequence[int], sounds: Sequence[Sound | None]) -> Repeat:
    digests = {sound.digest for i in members if (sound := sounds[i])}
    return Repeat(tuple(members), exact=len(digests) == 1)
