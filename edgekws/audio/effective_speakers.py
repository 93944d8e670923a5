"""How many speakers a split holds effectively, counted by a speaker encoder."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.composition import word_span
from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_audio
from edgekws.audio.speaker_weights import INSTALL, weights
from edgekws.core.canonical import file_state, sha256_file, sha256_of
from edgekws.core.contract import SILENCE
from edgekws.core.corpus import Clip, Split
from edgekws.core.events import Emit
from edgekws.core.source_code import fingerprint
from edgekws.core.store import build_folder
from edgekws.errors import DataError

if TYPE_CHECKING:
    from edgekws.audio.speaker_encoder import SpeakerEncoder

MOST_SPEAKERS, CLIPS_EACH = 100, 8
"""The sample: so many speakers of a split, and so many clips of each, drawn by their names."""

SHOWN: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Speakers:
    """The speakers of a split.

    `engines` has the number of voices of each synthesizer; the others are `people`. `effective` is
    the participation ratio of the vectors of the `sampled` speakers, `None` without an encoder or
    with fewer than two of them.
    """

    engines: dict[str, int]
    people: int
    sampled: int
    effective: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def participation_ratio(vectors: NDArray[np.floating]) -> float:
    """Return (Σλ)² / Σλ² of the eigenvalues λ of the covariance between speakers.

    `vectors` `(N, 2, size)` are of two halves of each speaker's speech. It is the number of
    dimensions over which speakers vary evenly, 0 if they do not (Gao et al. 2017, "A theory of
    multineuronal dimensionality, dynamics and measurement"). The covariance is that of one half
    with the other: what varies within a speaker is not counted, which by itself would give one
    speaker a high ratio (Stringer et al. 2019, "High-dimensional geometry of population responses
    in visual cortex").

    >>> halves = np.repeat([[[1.0, 0]], [[-1, 0]], [[0, 1]], [[0, -1]]], 2, axis=1)
    >>> participation_ratio(halves)
    2.0
    """
    values = np.asarray(vectors, np.float64)
    first, second = np.moveaxis(values - values.mean(axis=0), 1, 0)
    product = first.T @ second
    covariance = (product + product.T) / 2
    total = max(float(np.trace(covariance)), 0.0)
    return total**2 / float(np.square(covariance).sum()) if total > 0 else 0.0


def encoder_identity() -> str:
    """Return the sha256 of the encoder's weights, empty without them."""
    file = weights()
    return sha256_file(file) if file else ""


def count_speakers(clips: Sequence[Clip], cache: Path, emit: Emit) -> dict[str, Speakers]:
    """Return the speakers of train and test, where there are any.

    The vectors are those of the two halves of a sample of a speaker's words, joined without the
    silence around them. They are cached, known by the clips.

    Raises:
        MissingPartError: the installed encoder is damaged.
        MachineError: the cache cannot be written.
    """
    counted: dict[str, Speakers] = {}
    for split in SHOWN:
        by_speaker: dict[str, list[Clip]] = defaultdict(list)
        for clip in clips:
            if clip.split == split and clip.speaker and clip.label != SILENCE:
                by_speaker[clip.speaker].append(clip)
        if by_speaker:
            counted[split] = _counted(by_speaker, cache, emit)
    return counted


def describe(counted: dict[str, Speakers]) -> str:
    """Return the effective number of speakers, or what there is without an encoder, as a line.

    >>> describe({"train": Speakers({"espeak": 104}, 0, 100, 6.21)})
    'effective speakers: train 6.2 (sample of 100); voices: train 104 of espeak'
    """
    if not counted:
        return ""
    measured = [
        f"{split} {one.effective:.1f} (sample of {one.sampled})"
        for split, one in counted.items()
        if one.effective is not None
    ]
    voices = ", ".join(f"{split} {_voices(one)}" for split, one in counted.items())
    if not any(one.sampled for one in counted.values()):
        measured = [f"not measured ({INSTALL})"]
    return f"effective speakers: {', '.join(measured) or 'too few'}; voices: {voices}"


def _voices(one: Speakers) -> str:
    parts = [f"{count} of {engine}" for engine, count in one.engines.items()]
    return " and ".join([*parts, *([f"{one.people} people"] if one.people else [])])


def _counted(by_speaker: dict[str, list[Clip]], cache: Path, emit: Emit) -> Speakers:
    engines: dict[str, int] = defaultdict(int)
    for clips in by_speaker.values():
        engines[clips[0].synthesizer or ""] += 1
    people = engines.pop("", 0)
    file = weights()
    if file is None:
        return Speakers(dict(engines), people, 0, None)
    vectors = speaker_vectors(by_speaker, file, cache, emit)
    effective = participation_ratio(vectors) if len(vectors) > 1 else None
    return Speakers(dict(engines), people, len(vectors), effective)


def speaker_vectors(
    by_speaker: Mapping[str, Sequence[Clip]], file: Path, cache: Path, emit: Emit
) -> NDArray[np.float32]:
    """Return the vectors `(N, 2, 256)` of a sample of speakers by the encoder in `file`.

    Speakers whose clips cannot be read are left out.

    Raises:
        MissingPartError: the file does not hold the encoder.
        MachineError: the cache cannot be written.
    """
    order = sorted(by_speaker, key=lambda name: sha256_of(["speakers", name]))
    chosen = [_first(by_speaker[name]) for name in order[:MOST_SPEAKERS]]
    return _vectors(chosen, file, cache, emit)


def _first(clips: Iterable[Clip]) -> list[Clip]:
    def rank(clip: Clip) -> str:
        return sha256_of([clip.label, clip.path.name, clip.start_s])

    return sorted(clips, key=rank)[:CLIPS_EACH]


def _vectors(
    speakers: Sequence[Sequence[Clip]], file: Path, cache: Path, emit: Emit
) -> NDArray[np.float32]:
    """Return the vectors `(speakers, 2, 256)`, without those that cannot be read."""
    key = sha256_of(
        {
            "clips": [
                [(*file_state(c.path), c.start_s, c.end_s) for c in clips] for clips in speakers
            ],
            "encoder": sha256_file(file),
            "code": fingerprint(__name__, ("numpy", "torch", "torchaudio", "soxr", "soundfile")),
        }
    )

    def build(folder: Path) -> None:
        from edgekws.audio.speaker_encoder import load, one_thread_each

        encoder = load(file)
        with one_thread_each():
            rows = in_parallel(
                lambda i: _vector(speakers[i], encoder), len(speakers), emit,
                "listening to speakers", 10, unit="speakers",
            )  # fmt: skip
        np.save(folder / "vectors.npy", np.array([row for row in rows if row is not None]))

    folder = build_folder(cache / "speakers" / key, build, emit)
    vectors: NDArray[np.float32] = np.load(folder / "vectors.npy")
    return vectors


def _vector(clips: Sequence[Clip], encoder: "SpeakerEncoder") -> NDArray[np.float32] | None:
    from edgekws.audio.speaker_encoder import MOST_S, SAMPLE_RATE

    words = []
    for clip in clips:
        end_s = min(clip.start_s + MOST_S, np.inf if clip.end_s is None else clip.end_s)
        try:
            wave = read_audio(clip.path, SAMPLE_RATE, clip.start_s, end_s)
        except DataError:  # it is reported when it is read for training
            continue
        start, end = word_span(wave, SAMPLE_RATE)
        words.append(wave[start:end])
    halves = np.array_split(np.concatenate([np.zeros(0, np.float32), *words]), 2)
    if not all(half.any() for half in halves):
        return None
    return np.stack([encoder.embed(half) for half in halves])
