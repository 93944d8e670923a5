"""Streams from one split, with keywords at known times.

If the data has recordings with keyword times, these and the split's keyword-free speech are the
streams. Otherwise keyword clips are inserted into that speech, at most one every `APART_S`. The
level of a keyword, its reverberation and its level above the speech, which is attenuated under it,
are random. Without such speech, clips of other words and of silence are joined with pauses instead.
The random draws depend only on the split, so that every seed is evaluated on the same streams.
"""

import csv
import json
import wave
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.composition import Wave, faded, rms, word_span
from edgekws.audio.decoding import Corpus, to_float32, to_int16
from edgekws.audio.opening import length_s
from edgekws.audio.reading import read_blocks
from edgekws.audio.room import Room, reverberate, room_response
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.core.events import Emit, progress
from edgekws.core.table import csv_text
from edgekws.errors import DataError
from edgekws.spotting.labelled_audio import Label, Labelled
from edgekws.spotting.own_recordings import LONGEST_S, Streams, own_recordings

TABLE = "streams.csv"
NOTES = "notes.json"

RECORDING_S = 30.0
"""Approximate length of a recording joined from clips or speech."""

APART_S = 10.0
"""Least seconds of speech for each keyword inserted."""

AROUND_S = 1.0
"""Speech is attenuated under a keyword, and for this long before and after it."""

TURN_S = 0.2
"""Length of the fade at either end of the attenuation."""

SNR_DB = (10.0, 30.0)
"""Level of a keyword above the surrounding speech; uniform."""

LEVEL_DB = (-36.0, -16.0)
"""RMS of a keyword, in dB relative to full scale; uniform."""

TAIL_S = 0.3
"""Length of reverberation kept after a keyword."""

PAUSE_S = (0.2, 0.8)
"""Pause between two joined clips; uniform."""

_GIVE_SPEECH = "give recordings of it in dataset.negatives, or have it spoken by dataset.spoken"

_COLUMNS = ("file", "keyword", "start_s", "end_s", "speaker")
_FLOOR = 10 ** (-70 / 20)


@dataclass(frozen=True)
class _Word:
    """A keyword clip: its samples and speaker."""

    wave: Wave
    keyword: str
    speaker: str


def write_streams(
    corpus: Corpus, listing: Listing, split: Split, sample_rate: int, folder: Path, emit: Emit
) -> None:
    """Write the streams of `split` into `folder`: WAV files, their table, and notes.

    Raises:
        DataError: a recording cannot be read, or there is no audio without keywords.
    """
    keywords = frozenset(listing.labels) - {UNKNOWN, SILENCE}
    streams = own_recordings(listing, split, keywords, sample_rate) or _composed(
        corpus, listing, split, sample_rate
    )
    rows: list[tuple[object, ...]] = [_COLUMNS]
    seconds, count = 0.0, 0
    for number, (recording, samples) in enumerate(streams.recordings):
        name = f"{number:05d}.wav"
        _write_wav(folder / name, samples, sample_rate)
        rows.append((name, "", "", "", recording.speaker))
        rows += [
            (name, i.keyword, i.start_s, "" if i.end_s is None else i.end_s, i.speaker)
            for i in recording.labels
        ]
        seconds, count = seconds + len(samples) / sample_rate, count + len(recording.labels)
        done, total = int(seconds), int(streams.total_s)
        progress(emit, f"streams of {split}", min(done, total), total)
    (folder / TABLE).write_text(csv_text(rows), "utf-8", newline="")
    notes = [f"{split}: {seconds / 60:.1f} minutes {streams.of}, {count} keywords in them"]
    notes += streams.notes
    if count < streams.clips:
        left_out = streams.clips - count
        notes.append(f"{split}: {left_out} of {streams.clips} keyword clips find no room")
    (folder / NOTES).write_text(json.dumps(notes, ensure_ascii=False), "utf-8")


def read_streams(folder: Path) -> list[Labelled]:
    """Return the recordings that `write_streams` wrote."""
    recordings: dict[str, Labelled] = {}
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name, said = row["file"], row["keyword"]
            if not said:
                recordings[name] = Labelled(folder / name, speaker=row["speaker"])
                continue
            end_s = float(row["end_s"]) if row["end_s"] else None
            label = Label(said, float(row["start_s"]), end_s, row["speaker"])
            before = recordings[name]
            recordings[name] = replace(before, labels=(*before.labels, label))
    return list(recordings.values())


def read_notes(folder: Path) -> list[str]:
    """Return notes on the streams: their length and their sources."""
    notes: list[str] = json.loads((folder / NOTES).read_text("utf-8"))
    return notes


def _composed(corpus: Corpus, listing: Listing, split: Split, sample_rate: int) -> Streams:
    """Return keyword clips inserted into the speech of the split, or into its other clips."""
    rng = np.random.default_rng([1, *split.encode()])
    keywords = [label for label in listing.labels if label not in (UNKNOWN, SILENCE)]
    negatives = [clip for clip in listing.negatives if clip.split == split]
    waves, clips = corpus.waveforms(split), corpus.splits[split]
    notes: list[str] = []
    if negatives:
        of = f"of speech without keywords{_speaker_note(negatives)}"
        total_s, backgrounds = _speech(negatives, sample_rate, rng)
    else:
        of = "of other words and silence, joined with pauses"
        notes.append(f"{split}: the data has no speech without keywords; {_GIVE_SPEECH}")
        others = [n for n, clip in enumerate(clips) if clip.label not in keywords]
        total_s, backgrounds = _joined_clips(waves, others, sample_rate, rng)
    words = [
        _Word(to_float32(waves[n]), clips[n].label, clips[n].speaker or "")
        for n in _balanced(clips, keywords, rng)
    ]
    fit = min(len(words), int(total_s / APART_S))
    each_s = total_s / fit if fit else np.inf
    return Streams(
        _insert_words(backgrounds, words[:fit], each_s, sample_rate, rng),
        total_s,
        of,
        tuple(notes),
        len(words),
    )


def _speaker_note(speech: Sequence[Clip]) -> str:
    """Return the engines that spoke all of the speech or a part of it, empty if people did."""
    engines = sorted({clip.synthesizer for clip in speech if clip.synthesizer})
    part = "" if all(clip.synthesizer for clip in speech) else "in part "
    return f" ({part}spoken by {', '.join(engines)})" if engines else ""


def _balanced(
    clips: Sequence[Clip], keywords: Sequence[str], rng: np.random.Generator
) -> list[int]:
    """Return the indices of the keyword clips, taking the keywords in turn."""
    piles = [
        rng.permutation([n for n, clip in enumerate(clips) if clip.label == word]).astype(int)
        for word in keywords
    ]
    return [int(n) for n in chain.from_iterable(zip_longest(*piles)) if n is not None]


def _speech(
    negatives: Sequence[Clip], sample_rate: int, rng: np.random.Generator
) -> tuple[float, Iterator[tuple[str, Wave]]]:
    """Return the seconds of keyword-free speech, and recordings joined from it."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in negatives:
        by_speaker[clip.speaker or str(clip.path)].append(clip)
    units = list(by_speaker)
    parts = [part for n in rng.permutation(len(units)) for part in by_speaker[units[n]]]
    chosen, total_s = [], 0.0
    for part in parts:
        if total_s < LONGEST_S:
            chosen.append(part)
            end_s = length_s(part.path) if part.end_s is None else part.end_s
            total_s += end_s - part.start_s

    def blocks() -> Iterator[tuple[str, Wave]]:
        for part in chosen:
            for block in read_blocks(part.path, sample_rate, RECORDING_S, part.start_s, part.end_s):
                yield part.speaker or "", block

    return total_s, _joined(blocks(), sample_rate, rng)


def _joined_clips(
    waves: NDArray[np.int16], others: Sequence[int], sample_rate: int, rng: np.random.Generator
) -> tuple[float, Iterator[tuple[str, Wave]]]:
    """Return the seconds of clips of other words and silence, and recordings joined from them."""
    if not others:
        raise DataError(
            "there is no speech without keywords, and no clip of another word or of silence, to "
            f"count false alarms in; {_GIVE_SPEECH}, or take the step calibrate out"
        )
    total_s = len(others) * (waves.shape[1] / sample_rate + float(np.mean(PAUSE_S)))
    pieces = (("", to_float32(waves[n])) for n in rng.permutation(others))  # of many speakers each
    return total_s, _joined(pieces, sample_rate, rng)


def _joined(
    pieces: Iterable[tuple[str, Wave]], sample_rate: int, rng: np.random.Generator
) -> Iterator[tuple[str, Wave]]:
    """Yield speaker and samples of recordings joined from one speaker's pieces with pauses."""
    speaker, parts, length = "", list[Wave](), 0
    for who, piece in pieces:
        if parts and (who != speaker or length + len(piece) > RECORDING_S * sample_rate):
            yield speaker, np.concatenate(parts)
            parts, length = [], 0
        if parts:
            pause = round(rng.uniform(*PAUSE_S) * sample_rate)
            parts.append(_FLOOR * rng.standard_normal(pause, dtype=np.float32))
            length += pause
        speaker, length = who, length + len(piece)
        parts.append(piece)
    if parts:
        yield speaker, np.concatenate(parts)


def _insert_words(
    backgrounds: Iterable[tuple[str, Wave]],
    words: Sequence[_Word],
    each_s: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Labelled, NDArray[np.int16]]]:
    """Yield the backgrounds with a word inserted every `each_s` until all words are used."""
    remaining, due = list(reversed(words)), 0.0
    for speaker, background in backgrounds:
        samples, labels = background.copy(), []
        due += len(background) / sample_rate / each_s
        room = len(background) // (2 * len(words[0].wave)) if words else 0
        count = min(int(due), len(remaining), room)
        due -= count
        for stretch in np.array_split(np.arange(len(samples)), count) if count else ():
            label = _insert_word(
                samples, int(stretch[0]), len(stretch), remaining.pop(), sample_rate, rng
            )
            labels.append(label)
        yield Labelled(Path(), tuple(labels), speaker=speaker), to_int16(np.clip(samples, -1, 1))


def _insert_word(
    samples: Wave,
    start: int,
    size: int,
    word: _Word,
    sample_rate: int,
    rng: np.random.Generator,
) -> Label:
    """Insert a word at a random place in `size` samples from `start`, and return its label."""
    first, last = word_span(word.wave, sample_rate)
    piece = word.wave[first:last]
    room = Room()
    if rng.random() < room.probability:
        rt60_s, direct_db = rng.uniform(*room.rt60_s), rng.uniform(*room.direct_db)
        response = room_response(rt60_s, direct_db, sample_rate, rng)
        piece = reverberate(np.pad(piece, (0, round(TAIL_S * sample_rate))), response)
    level = 10 ** (rng.uniform(*LEVEL_DB) / 20)
    piece = faded(piece * np.float32(level / max(rms(piece[: last - first]), 1e-9)), sample_rate)
    at = start + int(rng.integers(max(1, size - len(piece))))
    piece = piece[: len(samples) - at]
    around = round(AROUND_S * sample_rate)
    near = samples[max(0, at - around) : at + len(piece) + around]
    quiet = level * 10 ** (-rng.uniform(*SNR_DB) / 20) / max(rms(near), 1e-9)
    if quiet < 1:
        near *= 1 - faded(np.ones(len(near), np.float32), sample_rate, TURN_S) * np.float32(
            1 - quiet
        )
    samples[at : at + len(piece)] += piece
    end = min(at + last - first, len(samples)) / sample_rate
    return Label(word.keyword, round(at / sample_rate, 3), round(end, 3), word.speaker)


def _write_wav(path: Path, samples: NDArray[np.int16], sample_rate: int) -> None:
    with path.open("wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
