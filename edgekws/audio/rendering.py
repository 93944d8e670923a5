"""Training clips as augmented waveforms."""

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.augmentation import Augment, augment_waveforms
from edgekws.audio.decoding import Corpus, to_float32


def augmented(
    corpus: Corpus, augment: Augment, seed: int, copy: int, part: slice, sample_rate: int
) -> NDArray[np.float32]:
    """Return the training clips of `part`, `(B, window_samples)`, as augmented for `copy`."""
    return augment_waveforms(
        to_float32(corpus.waveforms("train")[part]),
        corpus.noise,
        augment,
        seed,
        copy,
        np.arange(part.start, part.stop),
        sample_rate,
    )
