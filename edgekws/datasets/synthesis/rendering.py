"""Synthesise utterances on all cores: one task per voice, each with a new copy of espeak-ng."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from edgekws.core.events import Emit, progress
from edgekws.core.worker import end_with_parent, terminal_signals_blocked
from edgekws.datasets.synthesis.espeak import Espeak
from edgekws.datasets.synthesis.room import recorded, trimmed
from edgekws.datasets.synthesis.voices import Voice
from edgekws.errors import DataError, MachineError

_RATE_WPM = (130, 210)
_FASTEST_WPM = 320
_PITCH = (30, 70)
_LIVELY = (30, 80)
_PAUSE_S = (0.1, 0.6)
"""Before and after a sentence, together."""


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
    """All utterances of a voice, in order."""

    voice: Voice
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True)
class Format:
    """The clips' sample rate and length."""

    sample_rate: int
    window_samples: int


def render(tasks: Sequence[VoiceTask], clips: Format, seed: int, folder: Path, emit: Emit) -> None:
    """Write every utterance of `tasks` under `folder` as 16-bit WAV or FLAC, by its suffix.

    The bytes depend only on `tasks`, `clips` and `seed`, not on the number of processes.

    Raises:
        DataError: a keyword gives no sound, or does not fit in the window.
        MachineError: a process died.
    """
    total = sum(len(task.utterances) for task in tasks)
    workers = max(min(len(os.sched_getaffinity(0)), len(tasks)), 1)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent)
    try:
        with terminal_signals_blocked():
            running = [pool.submit(speak, task, clips, seed, folder) for task in tasks]
        done = 0
        for future in as_completed(running):
            done += future.result()
            progress(emit, "speaking", done, total, unit="clips")
    except BrokenProcessPool as error:
        raise MachineError(
            "an espeak-ng process died (killed, or out of memory); run the command again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def speak(task: VoiceTask, clips: Format, seed: int, folder: Path) -> int:
    """Write the utterances of a voice, and return their number."""
    with Espeak() as espeak:
        espeak.use(task.voice.identifier)
        for utterance in task.utterances:
            rng = np.random.default_rng([seed, utterance.number])
            speech = _fitting(espeak, utterance, task.voice, clips, rng)
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
    espeak: Espeak, utterance: Utterance, voice: Voice, clips: Format, rng: np.random.Generator
) -> NDArray[np.float32]:
    rate_wpm, pitch, lively = (int(rng.integers(*r)) for r in (_RATE_WPM, _PITCH, _LIVELY))
    speech = _speech(espeak, utterance.text, rate_wpm, pitch, lively, clips)
    whole = utterance.fit == "whole"
    while whole and len(speech) > clips.window_samples and rate_wpm < _FASTEST_WPM:
        rate_wpm = min(int(rate_wpm * 1.15), _FASTEST_WPM)
        speech = _speech(espeak, utterance.text, rate_wpm, pitch, lively, clips)
    if not len(speech):
        raise DataError(f"{utterance.text!r} gives no sound in espeak-ng's voice {voice.name}")
    if whole and len(speech) > clips.window_samples:
        raise DataError(
            f"keyword {utterance.text!r} takes {len(speech) / clips.sample_rate:.2f} s in "
            f"espeak-ng's voice {voice.name} even if spoken fast, but the window is "
            f"{clips.window_samples / clips.sample_rate:.2f} s; set a longer "
            "front_end.window_s or choose a shorter keyword"
        )
    return speech


def _speech(
    espeak: Espeak, text: str, rate_wpm: int, pitch: int, lively: int, clips: Format
) -> NDArray[np.float32]:
    wave = trimmed(espeak.say(text, rate_wpm, pitch, lively))
    resampled = soxr.resample(wave, espeak.sample_rate, clips.sample_rate)
    return np.asarray(resampled, dtype=np.float32)
