"""Models that a user names, tried on one split of a recipe's data, each with its own front end."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle.strangers import logits_of_file
from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples, Split
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event, progress
from edgekws.engine.data import Source
from edgekws.errors import DataError
from edgekws.evaluation.models import model_file, read_model, verified
from edgekws.recipe.load import Loaded
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    from edgekws.audio.features import Features

_BLOCK = 256


class Trial:
    """The clips of one split; every model hears their waveforms as its contract says.

    Raises:
        DataError: the recipe's data is missing or wrong.
    """

    def __init__(self, loaded: Loaded, split: Split, emit: Emit) -> None:
        """Take the recipe and the split; the data is read when it is first asked for."""
        self._source = Source(loaded.recipe, cache_folder(), emit)
        self._split, self._emit = split, emit
        self._heard: tuple[FrontEnd, NDArray[np.float32]] | None = None

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

        Where its front end, or the clips it was trained on, are not those of the recipe, a
        warning says so.

        Raises:
            DataError: no model there, no contract in it, or other labels than the recipe's.
        """
        with _located(path) as file:
            contract = self._contract(file, path)
            found = logits_of_file(file, self._features(contract, path))
        order = [contract.labels.index(label) for label in self.labels]
        return found[:, order]

    def _contract(self, file: Path, path: Path) -> Contract:
        _, contract = read_model(file)
        if contract is None:
            raise DataError(f"{path} has no contract: its labels and its front end are not known")
        if sorted(contract.labels) != sorted(self.labels):
            raise DataError(
                f"{path} knows {', '.join(contract.labels)}, but the recipe's data has "
                f"{', '.join(self.labels)}; name the recipe that it came from"
            )
        return contract

    def _features(self, contract: Contract, path: Path) -> NDArray[np.float32]:
        """Return the clips as the model hears them, `(N, n_mels, T)`."""
        data, own = self._data, contract.front_end
        if own == data.front_end and contract.normalization == data.normalization:
            return self.examples.features
        self._emit(Event("warning", f"{path} {self._why(own)}"))
        mean, std = (
            np.array(values, np.float32)[:, None]
            for values in (contract.normalization.mean, contract.normalization.std)
        )
        return (self._log_mel(own) - mean) / std

    def _why(self, own: FrontEnd) -> str:
        """Say in what a model is not the recipe's, and what follows for its figures."""
        recipe = self._data.front_end.to_dict()
        other = [
            f"{key} = {value} instead of {recipe[key]}"
            for key, value in own.to_dict().items()
            if value != recipe[key]
        ]
        if other:
            told = f"hears the clips through its own front end ({', '.join(other)})"
        else:
            told = "was trained on other clips than the recipe gives (another seed, or other data)"
        if self._split == "dev":
            told += "; clips of dev may be among those (of the same data, --split test has none)"
        return told

    def _log_mel(self, front_end: FrontEnd) -> NDArray[np.float32]:
        """Return log-mel before normalisation; that of the last front end is kept."""
        if self._heard is None or self._heard[0] != front_end:
            self._heard = front_end, _log_mel(self._windows(front_end), front_end, self._emit)
        return self._heard[1]

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
    import torch

    from edgekws.audio.torch_front_end import log_mel

    parts = []
    for start in range(0, len(waves), _BLOCK):
        progress(emit, "features", start, len(waves), unit="clips")
        parts.append(log_mel(torch.from_numpy(waves[start : start + _BLOCK]), front_end).numpy())
    progress(emit, "features", len(waves), len(waves))
    return np.concatenate(parts)


@contextmanager
def _located(path: Path) -> Iterator[Path]:
    """Yield the ONNX file of a model, a bundle's folder or zip that was verified, or a run."""
    with verified(path) as folder:
        yield _last_step(folder) or model_file(folder)


def _last_step(path: Path) -> Path | None:
    """Return the model after the last step of a run, `None` where the path is not that of one."""
    for run in (path, path / "latest"):
        if (run / "report.json").is_file():
            made = sorted(run.glob("[0-9][0-9]-*/model.onnx"))
            if not made:
                raise DataError(f"{run}: no step of this run left a model; run compress again")
            return made[-1]
    return None
