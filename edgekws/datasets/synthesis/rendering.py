"""Synthesise utterances on all cores: tasks of one voice, whose raw speech may be cached."""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from edgekws.core.events import Emit, progress
from edgekws.core.protocols import Synthesizer
from edgekws.core.speech import Manner, Speaker, Voice
from edgekws.core.worker import end_with_parent, terminal_signals_blocked
from edgekws.datasets.synthesis.room import recorded, trimmed
from edgekws.datasets.synthesis.spoken_cache import cached_speaker, speech_folder
from edgekws.errors import DataError, MachineError

_RATE_WPM = (130, 210)
_FASTEST_WPM = 320
_PITCH = (30, 70)
_LIVELY = (30, 80)
_PAUSE_S = (0.1, 0.6)
"""Before and after a sentence, together."""

_CHUNK = 16
"""Most utterances of a task, if its engine's clips are independent of each other."""


Fit = Literal["whole", "cut", "long"]


@dataclass(frozen=True)
class Utterance:
    """A text to speak, its file, and the number that seeds its random draws.

    `fit` says how it fits the window: keywords are in it as a `whole`, other words may be `cut` to
    it, and sentences are as `long` as they are, at least a window.
    """

    text: str
    path: str
    number: int
    fit: Fit


@dataclass(frozen=True)
class VoiceTask:
    """Utterances of a voice, in order; its engine's speech is cached in `cache`, if given."""

    engine: Synthesizer
    voice: Voice
    utterances: tuple[Utterance, ...]
    cache: Path | None = None


@dataclass(frozen=True)
class Format:
    """The clips' sample rate and length."""

    sample_rate: int
    window_samples: int


def render(
    tasks: Sequence[VoiceTask],
    clips: Format,
    seed: int,
    folder: Path,
    emit: Emit,
    cache: Path | None = None,
) -> None:
    """Write every utterance of `tasks` under `folder` as 16-bit WAV or FLAC, by its suffix.

    The bytes depend only on `tasks`, `clips` and `seed`, not on the number of processes. Speech of
    engines that allow it is kept under `cache`, clip by clip; when the caller is interrupted, each
    process ends after the clip that it is speaking.

    Raises:
        DataError: a keyword gives no sound, or does not fit in the window.
        MachineError: a process died.
    """
    total = sum(len(task.utterances) for task in tasks)
    tasks = list(_in_parts(tasks, cache))
    workers = max(min(len(os.sched_getaffinity(0)), len(tasks)), 1)
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _begin, (stop,))
    try:
        with terminal_signals_blocked():
            running = [pool.submit(speak, task, clips, seed, folder) for task in tasks]
        done = 0
        for future in as_completed(running):
            done += future.result()
            progress(emit, "speaking", done, total, unit="clips")
    except BrokenProcessPool as error:
        raise MachineError(
            "a process that speaks died (killed, or out of memory); run the command again"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


_stop: Flag | None = None
"""Set in this process when it should stop after the current clip."""


def _begin(stop: Flag) -> None:
    global _stop
    _stop = stop
    end_with_parent()


def _in_parts(tasks: Sequence[VoiceTask], cache: Path | None) -> Iterator[VoiceTask]:
    """Yield the tasks, in parts if clips are independent, so that every core has some."""
    folders: dict[int, Path] = {}
    for task in tasks:
        if task.engine.follows is None:
            yield task
            continue
        if cache is not None and id(task.engine) not in folders:
            folders[id(task.engine)] = speech_folder(cache, task.engine)
        for start in range(0, len(task.utterances), _CHUNK):
            part = task.utterances[start : start + _CHUNK]
            yield VoiceTask(task.engine, task.voice, part, folders.get(id(task.engine)))


def speak(task: VoiceTask, clips: Format, seed: int, folder: Path) -> int:
    """Write the utterances of a task, and return their number."""
    with task.engine.speaker(task.voice) as live:
        speaker = cached_speaker(live, task.engine, task.voice, task.cache)
        for number, utterance in enumerate(task.utterances):
            if _stop is not None and _stop.is_set():
                return number
            rng = np.random.default_rng([seed, utterance.number])
            speech = _fitting(speaker, utterance, task, clips, seed, rng)
            size = clips.window_samples
            if utterance.fit == "long":
                size = max(size, len(speech) + int(rng.uniform(*_PAUSE_S) * clips.sample_rate))
            samples = recorded(speech, size, clips.sample_rate, rng)
            write(folder / utterance.path, samples, clips.sample_rate)
    return len(task.utterances)


def write(path: Path, samples: NDArray[np.int16], sample_rate: int) -> None:
    """Write int16 `samples` as WAV or FLAC, by the suffix; create the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()  # soundfile flushes every file to disk, which is slower than synthesis
    form = path.suffix[1:].upper()
    soundfile.write(encoded, samples, sample_rate, subtype="PCM_16", format=form)
    path.write_bytes(encoded.getvalue())


def _fitting(
    speaker: Speaker,
    utterance: Utterance,
    task: VoiceTask,
    clips: Format,
    seed: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    rate_wpm, pitch, lively = (int(rng.integers(*r)) for r in (_RATE_WPM, _PITCH, _LIVELY))
    manner = Manner(rate_wpm, pitch, lively, (seed, utterance.number))
    speech = _speech(speaker, utterance.text, manner, clips)
    whole = utterance.fit == "whole"
    while whole and len(speech) > clips.window_samples and manner.rate_wpm < _FASTEST_WPM:
        manner = manner._replace(rate_wpm=min(int(manner.rate_wpm * 1.15), _FASTEST_WPM))
        speech = _speech(speaker, utterance.text, manner, clips)
    voice = f"{task.engine.kind}'s voice {task.voice.name}"
    if not len(speech):
        raise DataError(f"{utterance.text!r} gives no sound in {voice}")
    if whole and len(speech) > clips.window_samples:
        raise DataError(
            f"keyword {utterance.text!r} takes {len(speech) / clips.sample_rate:.2f} s in "
            f"{voice} even if spoken fast, but the window is "
            f"{clips.window_samples / clips.sample_rate:.2f} s; set a longer "
            "front_end.window_s or choose a shorter keyword"
        )
    return speech


def _speech(speaker: Speaker, text: str, manner: Manner, clips: Format) -> NDArray[np.float32]:
    wave = trimmed(speaker.say(text, manner))
    resampled = soxr.resample(wave, speaker.sample_rate, clips.sample_rate)
    return np.asarray(resampled, dtype=np.float32)
