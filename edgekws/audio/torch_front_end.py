"""The log-mel front end in torch: the same numbers as `runtime.front_end`, in batches."""

from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from edgekws.audio import _torchaudio
from edgekws.runtime.front_end import LOG_FLOOR, FrontEnd, mel_filterbank


def log_mel(waveforms: Tensor, front_end: FrontEnd) -> Tensor:
    """Return log-mel `(B, n_mels, T)` float32 of `waveforms` `(B, samples)` in [-1, 1].

    Runs on the device of `waveforms`, on all of torch's threads (`torch.set_num_threads`), in
    double precision: next to a loud vowel, a float32 FFT is off by up to 1e-3 near the floor.
    """
    with torch.inference_mode():
        spectrogram: nn.Module = _mel_spectrogram(front_end, str(waveforms.device))
        mel: Tensor = spectrogram(waveforms.double())
        return mel.add_(LOG_FLOOR).log_().float()


@lru_cache(maxsize=8)
def _mel_spectrogram(front_end: FrontEnd, device: str) -> nn.Module:
    parameters = front_end.to_dict()
    del parameters["window_s"]
    transforms = _torchaudio.load().transforms
    window = partial(torch.hann_window, dtype=torch.float64)
    module: nn.Module = transforms.MelSpectrogram(
        **parameters, center=False, power=2.0, window_fn=window
    ).double()
    # torchaudio computes its filters in float32, which moves their corners by about 1e-3 Hz.
    filters = module.get_buffer("mel_scale.fb")
    filters.copy_(torch.from_numpy(mel_filterbank(front_end).T))
    return module.to(device)
