"""Untrusted ONNX files outside of a bundle, run within the limits of a bundle."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle import confined, score_features, try_model
from edgekws.bundle.verify import errors_named
from edgekws.core.scratch import scratch_folder
from edgekws.errors import DataError


def try_model_file(file: Path) -> None:
    """Run a model once in a separate process, before it is measured without limits.

    Raises:
        DataError: it exceeds a limit of time or memory.
    """
    with errors_named(file):
        confined.run(try_model.__file__, str(file.resolve()))


def logits_of_file(file: Path, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of a model on features `(N, n_mels, T)`.

    The limits grow with the clips: by a second of processor time and its size in memory for each.

    Raises:
        DataError: it cannot be run, exceeds a limit, or does not return a row per clip.
    """
    with scratch_folder("score") as folder, errors_named(file):
        source, target = folder / "features.npy", folder / "logits.npy"
        np.save(source, np.asarray(features, np.float32))
        confined.run(
            score_features.__file__, *(str(path.resolve()) for path in (file, source, target)),
            more_s=len(features), more_bytes=source.stat().st_size,
        )  # fmt: skip
        logits: NDArray[np.float32] = np.load(target)
        if logits.ndim != 2 or len(logits) != len(features):
            raise DataError(f"gives {logits.shape} for {len(features)} clips, not a row for each")
    return logits
