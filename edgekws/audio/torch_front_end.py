"""The log-mel front end in torch: the same numbers as `runtime.front_end`, in batches."""

from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from edgekws.audio import _torchaudio
from edgekws.runtime.front_end import LOG_FLOOR, SILENT_MEL, FrontEnd, mel_filterbank


def log_mel(waveforms: Tensor, front_end: FrontEnd) -> Tensor:
    """Return log-mel `(B, n_mels, T)` float32 of `waveforms` `(B, samples)` in [-1, 1].

    The options of the front end are applied, each waveform being a stream of its own.

    Runs on the device of `waveforms`, on all of torch's threads (`torch.set_num_threads`), in
    double precision: next to a loud vowel, a float32 FFT is off by up to 1e-3 near the floor.
    """
    with torch.inference_mode():
        spectrogram: nn.Module = _mel_spectrogram(front_end, str(waveforms.device))
        mel: Tensor = spectrogram(waveforms.double())
        sounding = mel.amax(dim=1, keepdim=True) > SILENT_MEL  # (B, 1, T)
        if front_end.compression == "pcen":
            pcen = front_end.pcen
            means = _running_mean(mel, sounding, front_end.decay)
            gained = mel / torch.pow(means + pcen.epsilon, pcen.gain)
            return torch.pow(gained + pcen.bias, pcen.root).sub_(pcen.bias**pcen.root).float()
        levels = mel.add_(LOG_FLOOR).log_()
        if front_end.mean == "clip":
            weights = sounding.to(levels)
            count = weights.sum(dim=2, keepdim=True)
            means = (levels * weights).sum(dim=2, keepdim=True) / count.clamp(min=1)
            levels = torch.where(count > 0, levels - means, 0.0)
        elif front_end.mean == "running":
            levels -= _running_mean(levels, sounding, front_end.decay)
        return levels.float()


def _running_mean(levels: Tensor, sounding: Tensor, decay: float) -> Tensor:
    """Return the mean `(B, n_mels, T)` of `runtime.front_end.RunningMean`, from the first frame."""
    means, weight, mean = torch.empty_like(levels), levels.new_zeros(()), levels.new_zeros(())
    for t in range(levels.shape[2]):
        heard, level = sounding[:, :, t], levels[:, :, t]
        heavier = decay * weight + 1
        mean = torch.where(heard, mean + (level - mean) / heavier, mean)
        weight = torch.where(heard, heavier, weight)
        means[:, :, t] = torch.where(weight > 0, mean, level)
    return means


@lru_cache(maxsize=8)
def _mel_spectrogram(front_end: FrontEnd, device: str) -> nn.Module:
    names = ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "f_min", "f_max")
    parameters = {name: getattr(front_end, name) for name in names}
    transforms = _torchaudio.load().transforms
    window = partial(torch.hann_window, dtype=torch.float64)
    module: nn.Module = transforms.MelSpectrogram(
        **parameters, center=False, power=2.0, window_fn=window
    ).double()
    # torchaudio computes its filters in float32, which moves their corners by about 1e-3 Hz.
    filters = module.get_buffer("mel_scale.fb")
    filters.copy_(torch.from_numpy(mel_filterbank(front_end).T))
    return module.to(device)
