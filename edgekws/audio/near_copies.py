"""Near-copies: clips in two splits from one recording, at another level, shift or format.

A fingerprint is the fine structure of the magnitude spectrum of a whole window, which depends
neither on level nor on shift and differs between recordings, folded to 256 values by random signs,
which preserves inner products (Charikar, Chen, Farach-Colton, "Finding Frequent Items in Data
Streams", 2002). Clips with similar fingerprints are compared by their waveforms.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.audit import KEEP_ORDER, Decoded
from edgekws.audio.likeness import SAME, correlation
from edgekws.audio.parallel import in_parallel
from edgekws.core.contract import SILENCE
from edgekws.core.corpus import SPLITS, Clip, NearCopies
from edgekws.core.events import Emit
from edgekws.errors import DataError

AGREE = 0.45
"""Correlations of two recordings scatter around 0 by 0.07; nearly all of copies are above 0.8."""

_SIZE = 256
_BAND_HZ = (100, 3_500)
_FINE = 5
_BLOCK = 256
_SHOWN = 5

Waves = NDArray[np.int16]
Pair = tuple[int, int]


def without_near_copies(
    clips: Sequence[Clip],
    outcome: Sequence[Decoded],
    waves: Sequence[Waves],
    sample_rate: int,
    rule: NearCopies,
    emit: Emit,
) -> list[Decoded]:
    """Raise an error for near-copies of a clip in another split, or reject them (`leave_out`).

    `waves` are the windows `(samples,)` of the clips. Of a pair, the clip in train is rejected
    before one in dev, and that before one in test. `_silence_` is not compared, because its windows
    are cut from recordings in one split each.

    Raises:
        DataError: there are near-copies and `rule` is `refuse`.
    """
    spoken = [i for i, c in enumerate(clips) if outcome[i].ok and c.label != SILENCE]
    pairs = [
        (spoken[i], spoken[j])
        for i, j in near_copies(
            [waves[i] for i in spoken], [clips[i].split for i in spoken], sample_rate, emit
        )
    ]
    if pairs and rule == "refuse":
        raise DataError(_refusal(clips, pairs))
    result = list(outcome)
    for pair in pairs:
        kept, dropped = sorted(pair, key=lambda i: KEEP_ORDER.index(clips[i].split))
        if result[kept].ok:
            other = clips[kept]
            detail = f"near-copy of {other.path} ({other.label}, {other.split})"
            result[dropped] = Decoded(reason="duplicate", detail=detail)
    return result


def near_copies(
    waves: Sequence[Waves], splits: Sequence[str], sample_rate: int, emit: Emit
) -> list[Pair]:
    """Return the pairs `(i, j)`, `i < j`, of clips in two splits from one recording."""
    blocks = range(0, len(waves), _BLOCK)
    parts = in_parallel(
        lambda k: prints(np.stack(waves[blocks[k] : blocks[k] + _BLOCK]), sample_rate),
        len(blocks),
        emit,
        "searching for copies",
        unit="blocks",
    )
    agreeing = list(_agreeing(np.concatenate(parts), np.array(splits))) if parts else []
    scores = in_parallel(
        lambda k: correlation(*(_speech_band(waves[i], sample_rate) for i in agreeing[k])),
        len(agreeing),
        emit,
        "comparing",
        unit="pairs",
    )
    return sorted(p for p, score in zip(agreeing, scores, strict=True) if score >= SAME)


def prints(waves: Waves, sample_rate: int) -> NDArray[np.float32]:
    """Return fingerprints `(N, 256)` of windows `(N, samples)`, of norm 1, or 0 for silence."""
    band = _band(waves.shape[1], sample_rate)
    spectrum = np.fft.rfft(waves.astype(np.float32), axis=1)[:, band]
    count = spectrum.shape[1] // _FINE * _FINE
    size = np.sqrt(np.abs(spectrum[:, :count])).reshape(len(waves), -1, _FINE)
    fine = (size - size.mean(axis=2, keepdims=True)).reshape(len(waves), count)
    fine *= np.random.default_rng(0).choice(np.array([-1, 1], np.float32), count)
    padded = np.pad(fine, ((0, 0), (0, -count % _SIZE)))
    folded = padded.reshape(len(waves), -1, _SIZE).sum(axis=1)
    norms = np.linalg.norm(folded, axis=1, keepdims=True)
    return np.asarray(folded / np.where(norms > 0, norms, 1), np.float32)


def _agreeing(fingerprints: NDArray[np.float32], splits: NDArray[np.str_]) -> Iterator[Pair]:
    indices = [np.flatnonzero(splits == split) for split in SPLITS]
    for first, second in combinations(indices, 2):
        for start in range(0, len(first), _BLOCK):
            block = first[start : start + _BLOCK]
            similar = fingerprints[block] @ fingerprints[second].T >= AGREE
            for row, column in np.argwhere(similar):
                i, j = sorted((int(block[row]), int(second[column])))
                yield i, j


def _speech_band(wave: Waves, sample_rate: int) -> NDArray[np.float32]:
    """Return the 100 … 3500 Hz band of a wave, at 7 kHz, to ignore offset and hum."""
    band = _band(len(wave), sample_rate)
    spectrum = np.fft.rfft(wave.astype(np.float32))[: band.stop]
    spectrum[: band.start] = 0
    return np.asarray(np.fft.irfft(spectrum), np.float32)


def _band(length: int, sample_rate: int) -> slice:
    low, high = (round(hertz * length / sample_rate) for hertz in _BAND_HZ)
    return slice(low, min(high, length // 2 + 1))


def _refusal(clips: Sequence[Clip], pairs: Sequence[Pair]) -> str:
    def describe(i: int) -> str:
        clip = clips[i]
        start = f" from {clip.start_s:g} s" if clip.start_s else ""
        return f"{clip.path}{start} ({clip.label}, {clip.split})"

    lines = [f"  {describe(i)} and {describe(j)}" for i, j in pairs[:_SHOWN]]
    more = [f"  and {len(pairs) - _SHOWN:,} more"] if len(pairs) > _SHOWN else []
    head = f"{len(pairs):,} pairs of clips in two splits are near-copies of one recording:"
    if len(pairs) == 1:
        head = "2 clips in two splits are near-copies of one recording:"
    advice = (
        "remove one of each pair, or put both into one split; "
        'dataset.near_copies = "leave_out" leaves out the one nearer to train'
    )
    return "\n".join([head, *lines, *more, advice])
