"""One split of a recipe's data, and the logits of any model on it with the model's front end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples, Split
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event, progress
from edgekws.engine.data import Source
from edgekws.errors import DataError
from edgekws.evaluation.models import (
    contract_of,
    logits_in_order,
    model_file,
    run_folder,
    step_models,
    verified,
)
from edgekws.recipe.load import Loaded
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    from edgekws.audio.features import Features

_BLOCK = 256


class EvaluationSet:
    """The clips of one split; every model gets the features described by its contract.

    Raises:
        DataError: the recipe's data is missing or wrong.
    """

    def __init__(self, loaded: Loaded, split: Split, emit: Emit) -> None:
        """Take the recipe and the split; the data is read on first use."""
        self._source = Source(loaded.recipe, cache_folder(), emit)
        self._split, self._emit = split, emit
        self._newest_log_mel: tuple[FrontEnd, NDArray[np.float32]] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The recipe's labels, in the order of the logits that `logits` returns."""
        return self._data.labels

    @cached_property
    def examples(self) -> Examples:
        """The clips, with the recipe's own features."""
        return self._data.examples(self._split)

    @property
    def _data(self) -> "Features":
        return self._source.features

    def logits(self, path: Path) -> NDArray[np.float32]:
        """Return the logits `(N, n_labels)` of a model, a bundle or the last step of a run.

        A warning is emitted if its front end, or the clips it was trained on, differ from those of
        the recipe.

        Raises:
            DataError: there is no model, or it has no contract or other labels than the recipe.
        """
        with located(path) as file:
            contract = contract_of(file, self.labels, name=path)
            features = self._features(contract, path)
            return logits_in_order(file, contract, self.labels, features)

    def _features(self, contract: Contract, path: Path) -> NDArray[np.float32]:
        """Return the clips as features of the model's front end, `(N, n_mels, T)`."""
        data, front_end = self._data, contract.front_end
        if front_end == data.front_end and contract.normalization == data.normalization:
            return self.examples.features
        self._emit(Event("warning", f"{path} {self._difference(front_end)}"))
        mean, std = (
            np.array(values, np.float32)[:, None]
            for values in (contract.normalization.mean, contract.normalization.std)
        )
        return (self._log_mel(front_end) - mean) / std

    def _difference(self, front_end: FrontEnd) -> str:
        """Describe how a model differs from the recipe, and what that means for its figures."""
        recipe = asdict(self._data.front_end)
        other = [
            f"{key} = {value} instead of {recipe[key]}"
            for key, value in asdict(front_end).items()
            if value != recipe[key]
        ]
        if other:
            text = f"processes the clips with its own front end ({', '.join(other)})"
        else:
            text = "was trained on other clips than the recipe gives (another seed, or other data)"
        if self._split == "dev":
            text += "; clips of dev may be among those (of the same data, --split test has none)"
        return text

    def _log_mel(self, front_end: FrontEnd) -> NDArray[np.float32]:
        """Return log-mel before normalisation, cached for the newest front end."""
        if self._newest_log_mel is None or self._newest_log_mel[0] != front_end:
            self._newest_log_mel = (
                front_end,
                _log_mel(self._windows(front_end), front_end, self._emit),
            )
        return self._newest_log_mel[1]

    def _windows(self, front_end: FrontEnd) -> NDArray[np.float32]:
        """Return the recipe's waveforms at a front end's rate, in its window, `(N, samples)`."""
        import soxr

        from edgekws.audio.decoding import to_float32
        from edgekws.runtime.detect import fit_window

        waves, rate = (
            to_float32(self._data.waveforms(self._split)),
            self._data.front_end.sample_rate,
        )
        size = front_end.window_samples
        if front_end.sample_rate == rate and waves.shape[1] == size:
            return waves
        resampled = (soxr.resample(wave, rate, front_end.sample_rate) for wave in waves)
        return np.stack([fit_window(wave, size) for wave in resampled])


def _log_mel(waves: NDArray[np.float32], front_end: FrontEnd, emit: Emit) -> NDArray[np.float32]:
    from edgekws.audio.front_ends import features

    parts = []
    for start in range(0, len(waves), _BLOCK):
        progress(emit, "features", start, len(waves), unit="clips")
        parts.append(features(waves[start : start + _BLOCK], front_end))
    progress(emit, "features", len(waves), len(waves))
    return np.concatenate(parts)


@contextmanager
def located(path: Path) -> Iterator[Path]:
    """Yield the ONNX file of a model, of a verified bundle (folder or zip), or of a run."""
    with verified(path) as folder:
        run = run_folder(folder)
        if run is None:
            yield model_file(folder)
            return
        models = step_models(run)
        if not models:
            raise DataError(f"{run}: no step of this run left a model; run compress again")
        yield models[-1]
