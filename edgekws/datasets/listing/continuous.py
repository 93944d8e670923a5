"""Training windows as they occur in continuous speech, composed of clips and other speech.

A network trained on single words alone takes parts of words, two words at once and
running speech for keywords, and misses keywords inside sentences.
"""

import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.audio.composition import Wave, between, set_into, turned_down, word_span
from edgekws.audio.opening import length_s
from edgekws.audio.parallel import in_parallel, spread
from edgekws.audio.reading import read_audio
from edgekws.audio.run_in import run_in_samples
from edgekws.core.canonical import file_state, sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Clip, Listing
from edgekws.core.events import Emit
from edgekws.core.fields import Fields
from edgekws.core.source_code import fingerprint
from edgekws.core.store import build_folder
from edgekws.runtime.front_end import FrontEnd

PART = (0.25, 0.5)
"""Shares of a keyword that a partial window holds, from the least to the most."""

SNR_DB = (5.0, 30.0)
"""How much louder a keyword is than the speech that it is set into."""

AROUND_DB = (-20.0, 0.0)
"""Level of the words before and after a keyword, relative to it."""

BETWEEN = 0.5
"""Share of the windows with a keyword whose speech stops for it; in others it continues below."""

SPOKEN, QUIET_DB = 0.7, -40.0
"""Share of the partial windows with speech beside the word; in the others it is so quiet."""

BLOCK = 16
"""Windows per task."""

TABLES = ("speech", "part", "pair", "word")


class Continuous(Fields):
    """Windows that are added to the training clips; dev and test stay as they are.

    A dataset of kind `manifest` with `windows` cuts its own from sentences, and gets none of these.
    """

    per_speech_second: float = Field(
        default=0.5,
        ge=0,
        le=100,
        description="windows for each second of speech without a keyword, as _unknown_",
    )
    partial: float = Field(
        default=0.4,
        ge=0,
        le=100,
        description="windows for each keyword clip that hold a quarter to half of the keyword, and "
        "speech or silence next to it, as _unknown_",
    )
    pairs: float = Field(
        default=0.1,
        ge=0,
        le=100,
        description="windows for each keyword clip that hold the end of one keyword and the "
        "beginning of another, as _unknown_",
    )
    in_speech: float = Field(
        default=0.5,
        ge=0,
        le=100,
        description="windows for each keyword clip that hold the keyword inside speech",
    )


@dataclass(frozen=True)
class _Plan:
    """One window to compose: its keyword clips, the speech around, and the number it draws from."""

    table: str
    clips: tuple[Clip, ...]
    speech: tuple[Clip, ...]
    number: int


def with_windows(
    listing: Listing, wanted: Continuous, front_end: FrontEnd, seed: int, cache: Path, emit: Emit
) -> Listing:
    """Return the listing with the windows that `wanted` asks for among its training clips.

    Windows are composed once and kept in `cache/continuous`. Speech is that of
    `Listing.negatives`, or where there is none the training clips of `_unknown_`. Without a class
    `_unknown_` nothing is added.

    Raises:
        DataError: a clip cannot be read.
        MachineError: the cache cannot be written.
    """
    if UNKNOWN not in listing.labels or listing.recordings:
        return listing
    train = [clip for clip in listing.clips if clip.split == "train"]
    keywords = [clip for clip in train if clip.label not in (UNKNOWN, SILENCE)]
    negatives = [clip for clip in listing.negatives if clip.split == "train"]
    speech = negatives or [clip for clip in train if clip.label == UNKNOWN]
    windows = _of_speech(negatives, wanted.per_speech_second, front_end.window_s, seed)
    plans = _plans(keywords, speech, wanted, seed)
    key = sha256_of(
        {
            "clips": [(*file_state(c.path), c.start_s, c.end_s, c.label) for c in keywords],
            "speech": [(*file_state(c.path), c.start_s, c.end_s) for c in speech],
            "wanted": wanted.model_dump(mode="json"),
            "front_end": [front_end.sample_rate, front_end.window_samples],
            "past": run_in_samples(front_end),
            "seed": seed,
            "code": fingerprint(__name__, ("numpy", "soxr", "soundfile")),
        }
    )
    folder = build_folder(
        cache / "continuous" / key,
        lambda partial: _write(plans, front_end, seed, partial, emit),
        emit,
    )
    composed = list(_composed(plans, folder, front_end))
    counts = {
        "of speech": len(windows),
        "with part of a keyword": sum(plan.table == "part" for plan in plans),
        "with parts of two": sum(plan.table == "pair" for plan in plans),
        "with a keyword inside speech": sum(plan.table == "word" for plan in plans),
    }
    kinds = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    note = (f"training windows as in continuous speech: {kinds}",) if kinds else ()
    return replace(
        listing,
        clips=(*listing.clips, *windows, *composed),
        recordings=listing.clips,
        notes=(*listing.notes, *note),
    )


def _of_speech(
    negatives: Sequence[Clip], per_second: float, window_s: float, seed: int
) -> list[Clip]:
    """Return windows of the negatives, at places drawn from the seed and their number."""
    found = []
    for number, clip in enumerate(negatives):
        end_s = length_s(clip.path) if clip.end_s is None else clip.end_s
        rng = np.random.default_rng([seed, 0, number])
        count = int((end_s - clip.start_s) * per_second + rng.random())
        room_s = end_s - clip.start_s - window_s
        for start in np.sort(rng.uniform(0, max(room_s, 0), count if room_s >= 0 else 0)):
            start_s = clip.start_s + round(float(start), 3)
            found.append(replace(clip, start_s=start_s, end_s=round(start_s + window_s, 3)))
    return found


def _plans(
    keywords: Sequence[Clip], speech: Sequence[Clip], wanted: Continuous, seed: int
) -> list[_Plan]:
    if not keywords or not speech:
        return []
    plans = []
    shares = {"part": wanted.partial, "pair": wanted.pairs, "word": wanted.in_speech}
    for table, share in shares.items():
        rng = np.random.default_rng([seed, TABLES.index(table)])
        order = rng.permutation(len(keywords))
        for n in range(round(share * len(keywords))):
            clips = [keywords[order[n % len(order)]]]
            if table == "pair":
                clips.append(keywords[int(rng.integers(len(keywords)))])
            around = tuple(speech[int(i)] for i in rng.integers(len(speech), size=2))
            plans.append(_Plan(table, tuple(clips), around, n))
    return plans


def _write(
    plans: Sequence[_Plan], front_end: FrontEnd, seed: int, folder: Path, emit: Emit
) -> None:
    """Write the windows of each table, each after its past, end to end into a WAV file."""
    with spread(partial(_compose_all, front_end=front_end, seed=seed), len(plans)) as compose:
        for table in TABLES[1:]:
            own = [plan for plan in plans if plan.table == table]
            blocks = [own[start : start + BLOCK] for start in range(0, len(own), BLOCK)]
            composed = in_parallel(
                lambda i: compose(blocks[i]),  # noqa: B023 used before the next turn
                len(blocks),
                emit,
                "composing windows",
                step=4,
                unit="blocks",
            )
            with (folder / f"{table}.wav").open("wb") as raw, wave.open(raw, "wb") as file:
                file.setparams((1, 2, front_end.sample_rate, 0, "NONE", ""))
                for window in chain.from_iterable(composed):
                    file.writeframes(window.astype("<i2").tobytes())


def _composed(plans: Sequence[_Plan], folder: Path, front_end: FrontEnd) -> Iterator[Clip]:
    past_s, window_s = run_in_samples(front_end) / front_end.sample_rate, front_end.window_s
    for table in TABLES[1:]:
        own = [plan for plan in plans if plan.table == table]
        for n, plan in enumerate(own):
            clip = plan.clips[0]
            label = clip.label if table == "word" else UNKNOWN
            end_s = (n + 1) * (past_s + window_s)
            yield Clip(
                folder / f"{table}.wav",
                label,
                clip.speaker,
                "train",
                end_s - window_s,
                end_s,
                synthesizer=clip.synthesizer,
            )


def _compose_all(plans: Sequence[_Plan], front_end: FrontEnd, seed: int) -> list[NDArray[np.int16]]:
    return [_compose(plan, front_end, seed) for plan in plans]


def _compose(plan: _Plan, front_end: FrontEnd, seed: int) -> NDArray[np.int16]:
    """Return a window after its past, `(run_in_samples + window_samples,)`."""
    rng = np.random.default_rng([seed, TABLES.index(plan.table), plan.number])
    words = [_word(clip, front_end) for clip in plan.clips]
    around = [_speech(clip, front_end, rng) for clip in plan.speech]
    window = _COMPOSERS[plan.table](words, around, front_end, rng)
    return np.round(turned_down(window) * 32767).astype(np.int16)


def _word(clip: Clip, front_end: FrontEnd) -> Wave:
    wave = read_audio(clip.path, front_end.sample_rate, clip.start_s, clip.end_s)
    start, end = word_span(wave, front_end.sample_rate)
    return wave[start:end][: front_end.window_samples]


def _speech(clip: Clip, front_end: FrontEnd, rng: np.random.Generator) -> Wave:
    """Return a window of speech after its past, which begins with silence if speech is too short.

    Speech that is shorter than a window is followed by silence.
    """
    rate, past = front_end.sample_rate, run_in_samples(front_end)
    total = past + front_end.window_samples
    end_s = length_s(clip.path) if clip.end_s is None else clip.end_s
    room_s = max(0.0, end_s - clip.start_s - total / rate)
    start_s = clip.start_s + rng.uniform(0, room_s)
    wave = read_audio(clip.path, rate, start_s, min(end_s, start_s + total / rate + 0.01))[:total]
    silence = min(past, total - len(wave))
    return np.pad(wave, (silence, total - len(wave) - silence))


def _with_part(
    words: Sequence[Wave], around: Sequence[Wave], front_end: FrontEnd, rng: np.random.Generator
) -> Wave:
    """Return a window that begins or ends within a word, with speech or quiet beside it."""
    word, rate = words[0], front_end.sample_rate
    size, past = front_end.window_samples, run_in_samples(front_end)
    length = max(1, round(rng.uniform(*PART) * len(word)))
    level_db = rng.uniform(*AROUND_DB) if rng.random() < SPOKEN else QUIET_DB
    if rng.random() < 0.5:
        heard = word[-(past + length) :]
        before, after = around[1][: past + length - len(heard)], around[0][past:][: size - length]
        return between(before, heard, after, level_db, rate)
    return between(around[0][: past + size - length], word[:length], word[:0], level_db, rate)


def _with_pair(
    words: Sequence[Wave], around: Sequence[Wave], front_end: FrontEnd, rng: np.random.Generator
) -> Wave:
    """Return a window with the end of one word, a pause, and the beginning of another."""
    first, second = words
    size, past = front_end.window_samples, run_in_samples(front_end)
    length = max(1, round(rng.uniform(*PART) * len(first)))
    start = second[: max(1, round(rng.uniform(*PART) * len(second)))]
    end = first[-(past + length) :]
    before = np.zeros(past + length - len(end), np.float32)
    pause = np.zeros(max(0, size - length - len(start)), np.float32)
    return np.concatenate([before, end, pause, start])[: past + size]


def _with_word(
    words: Sequence[Wave], around: Sequence[Wave], front_end: FrontEnd, rng: np.random.Generator
) -> Wave:
    """Return a window with a whole word inside speech, which stops for it or continues below it."""
    word, rate = words[0], front_end.sample_rate
    size, past = front_end.window_samples, run_in_samples(front_end)
    start = int(rng.integers(size - len(word) + 1))
    if rng.random() < BETWEEN:
        before, after = around[0][: past + start], around[1][past:][: size - start - len(word)]
        return between(before, word, after, rng.uniform(*AROUND_DB), rate)
    return set_into(around[0], word, past + start, rng.uniform(*SNR_DB), rate)


_COMPOSERS: dict[str, Callable[..., Wave]] = {
    "part": _with_part,
    "pair": _with_pair,
    "word": _with_word,
}
