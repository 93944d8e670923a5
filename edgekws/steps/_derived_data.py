"""Data derived from that of a job: other training clips, everything else passed on."""

import numpy as np
from numpy.typing import NDArray

from edgekws.core.job import Data


class DerivedData:
    """Passes on what a step does not change of the data of its job.

    A subclass adds `examples` and `augmented`, and then implements `core.job.Data`.
    """

    def __init__(self, data: Data) -> None:
        """Derive from `data`."""
        self._data = data
        self.labels, self.front_end = data.labels, data.front_end
        self.normalization = data.normalization

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return a batch with SpecAugment applied."""
        return self._data.mask(features, clips, epoch, strength)

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        """Return the training recordings without a keyword."""
        return self._data.negatives()

    def calibration(self, n: int) -> NDArray[np.int64]:
        """Return the indices of `n` training clips of the job for calibration."""
        return self._data.calibration(n)
