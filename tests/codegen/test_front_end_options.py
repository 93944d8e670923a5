"""Running means of bands and PCEN in C, on real speech."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.codegen.front_end import front_end_header
from edgekws.codegen.integer_front_end import (
    integer_front_end_header,
    integer_front_end_source,
    mel_units,
)
from edgekws.core.contract import Normalization
from edgekws.runtime.front_end import FrontEnd, Pcen, log_mel
from tests.codegen.front_end_library import QUANTIZATION, FrontEndLibrary, plain
from tests.codegen.integer_front_end_library import IntegerFrontEndLibrary
from tests.codegen.test_integer_front_end import RMS_LIMIT

RUNNING = FrontEnd(mean="running", mean_seconds=0.5)
PCEN = FrontEnd(compression="pcen", pcen=Pcen(0.3, 0.9, 1.5, 0.4, 1e-5))
STATISTICS = Normalization(tuple(np.linspace(-1, 2, 40)), tuple(np.linspace(0.5, 4, 40)))


@pytest.fixture(scope="module")
def recording(shared_data: Path) -> NDArray[np.int16]:
    """Real speech with digital silence before it and in it, `(samples,)`."""
    paths = sorted((shared_data / "asc").rglob("*.flac"))[::160][:12]
    clips = [soundfile.read(path, dtype="int16")[0] for path in paths]
    silence = np.zeros(9_000, np.int16)
    return np.concatenate([silence, *clips[:8], silence, *clips[8:]])


def reference(pcm: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float32]:
    """Return the features `(T, n_mels)` of the numpy form."""
    return log_mel((pcm / 32768).astype(np.float32), front_end).T


@pytest.mark.parametrize("front_end", [RUNNING, PCEN], ids=["running", "pcen"])
def test_features_are_those_of_numpy_in_pieces_of_any_length(
    front_end: FrontEnd, recording: NDArray[np.int16], tmp_path: Path
) -> None:
    library = FrontEndLibrary(tmp_path / "wide", front_end, STATISTICS)
    features = library.features(recording)
    mean, std = np.array(STATISTICS.mean), np.array(STATISTICS.std)
    expected = (reference(recording, front_end) - mean) / std
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-3)
    assert np.square(features - expected).mean() ** 0.5 < 1e-5
    assert expected.std() > 0.1
    narrow = FrontEndLibrary(tmp_path / "narrow", front_end, STATISTICS, flags=["-DKWS_LANES=1"])
    np.testing.assert_array_equal(narrow.features(recording), features)
    narrow.features(recording[:20_000])
    library.features(recording[: 512 + 36 * 160])
    pieces, frame = [features[:37]], 37
    for size in (1, 2, 50, 17, 64):
        part = recording[frame * 160 :][: 512 + (size - 1) * 160]
        pieces.append(library.next_features(part))
        frame += size
    np.testing.assert_array_equal(np.concatenate(pieces), features[:frame])


def test_a_running_mean_in_integers(recording: NDArray[np.int16], tmp_path: Path) -> None:
    library = IntegerFrontEndLibrary(tmp_path / "integer", RUNNING, STATISTICS)
    codes, log_mel = library.codes_and_log_mel(recording)
    without_mean = log_mel + mel_units(RUNNING.n_fft).exponent * np.log(2)
    error = without_mean - reference(recording, RUNNING)
    assert np.square(error).mean() ** 0.5 < RMS_LIMIT
    assert np.abs(error).max() < 0.02
    floats = FrontEndLibrary(tmp_path / "float", RUNNING, STATISTICS).codes(recording)
    difference = codes.astype(np.int32) - floats
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 2e-3


def test_what_has_no_form_is_refused() -> None:
    for header in (front_end_header, integer_front_end_header):
        with pytest.raises(ValueError, match=r'mean = "clip" needs the whole window; use mean = '):
            header(FrontEnd(mean="clip"))
    with pytest.raises(ValueError, match='compression = "pcen" needs floating point; use mean = '):
        integer_front_end_header(PCEN)
    long = FrontEnd(mean="running", mean_seconds=60.0, hop_length=10)
    with pytest.raises(ValueError, match="mean_seconds = 60 are more than 60000 frames"):
        integer_front_end_source(long, plain(40), QUANTIZATION)
