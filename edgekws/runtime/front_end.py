"""The log-mel front end in numpy: its parameters, filters and features."""

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

LOG_MEL, MICROFRONTEND = "log_mel", "microfrontend"

MICRO_PARAMETERS: dict[str, Any] = {
    "sample_rate": 16_000,
    "n_fft": 480,
    "win_length": 480,
    "hop_length": 160,
    "n_mels": 40,
    "f_min": 125.0,
    "f_max": 7_500.0,
    "mean": "none",
    "compression": "log",
}
"""Those of the micro front end, all fixed; its frames of 480 samples are padded to 512."""


@dataclass(frozen=True)
class Pcen:
    """Parameters of per-channel energy normalization: Wang et al. 2017, with the paper's values.

    With `M` the running mean of `mel` over `seconds`, a feature is
    `(mel / (epsilon + M)^gain + bias)^root - bias^root`.
    """

    seconds: float = 0.4
    gain: float = 0.98
    bias: float = 2.0
    root: float = 0.5
    epsilon: float = 1e-6


@dataclass(frozen=True)
class FrontEnd:
    """Parameters of waveform → features, named as in torchaudio's `MelSpectrogram`.

    `kind` is `log_mel` or `microfrontend`; the features of the latter, `runtime.micro_front_end`,
    have fixed parameters, and the rest of this text does not hold for them.

    Frames are not centred (`center=False`): frame `t` starts at sample `t * hop_length`, so that
    a stream gives the same frames. Mel scale HTK, no filter normalisation, power 2,
    `log(mel + 1e-6)`.

    `mean` is what is subtracted from each band: nothing, the mean of the window (`clip`), or the
    `RunningMean` of a stream over `mean_seconds`. `compression` is the logarithm, or `pcen`. A
    window alone gives the features of a stream that starts with it.

    >>> FrontEnd().window_samples, FrontEnd().n_frames
    (16000, 97)
    """

    sample_rate: int = 16_000
    window_s: float = 1.0
    n_fft: int = 512
    win_length: int = 480
    hop_length: int = 160
    n_mels: int = 40
    f_min: float = 20.0
    f_max: float = 8_000.0
    mean: Literal["none", "clip", "running"] = "none"
    mean_seconds: float = 3.0
    compression: Literal["log", "pcen"] = "log"
    pcen: Pcen = Pcen()
    kind: str = LOG_MEL

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_s * self.sample_rate)

    @property
    def n_frames(self) -> int:
        """Frames in one window, `T`."""
        return 1 + (self.window_samples - self.n_fft) // self.hop_length

    @property
    def is_plain(self) -> bool:
        """Whether features are log-mel, without further options."""
        return self.mean == "none" and self.compression == "log"

    @property
    def running_seconds(self) -> float | None:
        """The time constant of the running mean of each band, `None` if there is none."""
        if self.compression == "pcen":
            return self.pcen.seconds
        return self.mean_seconds if self.mean == "running" else None

    @property
    def decay(self) -> float:
        """The weight of a frame in the running mean relative to the next frame.

        >>> round(FrontEnd(mean="running", mean_seconds=1.0).decay, 6)
        0.99005
        """
        return math.exp(-self.hop_length / ((self.running_seconds or math.inf) * self.sample_rate))

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as data, without options that have no effect."""
        unused = {"mean"} if self.mean == "none" else set[str]()
        unused |= {"kind"} if self.kind == LOG_MEL else set()
        unused |= set() if self.mean == "running" else {"mean_seconds"}
        unused |= set() if self.compression == "pcen" else {"compression", "pcen"}
        return {key: value for key, value in asdict(self).items() if key not in unused}


LOG_FLOOR = 1e-6
SILENT_MEL = 1e-10
"""A frame with no band above this is digital silence: a single sample of 16 bits gives more."""

BLOCK_BYTES = 100_000
"""Frames are transformed in blocks of this size: larger ones are allocated by the system each time,
with page faults that cost more than the transform."""


def log_mel(waveform: NDArray[np.floating[Any]], front_end: FrontEnd) -> NDArray[np.float32]:
    """Return the log-mel features of `waveform`, `(…, samples)` → `(…, n_mels, T)` float32.

    Samples are in [-1, 1]; `T = 1 + (samples - n_fft) // hop_length`. Equals torchaudio's
    `MelSpectrogram(center=False)` followed by `log(mel + 1e-6)`, and by the options of the front
    end.

    Raises:
        ValueError: `waveform` is shorter than one frame.
    """
    return normalised(mel_levels(waveform, front_end), front_end)


def mel_levels(waveform: NDArray[np.floating[Any]], front_end: FrontEnd) -> NDArray[np.float32]:
    """Return what the options of a front end start from: log-mel, or mel for PCEN, as `log_mel`."""
    samples = waveform.shape[-1]
    if samples < front_end.n_fft:
        raise ValueError(f"{samples} samples are less than one frame of {front_end.n_fft}")
    frames = sliding_window_view(waveform, front_end.n_fft, axis=-1)
    frames = frames[..., :: front_end.hop_length, :]  # (…, T, n_fft)
    window, bank, first = _constants(front_end)
    power = np.empty((*frames.shape[:-1], bank.shape[1]), np.float32)
    step = max(1, BLOCK_BYTES // (8 * front_end.n_fft))
    for start in range(0, frames.shape[-2], step):
        block = slice(start, start + step)
        # Double precision: next to a loud vowel a float32 FFT is off by 1e-3 near the floor.
        spectrum = np.fft.rfft(frames[..., block, :] * window)
        spectrum = spectrum[..., first : first + bank.shape[1]]
        power[..., block, :] = spectrum.real**2 + spectrum.imag**2
    mel: NDArray[np.float32] = np.matmul(bank, np.swapaxes(power, -1, -2))  # (…, n_mels, T)
    if front_end.compression == "pcen":
        return mel
    mel += np.float32(LOG_FLOOR)
    return np.asarray(np.log(mel, out=mel))


class RunningMean:
    """The mean of each band over the past of a stream, with exponential weights.

    At a frame it is the sum of `decay**i * x[-1 - i]` over the frames so far, this one included,
    divided by the sum of the weights: that of the first frame is the frame itself. Frames of
    digital silence are left out. A stream is fed in pieces of any length.
    """

    def __init__(self, decay: float) -> None:
        """Start a stream."""
        self._decay = decay
        self._mean, self._weight = np.zeros(()), np.zeros(())

    def __call__(
        self, levels: NDArray[np.floating[Any]], sounding: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the mean at each of the next frames of `levels`, `(…, n_mels, T)`.

        `sounding` `(…, T)` tells which frames are not digital silence. Before the first of them,
        the mean is the frame itself.
        """
        means = levels.astype(np.float64)
        for t in range(levels.shape[-1]):
            heard = sounding[..., t, None]  # (…, 1)
            weight = self._decay * self._weight + 1
            mean = self._mean + (means[..., t] - self._mean) / weight
            self._mean = np.where(heard, mean, self._mean)
            self._weight = np.where(heard, weight, self._weight)
            means[..., t] = np.where(self._weight > 0, self._mean, means[..., t])
        return means


def normalised(
    levels: NDArray[np.float32], front_end: FrontEnd, running: RunningMean | None = None
) -> NDArray[np.float32]:
    """Apply the options of a front end to its levels, `(…, n_mels, T)`.

    `running` is the state of a stream of which `levels` are the next frames; by default, one
    starts.
    """
    if front_end.is_plain:
        return levels
    silent = SILENT_MEL if front_end.compression == "pcen" else math.log(LOG_FLOOR + SILENT_MEL)
    sounding: NDArray[np.bool_] = np.asarray((levels > silent).any(axis=-2))  # (…, T)
    if front_end.mean == "clip":
        return _without_mean(levels, sounding)
    means = (running or RunningMean(front_end.decay))(levels, sounding)
    if front_end.compression == "log":
        return (levels - means).astype(np.float32)
    pcen = front_end.pcen
    gained = levels / (pcen.epsilon + means) ** pcen.gain
    features = (gained + pcen.bias) ** pcen.root - pcen.bias**pcen.root
    return np.asarray(features, np.float32)


def _without_mean(levels: NDArray[np.float32], sounding: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Subtract from each band its mean over the sounding frames; digital silence alone gives 0."""
    weights = sounding[..., None, :].astype(np.float64)
    count = weights.sum(axis=-1, keepdims=True)
    mean = (levels * weights).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    return np.where(count > 0, levels - mean, 0).astype(np.float32)


def mel_filterbank(front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the triangular mel filters, `(n_mels, n_fft // 2 + 1)`.

    Same as `torchaudio.functional.melscale_fbanks` with the HTK scale and no normalisation,
    including its convention that the bins are spread evenly over 0 … `sample_rate // 2`.
    """
    edges, bins = mel_edges(front_end), bin_frequencies(front_end)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def analysis_window(front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the periodic Hann window of `win_length`, centred and zero-padded to `(n_fft,)`."""
    length = front_end.win_length
    left = (front_end.n_fft - length) // 2
    window = np.zeros(front_end.n_fft)
    window[left : left + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return window


@lru_cache(maxsize=8)
def _constants(front_end: FrontEnd) -> tuple[NDArray[np.float64], NDArray[np.float32], int]:
    """Return the window, the filters over the bins in use, and the first of these bins."""
    bank = mel_filterbank(front_end)
    used = np.flatnonzero(bank.any(axis=0))
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
    window = analysis_window(front_end)
    return window, np.ascontiguousarray(bank[:, first : last + 1], np.float32), first


def mel_edges(front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the corner frequencies in Hz, `(n_mels + 2,)`: filter `m` spans `m` to `m + 2`."""
    low, high = (2595 * math.log10(1 + f / 700) for f in (front_end.f_min, front_end.f_max))
    mels = np.linspace(low, high, front_end.n_mels + 2)
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


def bin_frequencies(front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the frequencies of the FFT bins in Hz, `(n_fft // 2 + 1,)`."""
    return np.linspace(0, front_end.sample_rate // 2, front_end.n_fft // 2 + 1)
