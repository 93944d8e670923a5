"""What depends on the kind of a front end."""

from itertools import pairwise

import numpy as np

from edgekws.audio.decoding import to_float32
from edgekws.audio.front_ends import recording_features
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd, log_mel
from edgekws.runtime.micro_front_end import SCALE, MicroFrontEnd

SAMPLES = np.random.default_rng(0).integers(-9_000, 9_000, 20_000).astype(np.int16)
WAVE = to_float32(SAMPLES)
BLOCKS = [WAVE[a:b] for a, b in pairwise([0, 1, 400, 9_999, 20_000])]


def test_a_recording_has_the_features_of_a_stream() -> None:
    front_end = FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS)
    features = np.concatenate(list(recording_features(BLOCKS, front_end)), axis=1)
    expected = (MicroFrontEnd().feed(SAMPLES).T * SCALE).astype(np.float32)
    np.testing.assert_array_equal(features, expected)


def test_log_mel_does_not_depend_on_the_blocks() -> None:
    features = np.concatenate(list(recording_features(BLOCKS, FrontEnd())), axis=1)
    np.testing.assert_array_equal(features, log_mel(WAVE, FrontEnd()))
