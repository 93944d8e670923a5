"""Recordings in the layout of Speech Commands as a test: every clip, whatever lists are there."""

from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.front_ends import clip_features
from edgekws.audio.reading import read_blocks
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Examples
from edgekws.core.events import Emit, Event
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.word_folders import Recording, find_recordings
from edgekws.errors import DataError
from edgekws.evaluation.evaluation_set import located
from edgekws.evaluation.models import contract_of, declared_contract, logits_in_order
from edgekws.runtime.detect import Loudest
from edgekws.runtime.front_end import FrontEnd

SPEAKER = "^([^_]+)_"
"""The speaker in a file name, as `record` writes it and Speech Commands has it."""

BLOCK_S = 10.0


class RecordingSet:
    """The clips of a folder, labelled as a model knows its words; others are `_unknown_`.

    With one speaker the intervals are over clips: they are about this voice alone.
    """

    def __init__(self, folder: Path, model: Path, emit: Emit) -> None:
        """List the folder; labels are those of the first `model`.

        Raises:
            DataError: the folder or the model is missing, or no clip is of a label.
        """
        with located(model) as file:
            self.labels = declared_contract(file, name=model).labels
        self._emit = emit
        self._clips = self._labelled(folder)
        self._newest: tuple[FrontEnd, NDArray[np.float32]] | None = None

    @cached_property
    def examples(self) -> Examples:
        """The clips, without features, as every model has its own."""
        rule = Rule(SPEAKER, 0.5, 0.5)
        speakers = [rule.speaker(clip.path, clip.word) or "" for clip in self._clips]
        known = sorted(set(filter(None, speakers)))
        if len(known) == 1:
            self._emit(
                Event(
                    "warning",
                    f"1 speaker ({known[0]}), {len(speakers)} clips: read it with care; the "
                    "intervals are over clips and about this voice in this room alone",
                )
            )
            speakers = [""] * len(speakers)
        index = {label: i for i, label in enumerate(self.labels)}
        return Examples(
            np.empty((len(speakers), 0, 0), np.float32),
            np.array([index.get(c.word, index.get(UNKNOWN, -1)) for c in self._clips], np.int64),
            np.array(speakers, np.str_),
            tuple(f"{clip.word}/{clip.path.name}" for clip in self._clips),
        )

    def logits(self, path: Path) -> NDArray[np.float32]:
        """Return the logits `(N, n_labels)` of a model, a bundle or the last step of a run.

        Raises:
            DataError: there is no model, it has no contract or other labels than the first, or a
                clip cannot be read.
        """
        with located(path) as file:
            contract = contract_of(file, self.labels, name=path)
            mean, std = (
                np.array(values, np.float32)[:, None]
                for values in (contract.normalization.mean, contract.normalization.std)
            )
            features = (self._computed(contract.front_end) - mean) / std
            return logits_in_order(file, contract, self.labels, features)

    def _labelled(self, folder: Path) -> list[Recording]:
        """Return the clips that have a label; note those that have none."""
        recordings = find_recordings(folder, None).recordings
        clips = [
            r for r in recordings if r.word != SILENCE and (r.word in self.labels or self._rejects)
        ]
        left_out = Counter(r.word for r in recordings) - Counter(r.word for r in clips)
        for word, count in sorted(left_out.items()):
            self._emit(Event("warning", f"{word}: {count} clips left out; no label is theirs"))
        if not any(clip.word in self.labels for clip in clips):
            words = ", ".join(sorted({r.word for r in recordings})) or "nothing"
            raise DataError(
                f"{folder}: holds {words}, but the model knows {', '.join(self.labels)}; record "
                "its words: edgekws record WORD … --output DIR"
            )
        return clips

    @property
    def _rejects(self) -> bool:
        return UNKNOWN in self.labels

    def _computed(self, front_end: FrontEnd) -> NDArray[np.float32]:
        """Return features before normalisation, kept for the newest front end."""
        if self._newest is None or self._newest[0] != front_end:
            windows = (_window(clip, front_end) for clip in self._clips)
            self._newest = front_end, np.stack([clip_features(wave, front_end) for wave in windows])
        return self._newest[1]


def _window(clip: Recording, front_end: FrontEnd) -> NDArray[np.float32]:
    loudest = Loudest(front_end.window_samples)
    for block in read_blocks(clip.path, front_end.sample_rate, BLOCK_S, clip.start_s, clip.end_s):
        loudest.add(block)
    if not loudest.length:
        raise DataError(f"{clip.path}: holds no samples; record it again, or leave it out")
    return loudest.window()
