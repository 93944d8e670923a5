"""What a student learns from teachers that take audio, and from recordings without labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.core.canonical import sha256_of
from edgekws.core.contract import Artifact
from edgekws.core.events import Event
from edgekws.core.job import Audio, Job
from edgekws.lowering import audio_graph
from edgekws.training.guidance import Guidance, Unlabelled


def guidance(
    teachers: Sequence[Artifact],
    unlabelled: Sequence[Path],
    weight: float,
    temperature: float,
    job: Job,
    identity: str,
) -> Guidance | None:
    """Return the guidance of `teachers` that take audio, on clips and on unlabelled recordings.

    `identity` is that of the recordings; `None` is returned where there is neither.

    Raises:
        DataError: as `core.job.Audio.unlabelled`.
    """
    if not teachers and not unlabelled:
        return None
    assert job.audio is not None  # the engine sets it
    answering = _Answering(teachers, temperature, job.audio)
    windows = None
    if unlabelled:
        features = job.audio.unlabelled(unlabelled)
        job.emit(Event("note", f"{len(features)} windows without labels"))
        windows = Unlabelled(features, weight, answering.unlabelled(unlabelled))
    return Guidance(
        sha256_of([[teacher.sha256 for teacher in teachers], identity, weight]),
        len(teachers),
        answering.clips if teachers else None,
        windows,
    )


class _Answering:
    """The mean probabilities of teachers that take audio, at a temperature."""

    def __init__(self, teachers: Sequence[Artifact], temperature: float, audio: Audio) -> None:
        self._teachers = [audio_graph.read(teacher.path) for teacher in teachers]
        self._temperature, self._audio = temperature, audio

    def clips(self, epoch: int) -> NDArray[np.float32]:
        """Return the answers to the training clips as augmented for `epoch`."""
        return self._mean([self._audio.augmented_vectors(e, epoch) for e, _ in self._teachers])

    def unlabelled(self, sources: Sequence[Path]) -> NDArray[np.float32] | None:
        """Return the answers to the windows of `sources`, `None` without teachers."""
        if not self._teachers:
            return None
        return self._mean([self._audio.unlabelled_vectors(e, sources) for e, _ in self._teachers])

    def _mean(self, vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        answers = [
            _softmax(audio_graph.logits(layers, part) / self._temperature)
            for (_, layers), part in zip(self._teachers, vectors, strict=True)
        ]
        return np.asarray(np.mean(answers, axis=0), np.float32)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
