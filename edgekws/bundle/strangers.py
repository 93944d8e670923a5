"""ONNX files of unknown origin that belong to no bundle: run within the limits of one."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle import confined, score_features, try_model
from edgekws.bundle.verify import named
from edgekws.core.scratch import scratch_folder
from edgekws.errors import DataError


def try_model_file(file: Path) -> None:
    """Run a model once in a process of its own, before it is measured without limits.

    Raises:
        DataError: it goes beyond a limit of time or memory.
    """
    with named(file):
        confined.run(try_model.__file__, str(file.resolve()))


def logits_of_file(file: Path, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of a model on features `(N, n_mels, T)`.

    The limits grow with the clips: a second of processor time and their own memory each.

    Raises:
        DataError: it cannot be run, goes beyond a limit, or gives no row a clip.
    """
    with scratch_folder("score") as folder, named(file):
        given, made = folder / "features.npy", folder / "logits.npy"
        np.save(given, np.asarray(features, np.float32))
        confined.run(
            score_features.__file__, *(str(path.resolve()) for path in (file, given, made)),
            more_s=len(features), more_bytes=given.stat().st_size,
        )  # fmt: skip
        found: NDArray[np.float32] = np.load(made)
        if found.ndim != 2 or len(found) != len(features):
            raise DataError(f"gives {found.shape} for {len(features)} clips, not a row for each")
    return found
