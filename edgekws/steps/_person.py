"""One person's clips and their room, for fine-tuning: read, varied, mixed with training clips."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.augmentation import Augment, Noise, augment_waveform
from edgekws.audio.decoding import SILENT_PEAK
from edgekws.audio.folders import audio_files_under
from edgekws.audio.front_ends import clip_features
from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_audio
from edgekws.audio.room import Room
from edgekws.audio.run_in import run_in_samples
from edgekws.core.contract import SILENCE, UNKNOWN, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit
from edgekws.core.job import Data
from edgekws.datasets.listing.labels import BACKGROUND_NOISE
from edgekws.datasets.listing.word_folders import Recording, find_recordings
from edgekws.errors import DataError
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps._derived_data import DerivedData

VARIATIONS = Augment(
    speed=(0.9, 1.1),
    pitch_semitones=(-1.0, 1.0),
    room=Room(),
    noise=Noise(snr_db=(5.0, 30.0), probability=0.7),
)
"""How the clips vary: a voice on other days, nearer and farther, beside other sounds."""

OVERLAP = 2
"""Windows that cover each instant of the room."""


@dataclass(frozen=True)
class Person:
    """The clips as windows `(N, samples)`, and their labels as indices `(N,)`.

    `takes` `(N,)` numbers the clips of each word from 0. `room` are recordings of it
    without a keyword.
    """

    windows: NDArray[np.float32]
    targets: NDArray[np.int64]
    takes: NDArray[np.int64]
    room: tuple[NDArray[np.float32], ...]

    def __len__(self) -> int:
        return len(self.targets)


def person_files(recordings: Path, room: Path | None) -> list[Path]:
    """Return the files that `read_person` reads.

    Raises:
        DataError: a folder or file is missing or empty.
    """
    words = [recording.path for recording in find_recordings(recordings, None).recordings]
    return [*words, *_room_files(recordings, room)]


def read_person(
    recordings: Path, room: Path | None, labels: Sequence[str], front_end: FrontEnd
) -> Person:
    """Read the clips of the labels and of other words, which are `_unknown_`, and the room.

    The room is `room`, a file or folder, and `_background_noise_` of the recordings.

    Raises:
        DataError: a file is missing, cannot be read, is silent or a copy of another, or no keyword
            has two clips.
    """
    index = {label: i for i, label in enumerate(labels)}
    clips = [
        clip
        for clip in find_recordings(recordings, None).recordings
        if index.get(clip.word, index.get(UNKNOWN)) is not None
    ]
    spoken = Counter(clip.word for clip in clips)
    keywords = [label for label in labels if label not in (UNKNOWN, SILENCE)]
    if not any(spoken[word] > 1 for word in keywords):
        raise DataError(
            f"{recordings}: holds no keyword twice ({', '.join(keywords)}); record some of each: "
            + shlex.join(["edgekws", "record", *keywords, "--output", str(recordings)])
        )
    seen: Counter[str] = Counter()
    takes = []
    for clip in clips:
        takes.append(seen[clip.word])
        seen[clip.word] += 1
    targets = [index.get(clip.word, index.get(UNKNOWN, -1)) for clip in clips]
    rate = front_end.sample_rate
    windows = [_window(clip, front_end) for clip in clips]
    _refuse_copies(clips, windows)
    return Person(
        np.stack(windows),
        np.array(targets, np.int64),
        np.array(takes, np.int64),
        tuple(read_audio(path, rate) for path in _room_files(recordings, room)),
    )


def room_windows(
    room: Sequence[NDArray[np.float32]], front_end: FrontEnd
) -> list[NDArray[np.float32]]:
    """Return the windows of recordings of the room, half a window apart.

    Each follows what came before it, up to `run_in_samples`.
    """
    size, run_in = front_end.window_samples, run_in_samples(front_end)
    return [
        wave[max(0, start - run_in) : start + size]
        for wave in room
        for start in range(0, len(wave) - size + 1, size // OVERLAP)
    ]


def features(
    windows: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    front_end: FrontEnd,
    normalization: Normalization,
) -> NDArray[np.float32]:
    """Return the normalised features `(N, n_mels, T)` of windows, such as `room_windows`."""
    shape = (len(windows), front_end.n_mels, front_end.n_frames)
    mean, std = (
        np.array(part, np.float32)[:, None] for part in (normalization.mean, normalization.std)
    )
    out = np.empty(shape, np.float32)
    for i, window in enumerate(windows):
        out[i] = (clip_features(window, front_end) - mean) / std
    return out


def varied(person: Person, data: Data, copies: int, seed: int, emit: Emit) -> NDArray[np.float32]:
    """Return the clips as they are and `copies` variations, `(1 + copies, N, n_mels, T)`."""
    rate = data.front_end.sample_rate

    def render(copy: int) -> NDArray[np.float32]:
        windows = person.windows
        if copy:
            keys = [(seed, copy, i) for i in range(len(windows))]
            windows = np.stack(
                [
                    augment_waveform(window, person.room, VARIATIONS, key, rate)[0]
                    for window, key in zip(windows, keys, strict=True)
                ]
            )
        return features(windows, data.front_end, data.normalization)

    return np.stack(in_parallel(render, 1 + copies, emit, "varying the clips", 1, "copies"))


class WithPerson(DerivedData):
    """The data of a job, with some of its training clips beside those of one person.

    `replayed` `(R,)` are indices of training clips; `bank`
    `(K, N, n_mels, T)` holds the person's clips in K variations, each of which comes `repeats`
    times in an epoch, in other variations in the next one.
    """

    def __init__(
        self,
        data: Data,
        replayed: NDArray[np.int64],
        bank: NDArray[np.float32],
        targets: NDArray[np.int64],
        repeats: int,
    ) -> None:
        """Append the clips of the `bank`, with their `targets` `(N,)`, to the replayed ones."""
        super().__init__(data)
        self._replayed, self._repeats = replayed, repeats
        self._bank, self._targets = bank.astype(np.float16), targets

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split`; for train, the replayed ones and the person's."""
        clips = self._data.examples(split)
        if split != "train":
            return clips
        count = self._repeats * len(self._targets)
        own = np.concatenate([self._bank[0]] * self._repeats).astype(np.float32)
        return Examples(
            np.concatenate([clips.features[self._replayed], own]),
            np.concatenate([clips.targets[self._replayed], np.tile(self._targets, self._repeats)]),
            np.concatenate([clips.speakers[self._replayed], np.full(count, "")]),
            (*(clips.names[i] for i in self._replayed), *(f"own {i}" for i in range(count))),
        )

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        """Return the replayed clips as augmented for `epoch`, and variations of the person's."""
        first = epoch * self._repeats
        own = [self._bank[(first + i) % len(self._bank)] for i in range(self._repeats)]
        return np.concatenate([self._data.augmented(epoch)[self._replayed], *own])


def _room_files(recordings: Path, room: Path | None) -> list[Path]:
    beside = recordings / BACKGROUND_NOISE
    files = audio_files_under(beside, Counter()) if beside.is_dir() else []
    if room is not None:
        own = [room] if room.is_file() else audio_files_under(room, Counter())
        if not own:
            problem = "holds no recordings" if room.is_dir() else "no such file or folder"
            raise DataError(f"{room}: {problem} (room)")
        files += own
    return files


def _refuse_copies(clips: Sequence[Recording], windows: Sequence[NDArray[np.float32]]) -> None:
    """Refuse equal clips: a network would be judged on what it was tuned on."""
    first: dict[bytes, Recording] = {}
    for clip, window in zip(clips, windows, strict=True):
        same = first.setdefault(window.tobytes(), clip)
        if same is not clip and clip.word != SILENCE:
            raise DataError(f"{clip.path}: is a copy of {same.path}; leave one of them out")


def _window(clip: Recording, front_end: FrontEnd) -> NDArray[np.float32]:
    wave = read_audio(clip.path, front_end.sample_rate, clip.start_s, clip.end_s)
    if not len(wave):
        raise DataError(f"{clip.path}: holds no samples; record it again, or leave it out")
    if np.abs(wave).max() < SILENT_PEAK and clip.word != SILENCE:
        raise DataError(f"{clip.path}: is silent; record it again, or leave it out")
    return np.asarray(fit_window(wave, front_end.window_samples), np.float32)
