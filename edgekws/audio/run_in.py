"""The audio before a clip in its recording, from which a front end with a state has its state."""

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.reading import read_audio
from edgekws.core.corpus import Clip
from edgekws.runtime.front_end import MICROFRONTEND, FrontEnd
from edgekws.runtime.micro_front_end import HOP, RUN_IN

MARGIN_S = 0.05
"""Read past the start of the window, so that resampling does not end there."""


def run_in_samples(front_end: FrontEnd) -> int:
    """Return how many samples before a window its features may depend on."""
    return RUN_IN * HOP if front_end.kind == MICROFRONTEND else 0


def read_before(clip: Clip, start: int, front_end: FrontEnd) -> NDArray[np.float32]:
    """Return what came before a window of a clip, up to `run_in_samples`, in [-1, 1].

    The window begins `start` samples after the clip, before it if negative. Nothing came before a
    clip that is detached.

    Raises:
        DataError: as `read_audio`.
    """
    rate, most = front_end.sample_rate, run_in_samples(front_end)
    end_s = clip.start_s + start / rate
    if clip.detached or not most or end_s <= 0:
        return np.zeros(0, np.float32)
    start_s = max(0.0, end_s - most / rate)
    wave = read_audio(clip.path, rate, start_s, end_s + MARGIN_S)
    return wave[: round((end_s - start_s) * rate)][-most:]
