"""A pre-trained speaker encoder: speech to a vector that tells voices apart.

Source: Wan, Wang, Papir, Moreno, "Generalized end-to-end loss for speaker verification", 2018; the
weights are those of the package `resemblyzer`, which is not imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekws.audio import _torchaudio
from edgekws.audio.speaker_weights import INSTALL
from edgekws.errors import MissingPartError

SAMPLE_RATE = 16_000
SIZE = 256
"""Width of the layers, and of a vector."""

PART_FRAMES = 160
"""Frames of a part that is encoded at once, 1.6 s; parts overlap by half."""

MOST_S = 8.0
"""The part of a clip that is encoded, from its start."""

_N_FFT, _HOP, _N_MELS, _LAYERS = 400, 160, 40, 3
_LEVEL_DBFS = -30.0
"""Softer speech is amplified to this level."""


class SpeakerEncoder(nn.Module):
    """Three LSTM layers and a projection, from mel spectra to unit vectors."""

    def __init__(self) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.lstm = nn.LSTM(_N_MELS, SIZE, _LAYERS, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)
        fbanks = _torchaudio.load().functional.melscale_fbanks(
            _N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, _N_MELS, SAMPLE_RATE, "slaney", "slaney"
        )
        self.register_buffer("fbanks", fbanks, persistent=False)

    def forward(self, mels: Tensor) -> Tensor:
        """Return vectors `(B, 256)` of length 1 for mel spectra `(B, frames, 40)`."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)

    def mels(self, wave: Tensor) -> Tensor:
        """Return the mel power spectra `(frames, 40)` of `wave` `(samples,)` at 16 kHz."""
        window = torch.hann_window(_N_FFT)
        spectra = torch.stft(
            wave, _N_FFT, _HOP, window=window, pad_mode="constant", return_complex=True
        )
        return spectra.abs().square().T @ self.get_buffer("fbanks")

    @torch.inference_mode()
    def embed(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vector `(256,)` of the speech `(samples,)` at 16 kHz, of length 1.

        It is the mean over overlapping parts of 1.6 s; shorter speech is followed by silence.
        """
        rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
        gain = max(1.0, 10 ** (_LEVEL_DBFS / 20) / max(rms, 1e-9))
        size = PART_FRAMES * _HOP
        padded = np.pad(wave * np.float32(gain), (0, max(0, size - len(wave))))
        mels = self.mels(torch.from_numpy(padded))
        parts = mels.unfold(0, PART_FRAMES, PART_FRAMES // 2).transpose(1, 2)  # (B, 160, 40)
        return nn.functional.normalize(self(parts).mean(dim=0), dim=0).numpy()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch use one thread per call: calls are made in parallel."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load(file: Path) -> SpeakerEncoder:
    """Return the encoder with the weights in `file`.

    Raises:
        MissingPartError: the file does not hold them.
    """
    encoder = SpeakerEncoder()
    wanted = encoder.state_dict().keys()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
        encoder.load_state_dict({name: state[name] for name in wanted})
    except (KeyError, TypeError, RuntimeError) as error:
        raise MissingPartError(f"{file}: is not the speaker encoder; {INSTALL}") from error
    return encoder.eval()
