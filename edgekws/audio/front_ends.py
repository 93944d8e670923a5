"""What depends on the kind of a front end: features in numpy, their scale, and the ONNX forms."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.decoding import to_int16
from edgekws.audio.run_in import as_stream
from edgekws.core.contract import Normalization
from edgekws.runtime.front_end import (
    MICROFRONTEND,
    FrontEnd,
    RunningMean,
    log_mel,
    mel_levels,
    normalised,
)
from edgekws.runtime.micro_front_end import SCALE, MicroFrontEnd
from edgekws.runtime.micro_front_end import clip_features as micro_clip_features

if TYPE_CHECKING:
    import onnx

Waves = NDArray[np.float32]

PIECE_FRAMES = 6000
"""Frames per transform, to bound memory for long recordings."""


def fixed_normalization(front_end: FrontEnd) -> Normalization | None:
    """Return the normalisation of a front end with a fixed scale; `None` if it is measured."""
    if front_end.kind != MICROFRONTEND:
        return None
    return Normalization((0.0,) * front_end.n_mels, (1.0,) * front_end.n_mels)


def features(waves: Waves | Sequence[Waves], front_end: FrontEnd) -> NDArray[np.float32]:
    """Return the features `(B, n_mels, T)` of clips, before normalisation.

    Each is `(window_samples,)`. For a front end with a state, the audio that came before it may
    precede it, up to `run_in.run_in_samples`. Log-mel is computed by torch, in batches and double
    precision.
    """
    if front_end.kind == MICROFRONTEND:
        return np.stack([clip_features(wave, front_end) for wave in waves])
    import torch

    from edgekws.audio import torch_front_end

    out = np.empty((len(waves), front_end.n_mels, front_end.n_frames), np.float32)
    streams = [_after_its_past(wave, front_end) for wave in waves]
    lengths = np.array([len(stream) for stream in streams])
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        batch = torch.from_numpy(np.stack([streams[i] for i in chosen]))
        computed = torch_front_end.log_mel(batch, front_end).numpy()
        out[chosen] = computed[..., -front_end.n_frames :]
    return out


def clip_features(wave: Waves, front_end: FrontEnd) -> NDArray[np.float32]:
    """Return the features `(n_mels, T)` of a clip as in `features`, without torch."""
    if front_end.kind == MICROFRONTEND:
        before = len(wave) - front_end.window_samples
        return _scaled(micro_clip_features(to_int16(wave), before))
    return log_mel(_after_its_past(wave, front_end), front_end)[..., -front_end.n_frames :]


def _after_its_past(wave: Waves, front_end: FrontEnd) -> Waves:
    return as_stream(wave, front_end) if len(wave) > front_end.window_samples else wave


def recording_features(
    blocks: Iterable[Waves], front_end: FrontEnd
) -> Iterator[NDArray[np.float32]]:
    """Yield the features `(n_mels, T)` of a recording, piece by piece, before normalisation."""
    if front_end.kind == MICROFRONTEND:
        stream = MicroFrontEnd()
        yield from (_scaled(stream.feed(to_int16(block))) for block in blocks)
        return
    running = RunningMean(front_end.decay)
    for levels in _mel_levels(blocks, front_end):
        yield normalised(levels, front_end, running)


def _mel_levels(blocks: Iterable[Waves], front_end: FrontEnd) -> Iterator[NDArray[np.float32]]:
    hop, overlap = front_end.hop_length, front_end.n_fft - front_end.hop_length
    piece = PIECE_FRAMES * hop
    rest = np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        while len(rest) >= piece + overlap:
            yield mel_levels(rest[: piece + overlap], front_end)
            rest = rest[piece:]
    count = max(0, (len(rest) - overlap) // hop)
    if count:
        yield mel_levels(rest[: count * hop + overlap], front_end)


def front_end_model(front_end: FrontEnd, normalization: Normalization) -> "onnx.ModelProto":
    """Return the graph `waveform` `(batch, window_samples)` → `features` `(batch, n_mels, T)`."""
    from edgekws.audio import front_end_graph, micro_front_end_graph

    if front_end.kind == MICROFRONTEND:
        return micro_front_end_graph.front_end_model(front_end)
    return front_end_graph.front_end_model(front_end, normalization)


def hop_front_end_model(front_end: FrontEnd, normalization: Normalization) -> "onnx.ModelProto":
    """Return the graph of a stream, whose window is a hop; one with a state has further inputs."""
    from edgekws.audio import front_end_graph, micro_front_end_graph

    if front_end.kind == MICROFRONTEND:
        return micro_front_end_graph.hop_front_end_model(front_end)
    return front_end_graph.hop_front_end_model(front_end, normalization)


def _scaled(integers: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.asarray(integers.T * SCALE, np.float32)
