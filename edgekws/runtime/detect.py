"""Keyword spotting with a bundle; needs only numpy and onnxruntime.

This file is the runtime in every bundle. Beside it lie `frontend.onnx`, `model.onnx`,
`frontend_stream.onnx`, often `stream.onnx` (any of them possibly as `.ort`) and `manifest.json`.

    python detect.py --clip a.wav b.wav

prints one JSON line per clip: `file`, `label`, `score`.

    python detect.py --stream long.wav
    arecord -q -f S16_LE -c 1 -r 16000 -t raw | python detect.py --stream -

prints one JSON line per detected keyword: `file`, `keyword`, `start_s`, `end_s`, `score`. In code:

    detector = Detector(Path("bundle"))
    for piece in microphone:            # floats in [-1, 1], or int16; of any length
        for event in detector.feed(piece):
            print(event.keyword, event.end_s)

The same samples give the same events, regardless of the lengths of the pieces.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":  # before the imports below, which take a while
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it silently, like any filter
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so does a closed output pipe

import argparse
import json
import math
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import onnxruntime as ort

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

FILLERS = ("_unknown_", "_silence_")
"""Labels that are not keywords; they never cause an event."""

PCM = {1: ("<u1", 128.0, 128.0), 2: ("<i2", 0.0, 32768.0), 4: ("<i4", 0.0, 2147483648.0)}
"""Bytes per sample: numpy type, offset and full scale."""

BLOCK_SAMPLES = 32_000
"""Samples per block when reading a file."""

INTEGERS, FLOATS = 1, 3
"""Format codes of a WAV file."""

_WIDTHS = {INTEGERS: (1, 2, 3, 4), FLOATS: (4,)}
"""Supported bytes per sample, by format code."""

EXTENSIBLE = 0xFFFE
"""Format code of a WAV file whose actual code is in the extension of the fmt chunk."""

HIGHEST_PEAK = 4.0
"""Full scale is 1. No decoder or resampler overshoots by 12 dB, but 16-bit integers stored as
floats exceed this except in digital silence."""

BLOCKS = (50, 25, 5, 1)
"""Batch sizes, in hops, of the graphs: the first bounds the memory, the last must be 1."""

MAX_PENDING = 50
"""Maximum number of decisions far from every threshold that are batched."""

SILENT_MEL = 1e-10
"""A frame with no mel band above this is digital silence."""

SILENT_LOG_MEL = math.log(1e-6 + SILENT_MEL)

UNIT = 1 << 16
"""Posteriors are counted in units of `1 / UNIT`: integer sums do not depend on the order."""


Arrays = dict[str, np.ndarray]
"""Inputs or outputs of a graph, by name."""


class Event(NamedTuple):
    """A detected keyword: its start and end in seconds, and its smoothed posterior."""

    start_s: float
    end_s: float
    keyword: str
    score: float

    def line(self, file: str) -> dict[str, str | float]:
        """Return the event as the JSON line that is printed."""
        times = {"start_s": round(self.start_s, 3), "end_s": round(self.end_s, 3)}
        return {"file": file, "keyword": self.keyword, **times, "score": round(self.score, 4)}


class Loudest:
    """Finds the loudest window of a clip given in blocks, in constant memory."""

    def __init__(self, window_samples: int) -> None:
        """Search for the `window_samples` of highest energy; the first wins a tie."""
        self._size = window_samples
        self._last = np.zeros(0, np.float32)  # up to a window, and the cumulative energy
        self._energy = np.zeros(1)
        self._best, self._window = -math.inf, self._last
        self.length = 0
        self.start = 0  # of the loudest window, in samples from the beginning of the clip

    def add(self, block: np.ndarray) -> None:
        """Process the next samples, float32."""
        self.length += len(block)
        power = np.square(block, dtype=np.float64)
        continued = np.cumsum(np.concatenate([self._energy[-1:], power]))
        energy = np.concatenate([self._energy, continued[1:]])
        samples = np.concatenate([self._last, block])
        if len(samples) >= self._size:
            windows = energy[self._size :] - energy[: -self._size]
            first = int(np.argmax(windows))
            if windows[first] > self._best:
                self._best = float(windows[first])
                self._window = samples[first : first + self._size].copy()
                self.start = self.length - len(samples) + first
        self._last, self._energy = samples[-self._size :], energy[-self._size - 1 :]

    def window(self) -> np.ndarray:
        """Return the loudest `(window_samples,)`; a shorter clip is centred and zero-padded."""
        missing = self._size - self.length
        if missing <= 0:
            return self._window
        return np.pad(self._last, (missing // 2, missing - missing // 2))


def fit_window(samples: np.ndarray, window_samples: int) -> np.ndarray:
    """Return `(window_samples,)`: centre and zero-pad a short wave, crop a long one to its loudest.

    The loudest part is the window of highest energy; the first wins a tie.
    """
    loudest = Loudest(window_samples)
    loudest.add(samples)
    return loudest.window()


def as_float(samples: np.ndarray) -> np.ndarray:
    """Convert one channel, int16 of any byte order or floats in [-1, 1], to float32 in [-1, 1].

    Raises:
        ValueError: samples of another type or shape, not finite, or far beyond 1.
    """
    if samples.ndim != 1:
        raise ValueError(f"expected one channel, (samples,), not an array {samples.shape}")
    kind = samples.dtype
    if kind.kind == "i" and kind.itemsize == 2:
        return samples.astype(np.float32) / np.float32(32768)
    if kind.kind != "f":
        raise ValueError(f"expected int16, or floats in [-1, 1], not {kind}; scale and convert it")
    peak = float(np.abs(samples).max(initial=0))
    if not math.isfinite(peak):
        raise ValueError("expected finite numbers; some samples are NaN or infinite")
    if peak > HIGHEST_PEAK:
        raise ValueError(f"expected floats in [-1, 1], not up to {peak:g}; divide by full scale")
    return samples.astype(np.float32, copy=False)


class Mixer:
    """Averages the channels of a recording, and detects that they cancel each other out."""

    def __init__(self) -> None:
        """Start a recording."""
        self._length, self._channels, self._mean = 0, 0.0, 0.0

    def mono(self, samples: np.ndarray) -> np.ndarray:
        """Return the mean `(frames,)` of the next samples `(frames, channels)`, float32."""
        if samples.shape[1] == 1:
            return samples[:, 0]
        mean: np.ndarray = samples.mean(axis=1, dtype=np.float32)
        self._length += len(mean)
        self._channels += float(np.square(samples, dtype=np.float64).sum()) / samples.shape[1]
        self._mean += float(np.vdot(mean, mean))
        return mean

    def check(self) -> None:
        """Raise `ValueError` if the channels are audible and their mean is not: 30 dB lower."""
        if self._channels > 1e-6 * self._length and self._mean < 1e-3 * self._channels:
            raise ValueError(
                "its channels cancel each other out, one is the inverse of the other; keep a "
                "single channel, or invert one"
            )


class WavFormat(NamedTuple):
    """The header of a WAV file; `code` is `INTEGERS` or `FLOATS`, `width` the bytes per sample.

    `size` is the number of bytes of all samples, or `None` if the writer did not fill it in: the
    samples then extend to the end of the file.
    """

    code: int
    rate: int
    channels: int
    width: int
    size: int | None


def read_wav_header(file: BinaryIO) -> WavFormat:
    """Read a WAV file up to its samples.

    Raises:
        ValueError: not a WAV file, or the header is damaged.
    """
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ValueError("it does not begin with RIFF and WAVE")
    fmt = b""
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            return _wav_format(fmt, file, size)
        chunk = file.read(min(size, 64))
        _skip(file, size + size % 2 - len(chunk))
        if name == b"fmt ":
            fmt = chunk
    raise ValueError("it holds no samples: there is no data chunk")


def _wav_format(fmt: bytes, file: BinaryIO, size: int) -> WavFormat:
    if len(fmt) < 16:
        raise ValueError("its header is damaged: no complete fmt chunk before the samples")
    code, channels, rate, _, frame, _ = struct.unpack("<HHIIHH", fmt[:16])
    if code == EXTENSIBLE and len(fmt) >= 26:
        (code,) = struct.unpack("<H", fmt[24:26])
    if not channels or frame % channels:
        raise ValueError(f"its header is damaged: {channels} channels in frames of {frame} bytes")
    return WavFormat(code, rate, channels, frame // channels, _samples_size(file, size))


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0 and (skipped := file.read(min(size, 1 << 16))):
        size -= len(skipped)


def _samples_size(file: BinaryIO, size: int) -> int | None:
    """Return the number of bytes of samples, or `None` if the header does not state it."""
    if size == 0xFFFFFFFF:
        return None
    if size or not file.seekable():
        return size or None
    start = file.tell()
    name, next_size = file.read(4), int.from_bytes(file.read(4), "little")
    remaining = file.seek(0, os.SEEK_END) - start - 8
    file.seek(start)
    # Size 0 means no samples, or an interrupted writer: a chunk follows, or the samples do.
    is_name = name.isascii() and min(name, default=0) >= ord(" ")
    return 0 if is_name and next_size <= remaining else None


def read_wav(path: Path, sample_rate: int) -> np.ndarray:
    """Return the samples of a WAV file as mono float32 in [-1, 1].

    Raises:
        ValueError: as `wav_blocks`.
    """
    return np.concatenate([np.zeros(0, np.float32), *wav_blocks(path, sample_rate)])


def wav_blocks(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield the samples of a WAV file as mono float32 in [-1, 1], block by block.

    Raises:
        ValueError: not a WAV file of integers or 32-bit floats, another sample rate, floats that
            are not finite or far beyond 1, or channels that cancel out.
    """
    with path.open("rb") as file:
        try:
            yield from _mono_blocks(file, _supported_format(file, sample_rate))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _supported_format(file: BinaryIO, sample_rate: int) -> WavFormat:
    try:
        wav = read_wav_header(file)
        if wav.width not in _WIDTHS.get(wav.code, ()):
            raise ValueError(f"format {wav.code}, {8 * wav.width} bits")
    except ValueError as error:
        raise ValueError(f"not a PCM WAV file ({error}); convert it to 16-bit") from error
    if wav.rate != sample_rate:
        raise ValueError(f"{wav.rate} Hz, but the model expects {sample_rate} Hz; resample it")
    return wav


def _mono_blocks(file: BinaryIO, wav: WavFormat) -> Iterator[np.ndarray]:
    frame = wav.width * wav.channels
    block = max(1, BLOCK_SAMPLES // wav.channels) * frame
    mixer = Mixer()
    remaining = math.inf if wav.size is None else wav.size
    while data := file.read(int(min(block, remaining))):
        remaining -= len(data)
        whole = data[: len(data) - len(data) % frame]
        if wav.code == INTEGERS:
            samples = from_pcm(whole, wav.width)
        else:
            samples = as_float(np.frombuffer(whole, "<f4").astype(np.float32))
        yield mixer.mono(samples.reshape(-1, wav.channels))
    mixer.check()


def from_pcm(data: bytes, width: int) -> np.ndarray:
    """Convert little-endian PCM of `width` bytes per sample to float32 in [-1, 1]."""
    if width == 3:  # the upper bytes of 32-bit samples
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    kind, offset, full_scale = PCM[width]
    samples: np.ndarray = (np.frombuffer(data, kind).astype(np.float32) - offset) / full_scale
    return samples


def pcm_blocks(path: Path) -> Iterator[np.ndarray]:
    """Yield raw 16-bit little-endian mono PCM as float32; `-` is standard input, unbuffered.

    Raises:
        ValueError: standard input is closed.
    """
    if str(path) == "-" and sys.stdin is None:
        raise ValueError("standard input is closed; pipe raw PCM into it, or name a file")
    with (
        open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
        if str(path) == "-"
        else path.open("rb", buffering=0)
    ) as file:
        rest = b""
        while data := file.read(2 * BLOCK_SAMPLES):
            data = rest + data
            whole = len(data) - len(data) % 2
            yield from_pcm(data[:whole], 2)
            rest = data[whole:]


class Classifier:
    """Classifies clips with the bundle's front end and network.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
    """

    def __init__(self, bundle: Path, threads: int = 1) -> None:
        """Load the bundle in folder `bundle`."""
        manifest = read_manifest(bundle)
        front_end = manifest["contract"]["front_end"]
        self.labels: list[str] = manifest["contract"]["labels"]
        self.sample_rate: int = front_end["sample_rate"]
        self.window_samples: int = round(front_end["window_s"] * self.sample_rate)
        self._add_axis = len(manifest["contract"]["input_shape"]) == 3
        self._front_end = session(model_file(bundle, "frontend"), threads)
        self._network = session(model_file(bundle, "model"), threads)

    def logits(self, window: np.ndarray) -> np.ndarray:
        """Return the logits `(n_labels,)` of one window `(window_samples,)`.

        Raises:
            ValueError: as `features`.
        """
        features = self.features(window)[None]  # (1, n_mels, T)
        if self._add_axis:
            features = features[:, None]  # (1, 1, n_mels, T)
        logits: np.ndarray = self._network.run(None, {"features": features})[0][0]
        return logits

    def features(self, window: np.ndarray) -> np.ndarray:
        """Return the normalised log-mel `(n_mels, T)` of one window.

        Raises:
            ValueError: as `as_float`, or the length is not `window_samples`.
        """
        wave = as_float(window)
        if len(wave) != self.window_samples:
            raise ValueError(f"expected {self.window_samples} samples, not {len(wave)}")
        features: np.ndarray = self._front_end.run(None, {"waveform": wave[None]})[0][0]
        return features

    def classify(self, samples: np.ndarray) -> tuple[str, float]:
        """Return the label of a clip of any length and its score, the softmax probability.

        Samples are int16, of any byte order, or floats in [-1, 1].

        Raises:
            ValueError: as `as_float`, or the clip is empty.
        """
        return self.classify_blocks([samples])

    def classify_blocks(self, blocks: Iterable[np.ndarray]) -> tuple[str, float]:
        """Return the label and score of a clip of any length, given in blocks.

        Raises:
            ValueError: as `classify`.
        """
        loudest = Loudest(self.window_samples)
        for block in blocks:
            loudest.add(as_float(block))
        if not loudest.length:
            raise ValueError("the clip holds no samples; record it again")
        posteriors = softmax(self.logits(loudest.window())[None])[0]
        best = int(np.argmax(posteriors))
        return self.labels[best], float(posteriors[best])


class Binding:
    """A session that reads and writes preallocated arrays.

    Passing arrays to onnxruntime takes as long as computing a hop.
    """

    def __init__(self, session: ort.InferenceSession, inputs: Arrays, outputs: Arrays) -> None:
        """Bind `inputs` and `outputs`, C-contiguous arrays by name."""
        self._session, self._arrays = session, (inputs, outputs)
        self._binding = session.io_binding()
        bind_input, bind_output = self._binding.bind_input, self._binding.bind_output
        for bind, arrays in ((bind_input, inputs), (bind_output, outputs)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self) -> None:
        """Compute the outputs."""
        self._session.run_with_iobinding(self._binding)


def batches(hops: int, sizes: tuple[int, ...]) -> Iterator[slice]:
    """Yield the batches of `hops` hops, of `sizes` from the largest to 1.

    >>> [batch.stop for batch in batches(57, (50, 5, 1))]
    [50, 55, 56, 57]
    """
    start = 0
    for size in sizes:
        while start + size <= hops:
            yield slice(start, start + size)
            start += size


def exact_sizes(compute: Callable[[int], np.ndarray]) -> tuple[int, ...]:
    """Return the sizes of batches that this machine computes bit for bit as one by one.

    `compute` returns the same hops, computed in batches of a size. The result is `BLOCKS`, or
    single hops if a size differs.
    """
    single = compute(1)
    exact = all(np.array_equal(single, compute(size)) for size in BLOCKS[:-1])
    return BLOCKS if exact else (1,)


class RunningFeatures:
    """Features from levels, the log-mel or mel of a stream's frames, by the running mean of bands.

    The mean of the frames so far has exponential weights, without digital silence; the front end
    subtracts it, or divides by a power of it (PCEN). The last steps are those of every front end:
    minus the mean, divided by the standard deviation of the training clips.
    """

    def __init__(self, front_end: dict[str, Any], mean: np.ndarray, std: np.ndarray) -> None:
        """Take the front end of a contract, and the statistics `(n_mels,)` of its features."""
        self._pcen: dict[str, float] | None = front_end.get("pcen")
        seconds = self._pcen["seconds"] if self._pcen else front_end["mean_seconds"]
        self._decay = math.exp(-front_end["hop_length"] / (seconds * front_end["sample_rate"]))
        self._silent = SILENT_MEL if self._pcen else SILENT_LOG_MEL
        self._offset, self._std = mean, std
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._mean, self._weight = np.zeros(len(self._offset)), 0.0

    def __call__(self, levels: np.ndarray) -> np.ndarray:
        """Return the features of the next frames of a stream, both `(n_mels, F)`."""
        features = np.empty_like(levels)
        for frame in range(levels.shape[1]):
            feature = self._feature(levels[:, frame].astype(np.float64))
            features[:, frame] = (feature - self._offset) / self._std
        return features

    def _feature(self, level: np.ndarray) -> np.ndarray:
        """Return the features `(n_mels,)` of a frame: the same bits for any length of a piece."""
        if level.max() > self._silent:
            self._weight = self._decay * self._weight + 1
            self._mean += (level - self._mean) / self._weight
        mean: np.ndarray = self._mean if self._weight else level
        if self._pcen is None:
            centred: np.ndarray = level - mean
            return centred
        gained = level / (self._pcen["epsilon"] + mean) ** self._pcen["gain"]
        bias, root = self._pcen["bias"], self._pcen["root"]
        compressed: np.ndarray = (gained + bias) ** root - bias**root
        return compressed


class ClipFeatures:
    """Features from log-mel, by the mean of each band over a window, without digital silence."""

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Take the statistics `(n_mels,)` of the features of training."""
        self._offset, self._std = mean[:, None], std[:, None]

    def __call__(self, levels: np.ndarray) -> np.ndarray:
        """Return the features of a window, both `(n_mels, T)`."""
        sounding = levels.max(axis=0) > SILENT_LOG_MEL
        means = levels[:, sounding].mean(axis=1, keepdims=True, dtype=np.float64)
        features = levels - means if sounding.any() else np.zeros_like(levels)
        normalised: np.ndarray = ((features - self._offset) / self._std).astype(np.float32)
        return normalised


class StreamFrontEnd:
    """The front end of a stream, which computes each frame once, in hops of `hop_frames` frames.

    `frontend_stream.onnx` processes several hops as a batch if this machine computes them bit for
    bit as one by one. With a mean of clips it gives log-mel, as frames have one in every window.
    """

    def __init__(self, bundle: Path, manifest: dict[str, Any], threads: int) -> None:
        """Load the graph; test batches on noise."""
        front_end = manifest["contract"]["front_end"]
        self.hop_frames: int = manifest["detection"]["hop_frames"]
        self.hop_samples: int = self.hop_frames * front_end["hop_length"]
        # Samples spanned by the frames of one hop.
        self.samples: int = front_end["n_fft"] + self.hop_samples - front_end["hop_length"]
        self.window_samples = round(front_end["window_s"] * front_end["sample_rate"])
        self.n_mels: int = front_end["n_mels"]
        self._running: RunningFeatures | None = None
        if front_end.get("mean") == "running" or "pcen" in front_end:
            self._running = RunningFeatures(front_end, *statistics(manifest))
        graph = session(model_file(bundle, "frontend_stream"), threads)
        # The noise that the micro front end estimates; a graph with a state processes single hops.
        self._state = [np.zeros((1, 2, self.n_mels), np.float32) for _ in range(2)]
        stateful = front_end.get("kind") == "microfrontend"
        given, computed = (
            {name: state} if stateful else {}
            for name, state in zip(("noise", "next_noise"), self._state, strict=True)
        )
        self.blocks: tuple[int, ...] = (1,) if stateful else BLOCKS
        self._inputs = {n: np.zeros((n, self.samples), np.float32) for n in self.blocks}
        shape = (self.n_mels, self.hop_frames)
        self._outputs = {n: np.zeros((n, *shape), np.float32) for n in self.blocks}
        self._graphs = {
            n: Binding(
                graph,
                {"waveform": self._inputs[n], **given},
                {"features": self._outputs[n], **computed},
            )
            for n in self.blocks
        }
        if not stateful:
            self.blocks = exact_sizes(self._features_of_noise)

    def windows(self, samples: np.ndarray) -> np.ndarray:
        """Return a view `(hops, self.samples)` of the complete hops in `samples`."""
        views = np.lib.stride_tricks.sliding_window_view(samples, self.samples)
        return views[:: self.hop_samples]

    def reset(self) -> None:
        """Start a new stream."""
        self._state[0][:] = 0
        if self._running:
            self._running.reset()

    def features(self, windows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the features `(n_mels, n * hop_frames)` of hops, in batches of `n` from `blocks`.

        An array is valid until the next is yielded.
        """
        for computed in self._computed(windows):
            yield self._running(computed) if self._running else computed

    def _computed(self, windows: np.ndarray) -> Iterator[np.ndarray]:
        for batch in batches(len(windows), self.blocks):
            n = batch.stop - batch.start
            np.copyto(self._inputs[n], windows[batch])
            self._graphs[n].run()
            np.copyto(self._state[0], self._state[1])
            output = self._outputs[n]
            yield output[0] if n == 1 else output.transpose(1, 0, 2).reshape(self.n_mels, -1)

    def _features_of_noise(self, size: int) -> np.ndarray:
        self.blocks = (size,)
        length = self.samples + (BLOCKS[0] - 1) * self.hop_samples
        noise = np.random.default_rng(0).standard_normal(length) * np.geomspace(1e-4, 0.3, length)
        windows = self.windows(noise.astype(np.float32))
        return np.concatenate([f.copy() for f in self._computed(windows)], axis=1)


class StreamingNetwork:
    """`stream.onnx`: a network with explicit state and one decision per hop.

    It processes several hops at once if this machine computes them bit for bit as one by one.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], n_labels: int, threads: int) -> None:
        """Load the graph of a network with input `shape`, `(…, n_mels, T)`; test on noise."""
        graph = session(path, threads)
        metadata = json.loads(graph.get_modelmeta().custom_metadata_map["stream"])
        self.hop_frames: int = metadata["hop_frames"]
        self._initial = [np.full(s["shape"], s["fill"], s["dtype"]) for s in metadata["states"]]
        self._n_mels, self._n_labels = shape[-2], n_labels
        first, second = ([state.copy() for state in self._initial] for _ in range(2))
        self._states = first
        self._features = {
            n: np.zeros((1, *shape[:-1], n * self.hop_frames), np.float32) for n in BLOCKS
        }
        self._logits = {n: np.zeros((n, n_labels), np.float32) for n in BLOCKS}
        # Two sets of states alternate: the output of one run is the input of the next.
        directions = tuple(permutations((first, second)))
        self._graphs = {
            n: [self._bound(graph, metadata["states"], n, *states) for states in directions]
            for n in BLOCKS
        }
        self.blocks = exact_sizes(self._logits_of_noise)
        self.reset()

    def reset(self) -> None:
        """Restore the initial state."""
        self._direction = 0
        for state, initial in zip(self._states, self._initial, strict=True):
            np.copyto(state, initial)

    def logits(self, features: np.ndarray, wanted: range) -> np.ndarray:
        """Return the logits `(len(wanted), n_labels)` of the `wanted` hops of `(n_mels, F)`.

        They are valid until the next call.
        """
        hops = features.shape[1] // self.hop_frames
        if hops in self.blocks:
            logits = self._run(features, hops)
        else:
            logits = np.zeros((hops, self._n_labels), np.float32)
            for batch in batches(hops, self.blocks):
                frames = slice(batch.start * self.hop_frames, batch.stop * self.hop_frames)
                logits[batch] = self._run(features[:, frames], batch.stop - batch.start)
        return logits if len(wanted) == hops else logits[wanted.start : wanted.stop : wanted.step]

    def window_logits(self, features: np.ndarray) -> np.ndarray:
        """Return the logits `(n_labels,)` of one window `(n_mels, T)`, and reset the state."""
        padding = -features.shape[1] % self.hop_frames  # before the window, to complete hops
        hops = (padding + features.shape[1]) // self.hop_frames
        logits = self.logits(np.pad(features, ((0, 0), (padding, 0))), range(hops))
        self.reset()
        last: np.ndarray = logits[-1].copy()
        return last

    def _bound(
        self,
        graph: ort.InferenceSession,
        states: list[dict[str, Any]],
        hops: int,
        before: list[np.ndarray],
        after: list[np.ndarray],
    ) -> Binding:
        inputs = {state["input"]: array for state, array in zip(states, before, strict=True)}
        outputs = {state["output"]: array for state, array in zip(states, after, strict=True)}
        return Binding(
            graph,
            {"features": self._features[hops], **inputs},
            {"logits": self._logits[hops], **outputs},
        )

    def _run(self, features: np.ndarray, hops: int) -> np.ndarray:
        np.copyto(self._features[hops], features)
        self._graphs[hops][self._direction].run()
        self._direction = 1 - self._direction
        return self._logits[hops]

    def _logits_of_noise(self, size: int) -> np.ndarray:
        self.blocks = (size,)
        self.reset()
        hops = 2 * BLOCKS[0]
        noise = np.random.default_rng(0).standard_normal((self._n_mels, hops * self.hop_frames))
        return self.logits(noise.astype(np.float32), range(hops)).copy()


class WindowedNetwork:
    """`model.onnx`, computed on the last window of frames for every decision."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        hop_frames: int,
        threads: int,
        clip_features: ClipFeatures | None = None,
    ) -> None:
        """Load the graph, with samples of `shape`, `(…, n_mels, T)`.

        Each window first passes through `clip_features`, if given.
        """
        self._session = session(path, threads)
        self._shape, self.hop_frames = (1, *shape), hop_frames
        self._clip_features = clip_features
        self.reset()

    def reset(self) -> None:
        """Clear the window."""
        self._last = np.zeros(self._shape[-2:], np.float32)

    def logits(self, features: np.ndarray, wanted: range) -> np.ndarray:
        """Return the logits `(len(wanted), n_labels)` of the `wanted` hops of `(n_mels, F)`."""
        n_frames = self._shape[-1]
        frames = np.concatenate([self._last, features], axis=1)  # (n_mels, T + F)
        self._last = frames[:, -n_frames:]
        ends = (n_frames + (hop + 1) * self.hop_frames for hop in wanted)
        # One by one: a batch may be computed in another order and round differently.
        decisions = [self._run(frames[:, end - n_frames : end]) for end in ends]
        return np.concatenate(decisions) if decisions else np.zeros((0, 1), np.float32)

    def _run(self, window: np.ndarray) -> np.ndarray:
        if self._clip_features:
            window = self._clip_features(window)
        features = np.ascontiguousarray(window).reshape(self._shape)
        logits: np.ndarray = self._session.run(None, {"features": features})[0]
        return logits


class Detection(NamedTuple):
    """A run of decisions above the threshold: when it was reported, its keyword, centre and peak.

    `decision` and `centre` count decisions; `score` is the highest smoothed posterior.
    """

    decision: int
    keyword: int
    centre: float
    score: float


class _Run:
    """A run of decisions above the threshold, starting at decision `start`."""

    def __init__(self, start: int, reported: bool) -> None:
        self.start, self.reported = start, reported
        self.weight = self.moment = self.peak = 0

    def add(self, decision: int, value: int, threshold: int) -> None:
        weight = value - threshold + 1
        self.weight += weight
        self.moment += weight * (decision - self.start)
        self.peak = max(self.peak, value)


class Trigger:
    """Posteriors → detections: smoothing, one detection per run above threshold, refractory time.

    The posterior of a keyword is averaged over the last `smoothing_ms`. A run starts when the
    average reaches the keyword's threshold; it is reported when the average falls below it or the
    run has lasted for `longest_s`. A run that starts less than `refractory_ms` after the last
    report of the same keyword is skipped. Integer arithmetic makes the result independent of how
    many decisions are passed at once.

    Most of the time no keyword is near its threshold. Such decisions are batched after a cheap
    check of their logits.
    """

    def __init__(
        self, labels: list[str], settings: dict[str, Any], interval_s: float, longest_s: float
    ) -> None:
        """Use the manifest's `detection` as `settings`, with a decision every `interval_s`."""
        thresholds = settings["thresholds"]
        self._columns = [i for i, label in enumerate(labels) if label not in FILLERS]
        self.keywords = [labels[i] for i in self._columns]
        self._span = max(1, round(settings["smoothing_ms"] / 1000 / interval_s))
        self._refractory = round(settings["refractory_ms"] / 1000 / interval_s)
        self._longest = max(1, round(longest_s / interval_s))
        full = self._span * UNIT
        self._thresholds = [max(1, math.ceil(thresholds[word] * full)) for word in self.keywords]
        lowest = min((thresholds[word] for word in self.keywords), default=1.0)
        self._least = lowest - 1e-3  # a margin above any rounding error
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._last = np.zeros((self._span, len(self._columns)), np.int64)
        self._sums = self._last[0]
        self._decisions = 0
        self._runs: list[_Run | None] = [None] * len(self._columns)
        self._refractory_end = [0] * len(self._columns)
        self._pending: list[list[float]] = []  # logits
        self._quiet = 0

    @property
    def scores(self) -> dict[str, float]:
        """The smoothed posterior of every keyword at the last decision."""
        self._process_pending()
        full = self._span * UNIT
        return {k: int(v) / full for k, v in zip(self.keywords, self._sums, strict=True)}

    def feed_logits(self, logits: np.ndarray) -> list[Detection]:
        """Process the logits `(D, n_labels)` of the next decisions; return new detections."""
        if len(logits) > 1:
            self._quiet = 0
            return self.feed(softmax(logits))
        row: list[float] = logits[0].tolist()
        self._quiet = 0 if self._near(row) else self._quiet + 1
        self._pending.append(row)
        # The average cannot exceed every posterior in its span; an open run must be continued.
        if self._quiet < self._span or any(self._runs) or len(self._pending) == MAX_PENDING:
            return self._process_pending()
        return []

    def feed(self, posteriors: np.ndarray) -> list[Detection]:
        """Process the posteriors `(D, n_labels)` of the next decisions; return new detections."""
        self._process_pending()  # contains no detection
        return self._process(posteriors)

    def _near(self, row: list[float]) -> bool:
        """Return whether the posterior of a keyword may reach the lowest threshold."""
        best = max([row[k] for k in self._columns], default=-math.inf)
        first = max(row)
        odds = math.exp(best - first)  # an upper bound of its posterior
        if odds < self._least:
            return False
        return odds >= self._least * sum([math.exp(x - first) for x in row])

    def _process_pending(self) -> list[Detection]:
        if not self._pending:
            return []
        logits = np.array(self._pending, np.float32)
        self._pending.clear()
        return self._process(softmax(logits))

    def _process(self, posteriors: np.ndarray) -> list[Detection]:
        counts = np.rint(posteriors[:, self._columns] * UNIT).astype(np.int64)
        joined = np.concatenate([self._last, counts])  # (span + D, keywords)
        sums = self._sums + np.cumsum(counts - joined[: len(counts)], axis=0)
        self._last, self._sums = joined[len(counts) :], sums[-1]
        above = (sums >= self._thresholds).any(axis=0).tolist()
        detections: list[Detection] = []
        for k, run in enumerate(self._runs):
            if above[k] or run:
                detections += self._follow(k, sums[:, k].tolist())
        self._decisions += len(counts)
        return sorted(detections)

    def flush(self) -> list[Detection]:
        """Return the runs that are open at the end of the stream, and start a new stream."""
        self._process_pending()
        open_runs = ((k, run) for k, run in enumerate(self._runs) if run and not run.reported)
        detections = [self._report(k, run, self._decisions) for k, run in open_runs]
        self.reset()
        return detections

    def _follow(self, k: int, values: list[int]) -> Iterator[Detection]:
        threshold = self._thresholds[k]
        for decision, value in enumerate(values, self._decisions):
            run = self._runs[k]
            if value < threshold:
                self._runs[k] = None
                if run and not run.reported:
                    yield self._report(k, run, decision)
                continue
            if run is None:
                run = self._runs[k] = _Run(decision, reported=decision < self._refractory_end[k])
            if not run.reported:
                run.add(decision, value, threshold)
                if decision - run.start + 1 >= self._longest:
                    yield self._report(k, run, decision)

    def _report(self, k: int, run: _Run, decision: int) -> Detection:
        run.reported = True
        self._refractory_end[k] = decision + self._refractory
        # An average over the span describes its middle.
        centre = run.start + run.moment / run.weight - (self._span - 1) / 2
        return Detection(decision, k, centre, run.peak / (self._span * UNIT))


class Detector:
    """Continuous detection: audio in pieces of any length → events.

    The stream is padded with half a window of digital silence before and after it, so that the
    first and the last word are centred in a window once. Memory and the cost per second do not
    depend on the length of the stream.

    The times of an event are estimates: the centre of its run of decisions, weighted by the height
    above the threshold and corrected by half the smoothing, is the decision on a window that ends
    `timing_offset_ms` after the keyword; the keyword starts `keyword_ms` before its end. Keywords
    in `timing_offsets_ms` and `keyword_lengths_ms` have values of their own.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
        ValueError: the bundle has no detection settings, or `hop_ms` is not possible.
    """

    def __init__(
        self,
        bundle: Path,
        threads: int = 1,
        threshold: float | None = None,
        hop_ms: float | None = None,
    ) -> None:
        """Load the bundle in folder `bundle`.

        `threshold` overrides the manifest's thresholds, `hop_ms` its time between decisions.
        """
        manifest = read_manifest(bundle)
        if "detection" not in manifest:
            raise ValueError(f"{bundle}: packed without detection settings; pack it again")
        settings, contract = manifest["detection"], manifest["contract"]
        self.labels: list[str] = contract["labels"]
        self.sample_rate: int = contract["front_end"]["sample_rate"]
        self._front_end = StreamFrontEnd(bundle, manifest, threads)
        self._network = streaming_network(bundle, threads)
        frame_hop_ms = 1000 * self._front_end.hop_samples / self.sample_rate
        self._every = decision_hops(settings["hop_ms"] if hop_ms is None else hop_ms, frame_hop_ms)
        self._first = -(-contract["input_shape"][-1] // self._front_end.hop_frames) - 1
        if threshold is not None:
            settings["thresholds"] = dict.fromkeys(self.labels, threshold)
        interval_s = self._every * self._front_end.hop_samples / self.sample_rate
        window_s = self._front_end.window_samples / self.sample_rate
        self.trigger = Trigger(self.labels, settings, interval_s, window_s)
        self._placings = [placing(settings, word) for word in self.trigger.keywords]
        front_end, block = self._front_end, (BLOCKS[0] - 1) * self._front_end.hop_samples
        self._buffer = np.zeros(front_end.samples + block, np.float32)
        self._windows = front_end.windows(self._buffer)
        self._silence = np.zeros(front_end.window_samples // 2, np.float32)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._front_end.reset()
        self._network.reset()
        self.trigger.reset()
        self._filled = self._fed = 0
        self._to_next = self._first  # hops before the next decision
        for _ in self._logits(self._silence):
            pass  # no decision within half a window

    def feed(self, samples: np.ndarray) -> list[Event]:
        """Process the next samples and return new events.

        Samples are int16, of any byte order, or floats in [-1, 1].

        Raises:
            ValueError: as `as_float`.
        """
        return [self._event(detection) for detection in self._detections(self._counted(samples))]

    def flush(self) -> list[Event]:
        """End the stream and return its last events; the next sample starts a new stream."""
        duration_s = self.heard_s
        detections = [*self._detections(self._silence), *self.trigger.flush()]
        events = [self._event(detection) for detection in detections]
        self.reset()
        return [event._replace(end_s=min(event.end_s, duration_s)) for event in events]

    def posteriors(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Process the next samples and yield the posteriors `(D, n_labels)` of their decisions.

        They are the input of `trigger.feed`, for choosing its settings.

        Raises:
            ValueError: as `as_float`.
        """
        for logits in self._logits(self._counted(samples)):
            yield softmax(logits)

    def _counted(self, samples: np.ndarray) -> np.ndarray:
        """Convert the samples to float, and count them."""
        converted = as_float(samples)
        self._fed += len(converted)
        return converted

    def _detections(self, samples: np.ndarray) -> Iterator[Detection]:
        for logits in self._logits(samples):
            yield from self.trigger.feed_logits(logits)

    def seconds(self, decision: float) -> float:
        """Return the time in the stream at which the window of a decision ends."""
        front_end = self._front_end
        hop = self._first + decision * self._every
        end: float = hop * front_end.hop_samples + front_end.samples - len(self._silence)
        return end / self.sample_rate

    @property
    def scores(self) -> dict[str, float]:
        """The smoothed posterior of every keyword at the last decision."""
        return self.trigger.scores

    @property
    def heard_s(self) -> float:
        """Seconds of the stream processed so far."""
        return self._fed / self.sample_rate

    def _event(self, detection: Detection) -> Event:
        offset_s, length_s = self._placings[detection.keyword]
        end_s = max(0.0, self.seconds(detection.centre) - offset_s)
        start_s = max(0.0, end_s - length_s)
        return Event(start_s, end_s, self.trigger.keywords[detection.keyword], detection.score)

    def _logits(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Buffer the samples; process complete hops up to a decision, or when the buffer is full.

        Yields the logits `(D, n_labels)` of their decisions, valid until the next are yielded.
        """
        front_end, done = self._front_end, 0
        while done < len(samples):
            part = samples[done : done + len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            done += len(part)
            if self._filled < front_end.samples:
                return
            hops = self._due(1 + (self._filled - front_end.samples) // front_end.hop_samples)
            for features in front_end.features(self._windows[:hops]):
                logits = self._decide(features)
                if len(logits):
                    yield logits
            used = hops * front_end.hop_samples
            self._filled -= used
            self._buffer[: self._filled] = self._buffer[used : used + self._filled]

    def _due(self, hops: int) -> int:
        """Return how many of the complete hops to process now.

        Hops after the last decision can wait for the next one: a batch costs less.
        """
        if hops == len(self._windows):
            return hops
        after_first = hops - 1 - self._to_next
        return hops - after_first % self._every if after_first >= 0 else 0

    def _decide(self, features: np.ndarray) -> np.ndarray:
        """Return the logits `(D, n_labels)` of the decisions at these hops."""
        hops = features.shape[1] // self._front_end.hop_frames
        wanted = range(self._to_next, hops, self._every)
        self._to_next += len(wanted) * self._every - hops
        return self._network.logits(features, wanted)


def decision_hops(hop_ms: float, frame_hop_ms: float) -> int:
    """Return the number of hops of `frame_hop_ms` between two decisions `hop_ms` apart.

    Raises:
        ValueError: `hop_ms` is not a multiple.
    """
    hops = round(hop_ms / frame_hop_ms) if math.isfinite(hop_ms) else 0
    if hops < 1 or abs(hops * frame_hop_ms - hop_ms) > 0.01 * frame_hop_ms:
        raise ValueError(
            f"a decision every {hop_ms:g} ms is not possible; use a multiple of {frame_hop_ms:g} ms"
        )
    return hops


def placing(settings: dict[str, Any], keyword: str) -> tuple[float, float]:
    """Return how far a keyword ends before the window, and how long it is, in seconds.

    `settings` is the manifest's `detection`; what was not measured for a keyword is that of all.
    """
    offset_ms = settings.get("timing_offsets_ms", {}).get(keyword, settings["timing_offset_ms"])
    length_ms = settings.get("keyword_lengths_ms", {}).get(keyword, settings["keyword_ms"])
    return offset_ms / 1000, length_ms / 1000


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the posteriors `(D, n_labels)` of logits, bit for bit the same for any `D`."""
    wide = logits.astype(np.float64)
    odds = np.exp(wide - wide.max(axis=1, keepdims=True))
    posteriors: np.ndarray = odds / np.cumsum(odds, axis=1)[:, -1:]  # cumsum has a fixed order
    return posteriors


def streaming_network(bundle: Path, threads: int = 1) -> StreamingNetwork | WindowedNetwork:
    """Return the bundle's network for a stream: `stream.onnx`, or else `model.onnx` per window.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
    """
    manifest = read_manifest(bundle)
    shape = tuple(manifest["contract"]["input_shape"])
    streaming = model_file(bundle, "stream")
    if streaming.is_file():
        return StreamingNetwork(streaming, shape, len(manifest["contract"]["labels"]), threads)
    hop_frames = manifest["detection"]["hop_frames"]
    of_clips = manifest["contract"]["front_end"].get("mean") == "clip"
    clip_features = ClipFeatures(*statistics(manifest)) if of_clips else None
    return WindowedNetwork(model_file(bundle, "model"), shape, hop_frames, threads, clip_features)


def read_manifest(bundle: Path) -> Any:
    """Return the manifest of a bundle."""
    return json.loads((bundle / "manifest.json").read_text("utf-8"))


def statistics(manifest: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation `(n_mels,)` of the features of the training clips."""
    normalization = manifest["contract"]["normalization"]
    return np.array(normalization["mean"]), np.array(normalization["std"])


def model_file(bundle: Path, name: str) -> Path:
    """Return the file of the model `name`: `.onnx`, or `.ort` if only that exists."""
    ort_file = bundle / f"{name}.ort"
    onnx_file = bundle / f"{name}.onnx"
    return ort_file if ort_file.is_file() and not onnx_file.is_file() else onnx_file


def session(path: Path, threads: int) -> ort.InferenceSession:
    """Return an onnxruntime session on the CPU without spinning threads.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the bundle is not complete")
    import onnxruntime as ort  # imported here because reading audio does not need it

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def classify(classifier: Classifier, paths: list[Path]) -> int:
    """Print a line per clip; return 0, or 5 if a clip could not be read."""

    def classify_clip(path: Path) -> None:
        blocks = _not_empty(path, wav_blocks(path, classifier.sample_rate))
        label, score = classifier.classify_blocks(blocks)
        _print({"file": str(path), "label": label, "score": round(score, 6)})

    return _read_each(paths, classify_clip)


def detect(detector: Detector, paths: list[Path], *, pcm: bool) -> int:
    """Print a line per event as it is detected; return 0, or 5 if a file could not be read."""

    def detect_in_file(path: Path) -> None:
        detector.reset()  # the file before may have failed halfway
        raw = pcm or str(path) == "-"
        blocks = pcm_blocks(path) if raw else wav_blocks(path, detector.sample_rate)
        for samples in _not_empty(path, blocks):
            _print_events(detector.feed(samples), path)
        _print_events(detector.flush(), path)

    return _read_each(paths, detect_in_file)


def _read_each(paths: list[Path], read: Callable[[Path], None]) -> int:
    """Read every file; print why one cannot be read, and return 5 if there is one, else 0."""
    failed = False
    for path in paths:
        try:
            read(path)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            failed = True
    return 5 if failed else 0


def _not_empty(path: Path, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the blocks of a file; raise `ValueError` if there are no samples."""
    length = 0
    for block in blocks:
        length += len(block)
        yield block
    if not length:
        raise ValueError(f"{path}: holds no samples; record it again, or leave it out")


def _print_events(events: list[Event], path: Path) -> None:
    for event in events:
        _print(event.line(str(path)))


def _print(line: dict[str, str | float]) -> None:
    text = json.dumps(line, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # the encoding of standard output cannot represent the name
        text = json.dumps(line)
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0, 5 if some audio could not be read, 2 for bad usage."""
    parser = argparse.ArgumentParser(description="Detect keywords in audio, with their times.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--clip", nargs="+", type=Path, metavar="WAV", help="print a label per clip")
    stream_help = "print events in long audio; - is raw PCM on standard input"
    mode.add_argument("--stream", nargs="+", type=Path, metavar="FILE", help=stream_help)
    pcm_help = "files of --stream are raw 16-bit little-endian mono, at the model's rate"
    parser.add_argument("--pcm", action="store_true", help=pcm_help)
    instead = "instead of the manifest's"
    parser.add_argument("--threshold", type=float, help=f"threshold of every keyword, {instead}")
    parser.add_argument("--hop-ms", type=float, help=f"time between decisions, {instead}")
    parser.add_argument("--bundle", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.clip:
        return classify(Classifier(options.bundle, options.threads), options.clip)
    try:
        detector = Detector(options.bundle, options.threads, options.threshold, options.hop_ms)
    except ValueError as error:
        parser.error(str(error))
    return detect(detector, options.stream, pcm=options.pcm)


if __name__ == "__main__":
    sys.exit(main())
