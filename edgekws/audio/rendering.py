"""Clips as waveforms, as they are and augmented, each after what came before it."""

import math

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.augmentation import Augment, Change, augment_waveform
from edgekws.audio.decoding import Corpus, to_float32
from edgekws.audio.run_in import as_stream
from edgekws.core.corpus import Split
from edgekws.runtime.front_end import FrontEnd


def clean(corpus: Corpus, split: Split, part: slice) -> list[NDArray[np.float32]]:
    """Return the clips of `part`, `(before + window_samples,)` each."""
    return [to_float32(stretch) for stretch in corpus.stretches(split, part)]


def streams(corpus: Corpus, split: Split, front_end: FrontEnd) -> dict[int, NDArray[np.int16]]:
    """Return the clips of `split` that have a past, by number, as the streams that end with them.

    Each is `(run_in_samples + window_samples,)`; its features are those of the clip.
    """
    stretches = enumerate(corpus.stretches(split, slice(None)))
    size = corpus.window_samples
    return {n: as_stream(part, front_end) for n, part in stretches if len(part) > size}


def augmented(
    corpus: Corpus, augment: Augment, seed: int, copy: int, part: slice, sample_rate: int
) -> list[NDArray[np.float32]]:
    """Return the training clips of `part` as augmented for `copy`, each as in `clean`."""
    rendered = []
    for clip, wave in enumerate(clean(corpus, "train", part), part.start):
        before = len(wave) - corpus.window_samples
        key = (seed, copy, clip)
        out, change = augment_waveform(wave, corpus.noise, augment, key, sample_rate, before)
        rendered.append(out[_emptied(change, before, len(wave)) :])
    return rendered


def _emptied(change: Change, before: int, samples: int) -> int:
    """Return how many of the samples `before` a clip have none left after speed and shift."""
    whole = samples + before  # the clip in the middle, as `augment_waveform` changes its speed
    lost = whole * (1 - 1 / (change.speed or 1)) / 2 + change.shift_samples
    return min(before, max(0, math.ceil(lost)))
