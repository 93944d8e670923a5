"""Keyword spotting from a bundle, with numpy and onnxruntime alone.

This file is the runtime that every bundle carries. Beside it lie `frontend.onnx`, `model.onnx`,
`frontend_stream.onnx`, often `stream.onnx` (or any of them as `.ort`) and `manifest.json`.

    python detect.py --clip a.wav b.wav

prints one JSON line per clip: `file`, `label`, `score`.

    python detect.py --stream long.wav
    arecord -q -f S16_LE -c 1 -r 16000 -t raw | python detect.py --stream -

prints one JSON line per keyword heard: `file`, `keyword`, `start_s`, `end_s`, `score`. From code:

    detector = Detector(Path("bundle"))
    for piece in microphone:            # floats in [-1, 1], or int16; of any length
        for event in detector.feed(piece):
            print(event.keyword, event.end_s)

The length of the pieces changes nothing: the same samples give the same events.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":  # before the imports below, which take a while
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this as it ends any filter
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # and so does the end of its reader

import argparse
import json
import math
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import onnxruntime as ort

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

FILLERS = ("_unknown_", "_silence_")
"""Labels that are no keywords: they never make an event."""

PCM = {1: ("<u1", 128.0, 128.0), 2: ("<i2", 0.0, 32768.0), 4: ("<i4", 0.0, 2147483648.0)}
"""Bytes per sample: numpy type, offset and full scale."""

BLOCK_SAMPLES = 32_000
"""Samples of a file that are read at once."""

INTEGERS, FLOATS = 1, 3
"""Codings of a WAV file."""

_WIDTHS = {INTEGERS: (1, 2, 3, 4), FLOATS: (4,)}
"""Bytes per sample that can be read, by coding."""

EXTENSIBLE = 0xFFFE
"""In the header of a WAV file: the coding stands further behind."""

HIGHEST_PEAK = 4.0
"""Full scale is 1. No decoder or resampler overshoots by 12 dB; the integers of a 16-bit recording,
stored as floats, are beyond it in all but digital silence."""

BLOCKS = (50, 25, 5, 1)
"""Hops that go through the graphs at once: the first bounds the memory, the last has to be 1."""

WAITING = 50
"""Decisions far from every threshold that are taken at once, at most."""

UNIT = 1 << 16
"""Posteriors are counted in units of `1 / UNIT`: sums of integers are the same in any order."""


Arrays = dict[str, np.ndarray]
"""By name, as a graph takes or makes them."""


class Event(NamedTuple):
    """A keyword that was heard: where it is, in seconds, and its smoothed posterior."""

    start_s: float
    end_s: float
    keyword: str
    score: float

    def line(self, file: str) -> dict[str, str | float]:
        """Return what is printed of it."""
        times = {"start_s": round(self.start_s, 3), "end_s": round(self.end_s, 3)}
        return {"file": file, "keyword": self.keyword, **times, "score": round(self.score, 4)}


class Loudest:
    """The loudest window of a clip that comes in blocks: a clip of any length fits in memory."""

    def __init__(self, window_samples: int) -> None:
        """Look for the `window_samples` of highest energy, the first of several."""
        self._size = window_samples
        self._last = np.zeros(0, np.float32)  # up to a window, and the energy up to each sample
        self._energy = np.zeros(1)
        self._best, self._window = -math.inf, self._last
        self.length = 0

    def add(self, block: np.ndarray) -> None:
        """Take the next samples, float32."""
        self.length += len(block)
        power = np.square(block, dtype=np.float64)
        going_on = np.cumsum(np.concatenate([self._energy[-1:], power]))
        energy = np.concatenate([self._energy, going_on[1:]])
        samples = np.concatenate([self._last, block])
        if len(samples) >= self._size:
            windows = energy[self._size :] - energy[: -self._size]
            first = int(np.argmax(windows))
            if windows[first] > self._best:
                self._best = float(windows[first])
                self._window = samples[first : first + self._size].copy()
        self._last, self._energy = samples[-self._size :], energy[-self._size - 1 :]

    def window(self) -> np.ndarray:
        """Return `(window_samples,)`: the loudest, or a clip that is shorter centred in zeros."""
        missing = self._size - self.length
        if missing <= 0:
            return self._window
        return np.pad(self._last, (missing // 2, missing - missing // 2))


def fit_window(samples: np.ndarray, window_samples: int) -> np.ndarray:
    """Return `(window_samples,)`: a short wave centred in zeros, of a long one the loudest part.

    The loudest part is the window of highest energy, the first of several.
    """
    loudest = Loudest(window_samples)
    loudest.add(samples)
    return loudest.window()


def as_float(samples: np.ndarray) -> np.ndarray:
    """Return one channel, int16 of any byte order or floats in [-1, 1], as float32 in [-1, 1].

    Raises:
        ValueError: samples of another kind or shape, that are not finite, or far beyond 1.
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
        raise ValueError("expected finite numbers; there are samples that are NaN or infinite")
    if peak > HIGHEST_PEAK:
        raise ValueError(f"expected floats in [-1, 1], not up to {peak:g}; divide by full scale")
    return samples.astype(np.float32, copy=False)


class Mixer:
    """Averages the channels of a recording, and notices where they cancel each other out."""

    def __init__(self) -> None:
        """Begin a recording."""
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
        """Raise `ValueError` where the channels can be heard and their mean cannot: -30 dB."""
        if self._channels > 1e-6 * self._length and self._mean < 1e-3 * self._channels:
            raise ValueError(
                "its channels cancel each other out, one is the other upside down; save one "
                "channel alone, or invert one"
            )


class WavForm(NamedTuple):
    """What the header of a WAV file says; `coding` is `INTEGERS` or `FLOATS`, a sample has
    `width` bytes.

    `size` counts the bytes of all samples. It is `None` where the writer did not come to fill it
    in: the samples then go on to the end of the file.
    """

    coding: int
    rate: int
    channels: int
    width: int
    size: int | None


def wav_form(file: BinaryIO) -> WavForm:
    """Read a WAV file up to its samples.

    Raises:
        ValueError: not a WAV file, or its header is damaged.
    """
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ValueError("it does not begin with RIFF and WAVE")
    form = b""
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            return _wav_form(form, file, size)
        chunk = file.read(min(size, 64))
        _skip(file, size + size % 2 - len(chunk))
        if name == b"fmt ":
            form = chunk
    raise ValueError("it holds no samples: there is no data chunk")


def _wav_form(form: bytes, file: BinaryIO, size: int) -> WavForm:
    if len(form) < 16:
        raise ValueError("its header is damaged: there is no whole fmt chunk before the samples")
    coding, channels, rate, _, frame, _ = struct.unpack("<HHIIHH", form[:16])
    if coding == EXTENSIBLE and len(form) >= 26:
        (coding,) = struct.unpack("<H", form[24:26])
    if not channels or frame % channels:
        raise ValueError(f"its header is damaged: {channels} channels in frames of {frame} bytes")
    return WavForm(coding, rate, channels, frame // channels, _samples_size(file, size))


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0 and (skipped := file.read(min(size, 1 << 16))):
        size -= len(skipped)


def _samples_size(file: BinaryIO, size: int) -> int | None:
    """Return the bytes of samples that follow; `None` where the header does not know."""
    if size == 0xFFFFFFFF:
        return None
    if size or not file.seekable():
        return size or None
    start = file.tell()
    name, follows = file.read(4), int.from_bytes(file.read(4), "little")
    left = file.seek(0, os.SEEK_END) - start - 8
    file.seek(start)
    # No samples, or a writer that was stopped: what follows is another chunk, or it is samples.
    readable = name.isascii() and min(name, default=0) >= ord(" ")
    return 0 if readable and follows <= left else None


def read_wav(path: Path, sample_rate: int) -> np.ndarray:
    """Return the samples of a WAV file as mono float32 in [-1, 1].

    Raises:
        ValueError: as `wav_blocks`.
    """
    return np.concatenate([np.zeros(0, np.float32), *wav_blocks(path, sample_rate)])


def wav_blocks(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield the samples of a WAV file as mono float32 in [-1, 1], block by block.

    Raises:
        ValueError: not a WAV file of integers or 32-bit floats, of another sample rate, its floats
            are not finite or far beyond 1, or its channels cancel out.
    """
    with path.open("rb") as file:
        try:
            form = wav_form(file)
            if form.width not in _WIDTHS.get(form.coding, ()):
                raise ValueError(f"coding {form.coding}, {8 * form.width} bits")
        except ValueError as error:
            raise ValueError(
                f"{path}: not a PCM WAV file ({error}); convert it to 16-bit"
            ) from error
        if form.rate != sample_rate:
            raise ValueError(
                f"{path}: {form.rate} Hz, but the model hears {sample_rate} Hz; resample it"
            )
        frame = form.width * form.channels
        most = max(1, BLOCK_SAMPLES // form.channels) * frame
        mixer = Mixer()
        left = math.inf if form.size is None else form.size
        while data := file.read(int(min(most, left))):
            left -= len(data)
            whole = len(data) - len(data) % frame
            yield mixer.mono(_decoded(path, data[:whole], form).reshape(-1, form.channels))
    try:
        mixer.check()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _decoded(path: Path, data: bytes, form: WavForm) -> np.ndarray:
    if form.coding == INTEGERS:
        return from_pcm(data, form.width)
    try:
        return as_float(np.frombuffer(data, "<f4").astype(np.float32))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def from_pcm(data: bytes, width: int) -> np.ndarray:
    """Return little-endian PCM of `width` bytes per sample as float32 in [-1, 1]."""
    if width == 3:  # as the upper bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    kind, offset, full_scale = PCM[width]
    samples: np.ndarray = (np.frombuffer(data, kind).astype(np.float32) - offset) / full_scale
    return samples


def pcm_blocks(path: Path) -> Iterator[np.ndarray]:
    """Yield raw 16-bit little-endian mono PCM as float32; `-` is standard input, as it comes.

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
    """The bundle's front end and network.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
    """

    def __init__(self, bundle: Path, threads: int = 1) -> None:
        """Load the bundle in folder `bundle`."""
        manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text("utf-8"))
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
            ValueError: as `as_float`, or not `window_samples` long.
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
            ValueError: as `as_float`, or there are none.
        """
        return self.classify_blocks([samples])

    def classify_blocks(self, blocks: Iterable[np.ndarray]) -> tuple[str, float]:
        """Return label and score of a clip that comes in blocks, however long it is.

        Raises:
            ValueError: as `classify`.
        """
        loudest = Loudest(self.window_samples)
        for block in blocks:
            loudest.add(as_float(block))
        if not loudest.length:
            raise ValueError("the clip holds no samples; record it again")
        logits = self.logits(loudest.window()).astype(np.float64)
        odds = np.exp(logits - logits.max())
        best = int(np.argmax(logits))
        return self.labels[best], float(odds[best] / odds.sum())


class Binding:
    """A session that reads and writes arrays which stay where they are.

    onnxruntime takes as long to hand over arrays as to compute a hop.
    """

    def __init__(self, session: ort.InferenceSession, given: Arrays, made: Arrays) -> None:
        """Bind the inputs `given` and the outputs `made`, C-contiguous arrays by name."""
        self._session, self._arrays = session, (given, made)
        self._binding = session.io_binding()
        for bind, arrays in ((self._binding.bind_input, given), (self._binding.bind_output, made)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self) -> None:
        """Compute the outputs."""
        self._session.run_with_iobinding(self._binding)


class StreamFrontEnd:
    """The front end of a stream: each hop of `hop_frames` frames costs only its own.

    Several hops go through `frontend_stream.onnx` at once, as a batch, where that is found to give
    the same bits as one by one on this machine.
    """

    def __init__(self, bundle: Path, manifest: dict[str, Any], threads: int) -> None:
        """Load the graph; compare on noise."""
        front_end = manifest["contract"]["front_end"]
        self.hop_frames: int = manifest["detection"]["hop_frames"]
        self.hop_samples: int = self.hop_frames * front_end["hop_length"]
        # Of the frames of one hop.
        self.samples: int = front_end["n_fft"] + self.hop_samples - front_end["hop_length"]
        self.window_samples = round(front_end["window_s"] * front_end["sample_rate"])
        self.n_mels: int = front_end["n_mels"]
        graph = session(model_file(bundle, "frontend_stream"), threads)
        self._given = {n: np.zeros((n, self.samples), np.float32) for n in BLOCKS}
        shape = (self.n_mels, self.hop_frames)
        self._made = {n: np.zeros((n, *shape), np.float32) for n in BLOCKS}
        self._graphs = {
            n: Binding(graph, {"waveform": self._given[n]}, {"features": self._made[n]})
            for n in BLOCKS
        }
        self.blocks: tuple[int, ...] = BLOCKS
        self.blocks = BLOCKS if self._same_bits() else (1,)

    def windows(self, samples: np.ndarray) -> np.ndarray:
        """Return a view `(hops, self.samples)` of the hops that are whole in `samples`."""
        every = np.lib.stride_tricks.sliding_window_view(samples, self.samples)
        return every[:: self.hop_samples]

    def features(self, windows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the features `(n_mels, n * hop_frames)` of hops, `n` of `blocks` at a time.

        They last until the next are taken.
        """
        start = 0
        for n in self.blocks:
            while start + n <= len(windows):
                np.copyto(self._given[n], windows[start : start + n])
                self._graphs[n].run()
                made = self._made[n]
                yield made[0] if n == 1 else made.transpose(1, 0, 2).reshape(self.n_mels, -1)
                start += n

    def _same_bits(self) -> bool:
        noise = np.random.default_rng(0).standard_normal(
            self.samples + (BLOCKS[0] - 1) * self.hop_samples
        )
        noise *= np.geomspace(1e-4, 0.3, len(noise))
        windows, results = self.windows(noise.astype(np.float32)), []
        for n in BLOCKS:
            self.blocks = (n,)
            results.append(np.concatenate([f.copy() for f in self.features(windows)], axis=1))
        return all(np.array_equal(results[-1], other) for other in results[:-1])


class StreamingNetwork:
    """`stream.onnx`: a network with explicit state, one decision a hop.

    Several hops go through it at once where that is found to give the same bits as one by one.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], n_labels: int, threads: int) -> None:
        """Load the graph of a network that takes `shape`, `(…, n_mels, T)`; compare on noise."""
        graph = session(path, threads)
        told = json.loads(graph.get_modelmeta().custom_metadata_map["stream"])
        self.hop_frames: int = told["hop_frames"]
        self._initial = [np.full(s["shape"], s["fill"], s["dtype"]) for s in told["states"]]
        self._n_mels, self._n_labels = shape[-2], n_labels
        here, there = ([state.copy() for state in self._initial] for _ in range(2))
        self._states = here
        self._features = {
            n: np.zeros((1, *shape[:-1], n * self.hop_frames), np.float32) for n in BLOCKS
        }
        self._logits = {n: np.zeros((n, n_labels), np.float32) for n in BLOCKS}
        # The states go there and back: what one run made is what the next is given.
        ways = tuple(permutations((here, there)))
        self._graphs = {
            n: [self._bound(graph, told["states"], n, *way) for way in ways] for n in BLOCKS
        }
        self.blocks: tuple[int, ...] = BLOCKS
        self.blocks = BLOCKS if self._same_bits() else (1,)
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard."""
        self._turn = 0
        for state, initial in zip(self._states, self._initial, strict=True):
            np.copyto(state, initial)

    def logits(self, features: np.ndarray, wanted: range) -> np.ndarray:
        """Return the logits `(len(wanted), n_labels)` at hops of features `(n_mels, F)`.

        They last until the next call.
        """
        hops = features.shape[1] // self.hop_frames
        if hops in self.blocks:
            every = self._run(features, hops)
        else:
            every, start = np.zeros((hops, self._n_labels), np.float32), 0
            for n in self.blocks:
                while start + n <= hops:
                    part = features[:, start * self.hop_frames : (start + n) * self.hop_frames]
                    every[start : start + n] = self._run(part, n)
                    start += n
        return every if len(wanted) == hops else every[wanted.start : wanted.stop : wanted.step]

    def window_logits(self, features: np.ndarray) -> np.ndarray:
        """Return the logits `(n_labels,)` of one window `(n_mels, T)`, and forget it."""
        before = -features.shape[1] % self.hop_frames  # to whole hops; no part of the window
        hops = (before + features.shape[1]) // self.hop_frames
        logits = self.logits(np.pad(features, ((0, 0), (before, 0))), range(hops))
        self.reset()
        last: np.ndarray = logits[-1].copy()
        return last

    def _bound(
        self,
        graph: ort.InferenceSession,
        states: list[dict[str, Any]],
        hops: int,
        given: list[np.ndarray],
        made: list[np.ndarray],
    ) -> Binding:
        inputs = {state["input"]: array for state, array in zip(states, given, strict=True)}
        outputs = {state["output"]: array for state, array in zip(states, made, strict=True)}
        return Binding(
            graph,
            {"features": self._features[hops], **inputs},
            {"logits": self._logits[hops], **outputs},
        )

    def _run(self, features: np.ndarray, hops: int) -> np.ndarray:
        np.copyto(self._features[hops], features)
        self._graphs[hops][self._turn].run()
        self._turn = 1 - self._turn
        return self._logits[hops]

    def _same_bits(self) -> bool:
        hops = 2 * BLOCKS[0]
        noise = np.random.default_rng(0).standard_normal((self._n_mels, hops * self.hop_frames))
        results = []
        for n in BLOCKS:
            self.blocks = (n,)
            self.reset()
            results.append(self.logits(noise.astype(np.float32), range(hops)).copy())
        return all(np.array_equal(results[-1], other) for other in results[:-1])


class WindowedNetwork:
    """`model.onnx` on the last window of frames, anew for every decision."""

    def __init__(self, path: Path, shape: tuple[int, ...], hop_frames: int, threads: int) -> None:
        """Load the graph, which takes one sample of `shape`, `(…, n_mels, T)`."""
        self._session = session(path, threads)
        self._shape, self.hop_frames = (1, *shape), hop_frames
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard."""
        self._last = np.zeros(self._shape[-2:], np.float32)

    def logits(self, features: np.ndarray, wanted: range) -> np.ndarray:
        """Return the logits `(len(wanted), n_labels)` at hops of features `(n_mels, F)`."""
        n_frames = self._shape[-1]
        frames = np.concatenate([self._last, features], axis=1)  # (n_mels, T + F)
        self._last = frames[:, -n_frames:]
        ends = (n_frames + (hop + 1) * self.hop_frames for hop in wanted)
        # One by one: a batch may be computed in another order, and round otherwise.
        decisions = [self._run(frames[:, end - n_frames : end]) for end in ends]
        return np.concatenate(decisions) if decisions else np.zeros((0, 1), np.float32)

    def _run(self, window: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(window).reshape(self._shape)
        logits: np.ndarray = self._session.run(None, {"features": given})[0]
        return logits


class Heard(NamedTuple):
    """A run of decisions above the threshold: when it was told, its keyword, centre and peak.

    `told` and `centre` count decisions; `score` is the highest smoothed posterior.
    """

    told: int
    keyword: int
    centre: float
    score: float


class _Run:
    """A run of decisions above the threshold, from decision `start` on."""

    def __init__(self, start: int, told: bool) -> None:
        self.start, self.told = start, told
        self.weight = self.moment = self.peak = 0

    def add(self, decision: int, value: int, threshold: int) -> None:
        weight = value - threshold + 1
        self.weight += weight
        self.moment += weight * (decision - self.start)
        self.peak = max(self.peak, value)


class Trigger:
    """Posteriors → runs above a threshold: smoothing, one event a run, refractory time.

    The posterior of a keyword is averaged over the last `smoothing_ms`. A run begins where the
    average reaches the keyword's threshold, and is told when it falls below it, or has lasted for
    `longest_s`. A run that begins less than `refractory_ms` after the last one of the same keyword
    was told is left out. All is counted in integers, so that it does not matter how many decisions
    come at once.

    Most of the time no keyword comes near its threshold. Such decisions wait for each other, and
    cost a look at their logits.
    """

    def __init__(
        self, labels: list[str], settings: dict[str, Any], interval_s: float, longest_s: float
    ) -> None:
        """Take the manifest's `detection` as `settings`; a decision comes every `interval_s`."""
        thresholds = settings["thresholds"]
        self._columns = [i for i, label in enumerate(labels) if label not in FILLERS]
        self.keywords = [labels[i] for i in self._columns]
        self._span = max(1, round(settings["smoothing_ms"] / 1000 / interval_s))
        self._refractory = round(settings["refractory_ms"] / 1000 / interval_s)
        self._longest = max(1, round(longest_s / interval_s))
        full = self._span * UNIT
        self._thresholds = [max(1, math.ceil(thresholds[word] * full)) for word in self.keywords]
        lowest = min((thresholds[word] for word in self.keywords), default=1.0)
        self._least = lowest - 1e-3  # more than any rounding
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard."""
        self._last = np.zeros((self._span, len(self._columns)), np.int64)
        self._sums = self._last[0]
        self._decisions = 0
        self._runs: list[_Run | None] = [None] * len(self._columns)
        self._free = [0] * len(self._columns)
        self._waiting: list[list[float]] = []  # logits
        self._quiet = 0

    @property
    def scores(self) -> dict[str, float]:
        """The smoothed posterior of every keyword at the last decision."""
        self._take_waiting()
        full = self._span * UNIT
        return {k: int(v) / full for k, v in zip(self.keywords, self._sums, strict=True)}

    def hear(self, logits: np.ndarray) -> list[Heard]:
        """Take the logits `(D, n_labels)` of the next decisions; return the runs now told."""
        if len(logits) > 1:
            self._quiet = 0
            return self.feed(softmax(logits))
        row: list[float] = logits[0].tolist()
        self._quiet = 0 if self._near(row) else self._quiet + 1
        self._waiting.append(row)
        # An average over the span needs a posterior as high as itself, and an open run goes on.
        if self._quiet < self._span or any(self._runs) or len(self._waiting) == WAITING:
            return self._take_waiting()
        return []

    def feed(self, posteriors: np.ndarray) -> list[Heard]:
        """Take the posteriors `(D, n_labels)` of the next decisions; return the runs now told."""
        self._take_waiting()  # which tells none
        return self._take(posteriors)

    def _near(self, row: list[float]) -> bool:
        """Tell whether a keyword may have a posterior of the lowest threshold or more."""
        best = max([row[k] for k in self._columns], default=-math.inf)
        first = max(row)
        odds = math.exp(best - first)  # an upper bound of its posterior
        if odds < self._least:
            return False
        return odds >= self._least * sum([math.exp(x - first) for x in row])

    def _take_waiting(self) -> list[Heard]:
        if not self._waiting:
            return []
        logits = np.array(self._waiting, np.float32)
        self._waiting.clear()
        return self._take(softmax(logits))

    def _take(self, posteriors: np.ndarray) -> list[Heard]:
        counts = np.rint(posteriors[:, self._columns] * UNIT).astype(np.int64)
        joined = np.concatenate([self._last, counts])  # (span + D, keywords)
        sums = self._sums + np.cumsum(counts - joined[: len(counts)], axis=0)
        self._last, self._sums = joined[len(counts) :], sums[-1]
        above = (sums >= self._thresholds).any(axis=0).tolist()
        heard: list[Heard] = []
        for k, run in enumerate(self._runs):
            if above[k] or run:
                heard += self._follow(k, sums[:, k].tolist())
        self._decisions += len(counts)
        return sorted(heard)

    def flush(self) -> list[Heard]:
        """Return the runs that the end of the stream cuts off, and forget all that was heard."""
        self._take_waiting()
        open_runs = ((k, run) for k, run in enumerate(self._runs) if run and not run.told)
        heard = [self._tell(k, run, self._decisions) for k, run in open_runs]
        self.reset()
        return heard

    def _follow(self, k: int, values: list[int]) -> Iterator[Heard]:
        threshold = self._thresholds[k]
        for decision, value in enumerate(values, self._decisions):
            run = self._runs[k]
            if value < threshold:
                self._runs[k] = None
                if run and not run.told:
                    yield self._tell(k, run, decision)
                continue
            if run is None:
                run = self._runs[k] = _Run(decision, told=decision < self._free[k])
            if not run.told:
                run.add(decision, value, threshold)
                if decision - run.start + 1 >= self._longest:
                    yield self._tell(k, run, decision)

    def _tell(self, k: int, run: _Run, decision: int) -> Heard:
        run.told = True
        self._free[k] = decision + self._refractory
        # An average over the span stands for its middle.
        centre = run.start + run.moment / run.weight - (self._span - 1) / 2
        return Heard(decision, k, centre, run.peak / (self._span * UNIT))


class Detector:
    """Continuous detection: audio in pieces of any length → events.

    The stream is heard as if half a window of digital silence came before and after it, so that
    the first and the last word are in the middle of a window once. Memory is bounded, and a second
    costs the same however long the stream is.

    An event's times are estimates: its run of decisions above the threshold has a centre (weighted
    by the height above it), half the smoothing is taken off, and the window heard then ends
    `timing_offset_ms` after the keyword does; it began `keyword_ms` before its end.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
        ValueError: the bundle holds no settings for detection, or `hop_ms` cannot be had.
    """

    def __init__(
        self,
        bundle: Path,
        threads: int = 1,
        threshold: float | None = None,
        hop_ms: float | None = None,
    ) -> None:
        """Load the bundle in folder `bundle`.

        `threshold` stands in for those of the manifest, `hop_ms` for its time between decisions.
        """
        manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text("utf-8"))
        if "detection" not in manifest:
            raise ValueError(f"{bundle}: packed without settings for detection; pack it again")
        settings, contract = manifest["detection"], manifest["contract"]
        self.labels: list[str] = contract["labels"]
        self.sample_rate: int = contract["front_end"]["sample_rate"]
        self._front_end = StreamFrontEnd(bundle, manifest, threads)
        self._network = streaming_network(bundle, threads)
        own_ms = 1000 * self._front_end.hop_samples / self.sample_rate
        self._every = decision_hops(settings["hop_ms"] if hop_ms is None else hop_ms, own_ms)
        self._first = -(-contract["input_shape"][-1] // self._front_end.hop_frames) - 1
        if threshold is not None:
            settings["thresholds"] = dict.fromkeys(self.labels, threshold)
        interval_s = self._every * self._front_end.hop_samples / self.sample_rate
        window_s = self._front_end.window_samples / self.sample_rate
        self.trigger = Trigger(self.labels, settings, interval_s, window_s)
        self._offset_s = settings["timing_offset_ms"] / 1000
        self._keyword_s = settings["keyword_ms"] / 1000
        front_end, block = self._front_end, (BLOCKS[0] - 1) * self._front_end.hop_samples
        self._buffer = np.zeros(front_end.samples + block, np.float32)
        self._windows = front_end.windows(self._buffer)
        self._silence = np.zeros(front_end.window_samples // 2, np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._network.reset()
        self.trigger.reset()
        self._filled = self._hop = self._fed = 0
        for _ in self._logits(self._silence):
            pass  # half a window holds no decision

    def feed(self, samples: np.ndarray) -> list[Event]:
        """Take the next samples and return the events now told.

        Samples are int16, of any byte order, or floats in [-1, 1].

        Raises:
            ValueError: as `as_float`.
        """
        heard = [h for x in self._logits(self._taken(samples)) for h in self.trigger.hear(x)]
        return [self._event(h) for h in heard]

    def flush(self) -> list[Event]:
        """End the stream and return its last events; the next sample begins a new one."""
        duration_s = self.heard_s
        heard = [h for x in self._logits(self._silence) for h in self.trigger.hear(x)]
        events = [self._event(h) for h in heard + self.trigger.flush()]
        self.reset()
        return [event._replace(end_s=min(event.end_s, duration_s)) for event in events]

    def posteriors(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Take the next samples and yield the posteriors `(D, n_labels)` of their decisions.

        What `trigger.feed` takes; for choosing its settings.

        Raises:
            ValueError: as `as_float`.
        """
        for logits in self._logits(self._taken(samples)):
            yield softmax(logits)

    def _taken(self, samples: np.ndarray) -> np.ndarray:
        taken = as_float(samples)
        self._fed += len(taken)
        return taken

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
        """Seconds of the stream that were fed."""
        return self._fed / self.sample_rate

    def _event(self, heard: Heard) -> Event:
        end_s = max(0.0, self.seconds(heard.centre) - self._offset_s)
        start_s = max(0.0, end_s - self._keyword_s)
        return Event(start_s, end_s, self.trigger.keywords[heard.keyword], heard.score)

    def _logits(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Buffer the samples; go on with all whole hops when they end or the buffer is full.

        Yields the logits `(D, n_labels)` of their decisions, which last until the next.
        """
        front_end, done = self._front_end, 0
        while done < len(samples):
            part = samples[done : done + len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            done += len(part)
            if self._filled < front_end.samples:
                return
            hops = 1 + (self._filled - front_end.samples) // front_end.hop_samples
            for features in front_end.features(self._windows[:hops]):
                logits = self._decide(features)
                if len(logits):
                    yield logits
            used = hops * front_end.hop_samples
            self._filled -= used
            self._buffer[: self._filled] = self._buffer[used : used + self._filled]

    def _decide(self, features: np.ndarray) -> np.ndarray:
        """Return the logits `(D, n_labels)` of the decisions that fall on these hops."""
        hops = features.shape[1] // self._front_end.hop_frames
        to_next = self._first - self._hop
        wanted = range(to_next if to_next > 0 else to_next % self._every, hops, self._every)
        self._hop += hops
        return self._network.logits(features, wanted)


def decision_hops(hop_ms: float, own_ms: float) -> int:
    """Return how many hops of `own_ms` lie between two decisions `hop_ms` apart.

    Raises:
        ValueError: it is not a multiple.
    """
    hops = round(hop_ms / own_ms) if math.isfinite(hop_ms) else 0
    if hops < 1 or abs(hops * own_ms - hop_ms) > 0.01 * own_ms:
        raise ValueError(
            f"a decision every {hop_ms:g} ms cannot be had; give a multiple of {own_ms:g} ms"
        )
    return hops


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the posteriors `(D, n_labels)` of logits, the same bits for any `D`."""
    wide = logits.astype(np.float64)
    odds = np.exp(wide - wide.max(axis=1, keepdims=True))
    posteriors: np.ndarray = odds / np.cumsum(odds, axis=1)[:, -1:]  # which has one order
    return posteriors


def streaming_network(bundle: Path, threads: int = 1) -> StreamingNetwork | WindowedNetwork:
    """Return the bundle's network for a stream: `stream.onnx`, or `model.onnx` window by window.

    Raises:
        FileNotFoundError: a file of the bundle is missing.
    """
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text("utf-8"))
    shape = tuple(manifest["contract"]["input_shape"])
    streaming = model_file(bundle, "stream")
    if streaming.is_file():
        return StreamingNetwork(streaming, shape, len(manifest["contract"]["labels"]), threads)
    hop_frames = manifest["detection"]["hop_frames"]
    return WindowedNetwork(model_file(bundle, "model"), shape, hop_frames, threads)


def model_file(bundle: Path, name: str) -> Path:
    """Return the file of the model `name`: its ONNX form, or `.ort` where that alone is there."""
    converted = bundle / f"{name}.ort"
    whole = bundle / f"{name}.onnx"
    return converted if converted.is_file() and not whole.is_file() else whole


def session(path: Path, threads: int) -> ort.InferenceSession:
    """Return an onnxruntime session on the CPU, not spinning, as on a device.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the bundle is not complete")
    import onnxruntime as ort  # here: reading audio does not need it

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def classify(classifier: Classifier, paths: list[Path]) -> int:
    """Print a line a clip; 0 when all were read, 5 when one was not."""
    failed = False
    for path in paths:
        try:
            blocks = _whole(path, wav_blocks(path, classifier.sample_rate))
            label, score = classifier.classify_blocks(blocks)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        _print({"file": str(path), "label": label, "score": round(score, 6)})
    return 5 if failed else 0


def detect(detector: Detector, paths: list[Path], *, pcm: bool) -> int:
    """Print a line an event as it is heard; 0 when all were read, 5 when one was not."""
    failed = False
    for path in paths:
        raw = pcm or str(path) == "-"
        try:
            blocks = pcm_blocks(path) if raw else wav_blocks(path, detector.sample_rate)
            for samples in _whole(path, blocks):
                _print_events(detector.feed(samples), path)
            _print_events(detector.flush(), path)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            detector.reset()
            failed = True
    return 5 if failed else 0


def _whole(path: Path, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the blocks of a file; `ValueError` where there was not one sample."""
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
    except UnicodeEncodeError:  # not a name that standard output can write as it is
        text = json.dumps(line)
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all was read, 5 when something was not, 2 for bad usage."""
    parser = argparse.ArgumentParser(description="Say which keyword is heard, and when.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--clip", nargs="+", type=Path, metavar="WAV", help="a label a clip")
    told = "events in long audio; - is raw PCM on standard input"
    what.add_argument("--stream", nargs="+", type=Path, metavar="FILE", help=told)
    told = "files of --stream are raw 16-bit little-endian mono, at the model's rate"
    parser.add_argument("--pcm", action="store_true", help=told)
    parser.add_argument("--threshold", type=float, help="of every keyword, for the manifest's")
    parser.add_argument("--hop-ms", type=float, help="time between decisions, for the manifest's")
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
