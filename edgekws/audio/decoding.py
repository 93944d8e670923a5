"""Decode every clip of a listing once: audit it, cut it to the window, cache it as int16.

For a front end with a state, the audio before each window is cached too.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.audio.audit import (
    Decoded,
    check_coverage,
    check_labels,
    check_readable,
    check_speakers,
    without_duplicates,
)
from edgekws.audio.near_copies import without_near_copies
from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_audio, read_blocks
from edgekws.audio.run_in import read_before, run_in_samples
from edgekws.core.canonical import file_state, sha256_of
from edgekws.core.contract import SILENCE
from edgekws.core.corpus import SPLITS, Clip, Listing, Rejected, Split, count_clips
from edgekws.core.events import Emit, Event
from edgekws.core.source_code import fingerprint
from edgekws.core.store import allocate, build_folder, open_array, read_array
from edgekws.errors import DataError
from edgekws.runtime.detect import Loudest
from edgekws.runtime.front_end import FrontEnd

BLOCK_S = 10.0
"""Length of the blocks in which a clip is read."""

SILENT_PEAK = 10 ** (-60 / 20)
"""A clip with a peak below -60 dBFS is silent."""


@dataclass(frozen=True)
class Corpus:
    """The usable clips of a listing, after every clip was read.

    `noise` are mono recordings `(samples,)` at the front end's rate, mapped from the cache;
    `fingerprint` is the sha256 of labels, speakers and decoded audio, in order, independent of
    file names. `negatives` are those of the listing, not read yet. `before` are the numbers of
    samples that came before the clips of each split in their recordings, up to `run_in_samples`.
    """

    labels: tuple[str, ...]
    splits: dict[Split, tuple[Clip, ...]]
    rejected: tuple[Rejected, ...]
    noise: tuple[NDArray[np.float32], ...]
    fingerprint: str
    notes: tuple[str, ...]
    folder: Path
    window_samples: int
    negatives: tuple[Clip, ...] = ()
    run_in_samples: int = 0
    before: dict[Split, tuple[int, ...]] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields for another process, which maps the noise itself."""
        return self.__dict__ | {"noise": tuple(map(len, self.noise))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"noise": _read_noise(state["folder"], state["noise"])})

    def waveforms(self, split: Split) -> NDArray[np.int16]:
        """Return the clips of `split`, `(N, window_samples)` int16, mapped for reading."""
        return self._rows(split)[:, self.run_in_samples :]

    def stretches(self, split: Split, part: slice) -> list[NDArray[np.int16]]:
        """Return the clips of `part`, each with what came before it, `(before + window_samples,)`.

        They are mapped for reading.
        """
        rows = zip(self._rows(split)[part], self.before[split][part], strict=True)
        return [row[self.run_in_samples - before :] for row, before in rows]

    def _rows(self, split: Split) -> NDArray[np.int16]:
        shape = (len(self.splits[split]), self.run_in_samples + self.window_samples)
        return read_array(self.folder / f"{split}.i16", np.int16, shape)


def decode(listing: Listing, front_end: FrontEnd, cache: Path, emit: Emit) -> Corpus:
    """Read every clip on all cores, or load the result from the cache.

    Clips that are unreadable, empty, silent (below -60 dBFS) or duplicates of another clip are left
    out and listed in `Corpus.rejected`; `_silence_` clips may be silent and repeat. Near-copies in
    another split are left out as well if the listing says so.

    Raises:
        DataError: a speaker or a near-copy is in two splits, a label has no train or no dev clip,
            more than 1 % of the clips are unreadable, or a noise recording is.
        MachineError: the cache cannot be written.
    """
    check_labels(listing)
    check_speakers(listing.clips)
    check_coverage(listing.labels, listing.clips)
    target = cache / "waveforms" / _key(listing, front_end)
    build_folder(target, lambda folder: _build(listing, front_end, folder, emit), emit)
    corpus = _load(listing, front_end, target)
    if corpus.rejected:
        reasons = Counter(rejected.reason for rejected in corpus.rejected)
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        emit(Event("warning", f"{count_clips(corpus.rejected)} left out: {counts}"))
    return corpus


def _key(listing: Listing, front_end: FrontEnd) -> str:
    return sha256_of(
        {
            "rows": identity(listing.clips),
            "labels": listing.labels,
            "noise": [file_state(path) for path in listing.noise],
            "sample_rate": front_end.sample_rate,
            "window_samples": front_end.window_samples,
            "versions": [version("numpy"), version("soxr"), soundfile.__libsndfile_version__],
            "code": fingerprint(__name__),
            "near_copies": listing.near_copies,
        }
        | _run_in_key(front_end)
    )


def _run_in_key(front_end: FrontEnd) -> dict[str, int]:
    run_in = run_in_samples(front_end)
    return {"run_in": run_in} if run_in else {}


def identity(clips: Sequence[Clip]) -> list[tuple[object, ...]]:
    """Return the identity of clips without reading them, including size and time of the files."""
    return [(*file_state(c.path), c.start_s, c.end_s, c.label, c.speaker, c.split) for c in clips]


def _build(listing: Listing, front_end: FrontEnd, folder: Path, emit: Emit) -> None:
    try:
        run_in = run_in_samples(front_end)
        size = run_in + front_end.window_samples
        rows = _rows(listing.clips, size, folder)
        outcome = _decode_clips(listing.clips, front_end, rows, emit)
        check_readable(listing.clips, outcome)
        outcome = without_duplicates(listing.clips, outcome)
        outcome = without_near_copies(
            listing.clips,
            outcome,
            [row[run_in:] for row in rows],
            front_end.sample_rate,
            listing.near_copies,
            emit,
        )
        kept = [clip for clip, decoded in zip(listing.clips, outcome, strict=True) if decoded.ok]
        check_coverage(listing.labels, kept)
        _compact(listing.clips, outcome, size, folder)
        noise = _decode_noise(listing.noise, front_end, folder, emit)
    except DataError:
        shutil.rmtree(folder)  # nothing in it can be reused
        raise
    written = {"outcome": [asdict(decoded) for decoded in outcome], "noise": noise}
    (folder / "outcome.json").write_text(json.dumps(written))


def _rows(clips: Sequence[Clip], size: int, folder: Path) -> list[NDArray[np.int16]]:
    """Return the row of every clip in the arrays of the splits."""
    counts = Counter(clip.split for clip in clips)
    arrays = {s: allocate(folder / f"{s}.i16", np.int16, (counts[s], size)) for s in SPLITS}
    places = dict.fromkeys(SPLITS, 0)
    rows = []
    for clip in clips:
        rows.append(arrays[clip.split][places[clip.split]])
        places[clip.split] += 1
    return rows


def _decode_clips(
    clips: Sequence[Clip], front_end: FrontEnd, rows: Sequence[NDArray[np.int16]], emit: Emit
) -> list[Decoded]:
    return in_parallel(
        lambda i: _decode_clip(clips[i], front_end, rows[i]), len(clips), emit, "reading audio"
    )


def _decode_clip(clip: Clip, front_end: FrontEnd, row: NDArray[np.int16]) -> Decoded:
    loudest, peak = Loudest(front_end.window_samples), 0.0
    blocks = read_blocks(clip.path, front_end.sample_rate, BLOCK_S, clip.start_s, clip.end_s)
    try:
        for block in blocks:
            loudest.add(block)
            peak = max(peak, float(np.abs(block).max(initial=0)))
        short = max(0, front_end.window_samples - loudest.length)
        before = to_int16(read_before(clip, loudest.start - short // 2, front_end))
    except DataError as error:
        return Decoded(reason="unreadable", detail=str(error))
    if not loudest.length:
        end = "the end" if clip.end_s is None else f"{clip.end_s:g} s"
        return Decoded(reason="empty", detail=f"no samples from {clip.start_s:g} s to {end}")
    if peak < SILENT_PEAK and clip.label != SILENCE:
        return Decoded(reason="silent", detail=f"largest sample {peak:.1g} of 1")
    run_in = run_in_samples(front_end)
    row[run_in:] = to_int16(loudest.window())
    row[run_in - len(before) : run_in] = before
    return Decoded(_digest(row[run_in:]), before=len(before), before_digest=_digest(before))


def _digest(samples: NDArray[np.int16]) -> str:
    return hashlib.sha256(samples.data).hexdigest() if len(samples) else ""


def to_int16(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples in [-1, 1] as int16; those of a 16-bit file are restored exactly."""
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def to_float32(waves: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return int16 samples as float32 in [-1, 1)."""
    return waves * np.float32(1 / 32768)


def _compact(clips: Sequence[Clip], outcome: Sequence[Decoded], size: int, folder: Path) -> None:
    """Remove the rows of rejected clips from the arrays."""
    for split in SPLITS:
        path = folder / f"{split}.i16"
        pairs = zip(clips, outcome, strict=True)
        keep = [decoded.ok for clip, decoded in pairs if clip.split == split]
        array = open_array(path, np.int16, (len(keep), size))
        for target, source in enumerate(np.flatnonzero(keep)):
            if target != source:
                array[target] = array[source]
        os.truncate(path, sum(keep) * size * 2)


def _decode_noise(
    paths: Sequence[Path], front_end: FrontEnd, folder: Path, emit: Emit
) -> dict[str, Any]:
    """Write all recordings, concatenated, as `noise.npy`; return their lengths and the sha256."""
    waves: list[NDArray[np.float32]] = in_parallel(
        lambda i: read_audio(paths[i], front_end.sample_rate),
        len(paths),
        emit,
        "reading noise",
        10,
        unit="recordings",
    )
    for path, wave in zip(paths, waves, strict=True):
        if not len(wave):
            raise DataError(f"{path}: holds no audio; leave it out of the noise recordings")
    joined = np.concatenate([np.empty(0, np.float32), *waves])
    np.save(folder / "noise.npy", joined)
    return {
        "lengths": [len(wave) for wave in waves],
        "sha256": hashlib.sha256(joined.data).hexdigest(),
    }


def _load(listing: Listing, front_end: FrontEnd, folder: Path) -> Corpus:
    written = json.loads((folder / "outcome.json").read_text())
    outcome = [Decoded(**row) for row in written["outcome"]]
    pairs = list(zip(listing.clips, outcome, strict=True))
    splits: dict[Split, tuple[Clip, ...]] = {
        split: tuple(clip for clip, decoded in pairs if clip.split == split and decoded.ok)
        for split in SPLITS
    }
    rejected = tuple(
        Rejected(clip.path, clip.label, clip.split, decoded.reason, decoded.detail)
        for clip, decoded in pairs
        if decoded.reason is not None
    )
    noise = _read_noise(folder, written["noise"]["lengths"])
    content = {
        "labels": listing.labels,
        "window_samples": front_end.window_samples,
        "clips": [(c.split, c.label, c.speaker, d.digest) for c, d in pairs if d.ok],
        "noise": written["noise"],
    }
    if any(decoded.before for decoded in outcome):
        content["before"] = [decoded.before_digest for decoded in outcome if decoded.ok]
    return Corpus(
        listing.labels,
        splits,
        rejected,
        noise,
        sha256_of(content),
        listing.notes,
        folder,
        front_end.window_samples,
        listing.negatives,
        run_in_samples(front_end),
        {split: tuple(d.before for c, d in pairs if c.split == split and d.ok) for split in SPLITS},
    )


def _read_noise(folder: Path, lengths: Sequence[int]) -> tuple[NDArray[np.float32], ...]:
    """Return the noise recordings of a corpus in `folder`, of these lengths, mapped for reading."""
    if not lengths:
        return ()
    joined = np.load(folder / "noise.npy", mmap_mode="r")
    return tuple(np.split(joined, np.cumsum(lengths)[:-1]))
