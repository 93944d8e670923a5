"""Find clips with the same audio: exact duplicates and near-copies."""

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
"""Above this number, clips are compared only within their label: all pairs would take minutes."""

MOST_PAIRS = 10_000
"""Maximum number of pairs, most similar first, that are compared by waveform."""

SILENT_DBFS = -60.0
_RATE = 8_000
_LONGEST_S = 10.0


@dataclass(frozen=True)
class Repeat:
    """Indices of clips with the same audio; `exact` if the samples are equal."""

    members: tuple[int, ...]
    exact: bool


def repeats(
    pieces: Sequence[Piece], sounds: Sequence[Sound | None], emit: Emit
) -> tuple[list[Repeat], list[str]]:
    """Return the groups of clips with the same audio, and notes on what was not compared.

    Silent clips and `_silence_` may repeat and are left out. Candidates have similar fingerprints;
    they are the same if their waveforms, at 8 kHz, correlate.
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
            f"{len(unique):,} clips: near-copies were searched only within each label, exact "
            "duplicates among all"
        )
    similar = [
        (score, lot[i], lot[j])
        for lot in lots
        for score, i, j in alike(_prints([sounds[k] for k in lot]))
    ]
    similar.sort(reverse=True)
    if len(similar) > MOST_PAIRS:
        notes.append(
            f"{len(similar):,} pairs of clips sound alike; the most similar {MOST_PAIRS:,} were "
            "compared"
        )
    return [(i, j) for _, i, j in similar[:MOST_PAIRS]], notes


def _prints(sounds: Sequence[Sound | None]) -> NDArray[np.float32]:
    prints = [sound.likeness for sound in sounds if sound]
    return np.stack(prints) if prints else np.empty((0, PRINT_SIZE), np.float32)


def _score(a: Piece, b: Piece) -> float:
    try:
        waves = [read_audio(piece.path, _RATE, piece.start_s, _end(piece)) for piece in (a, b)]
    except DataError:  # the channels of a readable file cancel out in this part
        return 0.0
    return correlation(*(wave - wave.mean() for wave in waves))  # ignore the offset


def _end(piece: Piece) -> float:
    longest = piece.start_s + _LONGEST_S
    return longest if piece.end_s is None else min(piece.end_s, longest)


def _repeat(members: Sequence[int], sounds: Sequence[Sound | None]) -> Repeat:
    digests = {sound.digest for i in members if (sound := sounds[i])}
    return Repeat(tuple(members), exact=len(digests) == 1)
