"""Long files, block by block: what reading them at once gives."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.audio.reading import read_audio, read_blocks
from edgekws.errors import DataError


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 2.5])
def test_blocks_joined_are_the_file(tmp_path: Path, rate: int, seconds: float) -> None:
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), 2))
    soundfile.write(tmp_path / "a.wav", stereo, rate, subtype="PCM_24")
    blocks = list(read_blocks(tmp_path / "a.wav", 16_000, block_s=0.4))
    joined = np.concatenate([np.zeros(0, np.float32), *blocks])
    expected = read_audio(tmp_path / "a.wav", 16_000)
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, expected, atol=1e-6)
    assert max((len(block) for block in blocks), default=0) <= 0.8 * 16_000


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.wav: no such file"):
        next(read_blocks(tmp_path / "none.wav", 16_000))
    (tmp_path / "text.wav").write_text("text")
    with pytest.raises(DataError, match=r"text\.wav: cannot be read as audio"):
        next(read_blocks(tmp_path / "text.wav", 16_000))
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"nan\.wav: holds samples that are not finite"):
        next(read_blocks(tmp_path / "nan.wav", 16_000))
