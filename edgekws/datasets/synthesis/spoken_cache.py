"""Raw speech in the cache, clip by clip: interrupted runs resume, changed recipes reuse it.

A clip is known by its engine's fingerprint, voice, text, and the part of the manner that the engine
follows. Files are FLAC of 16 bit, written whole; a damaged one is spoken again.
"""

import io
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.core.canonical import sha256_of
from edgekws.core.output import OTHER_CACHE, write_bytes
from edgekws.core.protocols import Synthesizer
from edgekws.core.speech import Manner, Speaker, Voice
from edgekws.core.store import growing_folder

_FULL_SCALE = 32767


def speech_folder(cache: Path, engine: Synthesizer) -> Path:
    """Return the folder of an engine's speech, `cache/speech/FINGERPRINT`."""
    return growing_folder(cache / "speech" / engine.fingerprint())


def cached_speaker(
    speaker: Speaker, engine: Synthesizer, voice: Voice, folder: Path | None
) -> Speaker:
    """Return `speaker` with its speech kept in `folder`, or itself if there is none."""
    follows = engine.follows
    if folder is None or follows is None:
        return speaker
    return _Cached(speaker, follows, voice, folder)


class _Cached:
    def __init__(
        self, speaker: Speaker, follows: tuple[str, ...], voice: Voice, folder: Path
    ) -> None:
        self._speaker, self._follows, self._voice, self._folder = speaker, follows, voice, folder
        self.sample_rate = speaker.sample_rate

    def say(self, text: str, manner: Manner) -> NDArray[np.float32]:
        followed = {name: getattr(manner, name) for name in self._follows}
        key = sha256_of([list(self._voice), text, followed])
        path = self._folder / key[:2] / f"{key}.flac"
        with suppress(OSError, soundfile.LibsndfileError):
            return _float(soundfile.read(os.fsencode(path), dtype="int16")[0])
        samples = _int16(self._speaker.say(text, manner))
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, self.sample_rate, subtype="PCM_16", format="FLAC")
        write_bytes(path, encoded.getvalue(), OTHER_CACHE)
        return _float(samples)


def _int16(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return `wave` as 16-bit samples, attenuated if it would clip."""
    peak = max(float(np.abs(wave).max(initial=0)), 1.0)
    return np.round(wave * (_FULL_SCALE / peak)).astype(np.int16)


def _float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(_FULL_SCALE)
