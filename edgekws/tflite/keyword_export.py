"""Networks of single keywords as TFLite files, compared with the scores of their bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.errors import UnsupportedError
from edgekws.lowering.stream_parity import StreamSession
from edgekws.runtime import detect
from edgekws.runtime.micro_front_end import HOP, SAMPLE_RATE, SCALE
from edgekws.tflite.esp_nn import scratch_bytes
from edgekws.tflite.graph import Graph
from edgekws.tflite.interpreter import Interpreter, arena_bytes
from edgekws.tflite.keyword import check, keyword_graph
from edgekws.tflite.reading import read
from edgekws.tflite.writing import write

FRAME_MS = 1000 * HOP / SAMPLE_RATE
Clips = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Model:
    """The file of a keyword, what ESPHome's manifest says of it, and how its scores differ.

    `arena` is what TFLM needs on this machine, and at most what ESP-NN takes beside it, in bytes.
    A run is a hop of a golden clip; `different` are those on one side of the cutoff with the score,
    and on the other with the softmax of the bundle.
    """

    content: bytes
    cutoff: float
    window: int
    arena: int
    runs: int
    different: int
    largest_difference: float


def export(
    model: onnx.ModelProto,
    labels: Sequence[str],
    settings: dict[str, Any],
    clips: Clips,
    description: str,
) -> dict[str, Model]:
    """Return the models of the keywords of a streaming network.

    `settings` are those of detection in a bundle's manifest, `clips` features `(n_mels, T)`.

    Raises:
        UnsupportedError: ESPHome cannot run the network, or there is no keyword.
    """
    graph = read(model)
    check(graph)
    hop_ms = settings["hop_frames"] * FRAME_MS
    window = max(1, round(settings["smoothing_ms"] / hop_ms))
    posteriors = _posteriors(model, clips)
    models = {}
    for keyword, threshold in settings["thresholds"].items():
        derived = keyword_graph(graph, labels.index(keyword))
        check(derived)
        content, cutoff = write(derived, description), min(float(threshold), 1.0)
        scores = _scores(derived, clips, settings["hop_frames"])
        expected = posteriors[:, labels.index(keyword)]
        models[keyword] = Model(
            content,
            cutoff,
            window,
            arena_bytes(content) + scratch_bytes(derived),
            len(scores),
            int(((scores > cutoff) != (expected > cutoff)).sum()),
            float(np.abs(scores - expected).max()),
        )
    if not models:
        raise UnsupportedError("the bundle has no keyword")
    return models


def quantized(features: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return features `(40, frames)` as input `(1, frames, 40)`, quantized as by ESPHome."""
    integers = np.rint(features.T[None] / SCALE).astype(np.int64)
    codes = (integers * 256 + 333) // 666 - 128
    bounded: NDArray[np.int8] = np.clip(codes, -128, 127).astype(np.int8)
    return bounded


def _hops(clip: NDArray[np.float32], hop: int) -> list[NDArray[np.float32]]:
    """Return a clip hop by hop, so that it ends with one."""
    whole = np.pad(clip, ((0, 0), (-clip.shape[1] % hop, 0)))
    return np.split(whole, whole.shape[1] // hop, axis=1)


def _posteriors(model: onnx.ModelProto, clips: Clips) -> NDArray[np.float64]:
    """Return the softmax `(runs, labels)` after each hop, each clip as a new stream."""
    session, logits = StreamSession(model), []
    for clip in clips:
        session.reset()
        logits += [session.feed(frames)[-1] for frames in _hops(clip, session.stream.hop_frames)]
    return detect.softmax(np.stack(logits))


def _scores(graph: Graph, clips: Clips, hop: int) -> NDArray[np.float64]:
    """Return the scores `(runs,)` after each hop."""
    scores = []
    for clip in clips:
        interpreter = Interpreter(graph)
        scores += [interpreter.run(quantized(frames)).item() / 256 for frames in _hops(clip, hop)]
    return np.array(scores)
