"""Recordings for the tests of `edgekws.audio`: made ones, and real ones where they are present."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.audio.reading import read_audio
from edgekws.core.corpus import SPLITS, Clip, Listing, Split
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import FrontEnd


@pytest.fixture(scope="session")
def speech(shared_data: Path) -> NDArray[np.float32]:
    """Real keywords, `(80, 16000)` at 16 kHz: 40 words, loud and soft speakers."""
    paths = sorted((shared_data / "asc").glob("*/*.flac"))[::120]
    assert len(paths) == 80
    return np.stack([fit_window(read_audio(path, 16_000), 16_000) for path in paths])


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """Two words and `_silence_`, 4 speakers in train, 1 in dev, 1 in test; two noise recordings."""
    random = np.random.default_rng(0)
    clips = []
    for speaker, split in enumerate(("train",) * 4 + ("dev", "test")):
        for label, hz in (("no", 300), ("yes", 900)):
            path = tmp_path / "audio" / label / f"{speaker}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = 0.3 * np.sin(2 * np.pi * (hz + 10 * speaker) * np.arange(4_000) / 8_000)
            soundfile.write(path, wave + random.normal(0, 0.01, 4_000), 8_000)
            clips.append(Clip(path, label, f"speaker {speaker}", cast(Split, split)))
    noise = tuple(tmp_path / "audio" / f"noise{i}.wav" for i in range(2))
    for path in noise:
        soundfile.write(path, random.normal(0, 0.1, 12_000), 8_000)
    for i, split in enumerate(SPLITS):
        clips.append(Clip(noise[0], "_silence_", None, split, 0.5 * i, 0.5 * i + 0.5))
    return Listing(("no", "yes", "_silence_"), tuple(clips), noise, ("made for a test",))


@pytest.fixture
def small() -> FrontEnd:
    """A front end with half a second at 8 kHz: features `(20, 28)`."""
    return FrontEnd(8_000, 0.5, 256, 240, 135, 20, 20.0, 4_000.0)
