"""Parity of a streaming graph: at every hop it gives the logits of the windowed network."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgekws.errors import ParityError
from edgekws.lowering import parity
from edgekws.lowering.stream_state import stream_of

INT8_AGREEMENT = 0.995
"""Share of decisions of an INT8 network that must keep their label."""

SEED = 0
"""Seed of the random lengths of the pieces of audio."""

MOST_HOPS = 40
"""Largest number of hops in a piece."""


class StreamSession:
    """A streaming graph in onnxruntime, on one thread, with its states."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Load the output of `streaming_form` and reset its states."""
        stream = stream_of(model)
        assert stream is not None
        self.stream = stream
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = ["logits", *(state.output for state in stream.states)]
        self._states: dict[str, NDArray[Any]] = {}
        self.reset()

    def reset(self) -> None:
        """Set the states to those at the start of a stream."""
        self._states = {
            state.input: np.full(state.shape, state.fill, state.dtype)
            for state in self.stream.states
        }

    def feed(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits `(F / hop_frames, n_labels)` of the next frames `(n_mels, F)`."""
        inputs = {"features": np.ascontiguousarray(features[None])} | self._states
        logits, *states = self._session.run(self._outputs, inputs)
        names = (state.input for state in self.stream.states)
        self._states = dict(zip(names, states, strict=True))
        result: NDArray[np.float32] = logits
        return result

    def feed_in_pieces(
        self, features: NDArray[np.float32], hops: Iterable[int]
    ) -> NDArray[np.float32]:
        """Return the logits of frames `(n_mels, F)`, fed in pieces of the given numbers of hops."""
        ends = np.cumsum(list(hops)) * self.stream.hop_frames
        pieces = np.split(features, ends[ends < features.shape[1]], axis=1)
        return np.concatenate([self.feed(piece) for piece in pieces])


def windows(features: NDArray[np.float32], frames: int, hop: int) -> NDArray[np.float32]:
    """Return the windows `(N, n_mels, frames)` of `(n_mels, F)` that end with a hop.

    The first one ends with the first hop that completes a window.
    """
    all_windows = np.lib.stride_tricks.sliding_window_view(features, frames, axis=1)
    first = -frames % hop
    return np.ascontiguousarray(all_windows[:, first::hop].swapaxes(0, 1))


def check(
    windowed: Path | onnx.ModelProto, streaming: onnx.ModelProto, golden: NDArray[np.float32]
) -> dict[str, float]:
    """Compare a streaming graph with its windowed network on real clips `(N, n_mels, T)`.

    Each clip is fed after a reset, and then all of them in a row, in pieces of random length;
    compares every decision with a complete window.

    Returns `decisions`, `max_abs_diff` (logits) and `label_agreement`.

    Raises:
        ParityError: FP32 logits differ by more than `parity.TOLERANCE`, or less than
            `INT8_AGREEMENT` of an INT8 network's decisions have the same label.
    """
    session = StreamSession(streaming)
    single = np.stack([_last_logits(session, clip) for clip in golden])
    joined = np.concatenate(list(golden), axis=1)
    hop, frames = session.stream.hop_frames, session.stream.window_frames
    joined = joined[:, : joined.shape[1] // hop * hop]
    session.reset()
    pieces = np.random.default_rng(SEED).integers(1, MOST_HOPS, joined.shape[1] // hop)
    streamed = session.feed_in_pieces(joined, pieces)[-(-frames // hop) - 1 :]
    expected = np.concatenate(
        [parity.logits(windowed, golden), parity.logits(windowed, windows(joined, frames, hop))]
    )
    return _compare(expected, np.concatenate([single, streamed]), is_quantized(streaming))


def is_quantized(model: onnx.ModelProto) -> bool:
    """Return whether any tensor of the graph is in 8 bits."""
    return any(node.op_type == "DequantizeLinear" for node in model.graph.node)


def _last_logits(session: StreamSession, clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits `(n_labels,)` at the end of a clip, aligned with the end of a hop."""
    session.reset()
    missing = -clip.shape[1] % session.stream.hop_frames
    padded: NDArray[np.float32] = np.pad(clip, ((0, 0), (missing, 0)))
    last: NDArray[np.float32] = session.feed(padded)[-1]
    return last


def _compare(
    expected: NDArray[np.float32], streamed: NDArray[np.float32], quantized: bool
) -> dict[str, float]:
    what = "the streaming form"
    tolerance = np.inf if quantized else parity.TOLERANCE
    worst = parity.check(expected, streamed, tolerance, what)
    agreement = float((expected.argmax(axis=1) == streamed.argmax(axis=1)).mean())
    if quantized and not agreement >= INT8_AGREEMENT:
        raise ParityError(
            f"{what}: only {agreement:.1%} of {len(expected)} decisions have the label of the "
            f"windowed network, expected at least {INT8_AGREEMENT:.1%}; please report this"
        )
    return {"decisions": len(expected), "max_abs_diff": worst, "label_agreement": agreement}
