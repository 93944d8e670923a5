"""The torch form gives the numbers of the numpy form."""

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgekws.audio import _torchaudio
from edgekws.audio.torch_front_end import log_mel
from edgekws.runtime import front_end as numpy_front_end
from edgekws.runtime.front_end import FrontEnd

FRONT_ENDS = (
    FrontEnd(),
    FrontEnd(n_mels=64, n_fft=400, win_length=320, hop_length=77, f_min=0.0, f_max=7000.0),
)


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=str)
@pytest.mark.parametrize("level", [0.0, 1e-4, 0.3])
def test_noise(front_end: FrontEnd, level: float) -> None:
    waves = np.random.default_rng(0).normal(0, level, (3, 16_000)).astype(np.float32)
    _compare(waves, front_end)


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=str)
def test_real_speech(front_end: FrontEnd, speech: NDArray[np.float32]) -> None:
    _compare(speech, front_end)


def _compare(waves: NDArray[np.float32], front_end: FrontEnd) -> None:
    features = log_mel(torch.from_numpy(waves), front_end)
    assert features.dtype == torch.float32
    assert features.shape == (len(waves), front_end.n_mels, front_end.n_frames)
    expected = numpy_front_end.log_mel(waves, front_end)
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)


def test_torchaudio_without_its_extension() -> None:
    """As beside a torch for CPUs only, whichever torch is installed here."""
    code = """
import importlib, sys
from edgekws.audio import _torchaudio
real, calls = _torchaudio.import_module, []
def fails_once(name):
    calls.append(name)
    if len(calls) == 1:
        raise OSError("libc10_cuda.so: cannot open shared object file")
    return real(name)
_torchaudio.import_module = fails_once
torchaudio = _torchaudio.load()
assert calls == ["torchaudio", "torchaudio"]
assert not sys.modules["torchaudio._extension"]._IS_TORCHAUDIO_EXT_AVAILABLE
torchaudio.transforms.MelSpectrogram(n_mels=20)
assert _torchaudio.load() is torchaudio
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_failures_of_torchaudio_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(_torchaudio, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="torchaudio"):
        _torchaudio.load()
