"""The audio before a clip in its recording, from which a front end with a state has its state."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.reading import read_audio
from edgekws.core.corpus import Clip
from edgekws.runtime.front_end import MICROFRONTEND, FrontEnd
from edgekws.runtime.micro_front_end import HOP, RUN_IN, run_in

S = TypeVar("S", np.int16, np.float32)

MARGIN_S = 0.05
"""Read past the start of the window, so that resampling does not end there."""

MOST_S = 2.0
TIME_CONSTANTS = 3
"""Past that a running mean gets: so many of its time constants, but at most so many seconds."""


def run_in_samples(front_end: FrontEnd) -> int:
    """Return how many samples before a window its features may depend on, in whole hops."""
    if front_end.kind == MICROFRONTEND:
        return RUN_IN * HOP
    past_s = min(MOST_S, TIME_CONSTANTS * (front_end.running_seconds or 0))
    return round(past_s * front_end.sample_rate / front_end.hop_length) * front_end.hop_length


def as_stream(stretch: NDArray[S], front_end: FrontEnd) -> NDArray[S]:
    """Return a clip and what came before it as a stream, `(run_in_samples + window_samples,)`.

    What is missing before them is silence; for the micro front end, they are played backwards.
    """
    before = len(stretch) - front_end.window_samples
    if front_end.kind == MICROFRONTEND:
        return stretch[run_in(len(stretch), before)]
    return np.pad(stretch, (run_in_samples(front_end) - before, 0))


def read_before(clip: Clip, start: int, front_end: FrontEnd) -> NDArray[np.float32]:
    """Return what came before a window of a clip, up to `run_in_samples`, in [-1, 1].

    The window begins `start` samples after the clip, before it if negative.

    Raises:
        DataError: as `read_audio`.
    """
    rate, most = front_end.sample_rate, run_in_samples(front_end)
    end_s = clip.start_s + start / rate
    if not most or end_s <= 0:
        return np.zeros(0, np.float32)
    start_s = max(0.0, end_s - most / rate)
    wave = read_audio(clip.path, rate, start_s, end_s + MARGIN_S)
    return wave[: round((end_s - start_s) * rate)][-most:]
