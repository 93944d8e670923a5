"""The reference of a network on a board: onnxruntime's logits of the same quantized features."""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.codegen import arithmetic
from edgekws.codegen.board_runs import Codes, NetworkRun
from edgekws.codegen.ir import Network
from edgekws.codegen.reference_cpu import difference_advice
from edgekws.errors import ParityError
from edgekws.lowering.stream_parity import StreamSession

Floats = NDArray[np.float32]


def require_equal(
    on_board: NetworkRun, model: onnx.ModelProto, read: Network, streams: Iterable[Codes], cpu: str
) -> int:
    """Compare the logits of a run with onnxruntime's, bit for bit; return how many inferences.

    Raises:
        ParityError: a bit of a logit differs.
    """
    expected = expected_logits(model, read, streams)
    if different := count_different(on_board, expected):
        raise ParityError(
            f"{different} of {len(expected)} inferences have other logits on a {cpu} than in "
            f"onnxruntime, from the same features; {difference_advice()}"
        )
    return len(expected)


def count_different(on_board: NetworkRun, expected: Floats) -> int:
    """Return of how many inferences a bit of a logit differs."""
    return int((on_board.logits != expected.view(np.uint32)).any(axis=1).sum())


def expected_logits(model: onnx.ModelProto, read: Network, streams: Iterable[Codes]) -> Floats:
    """Return the logits `(inferences, n_labels)` of streams as `board_runs.run_network` takes them.

    Features are the numbers that the codes stand for: quantized again, they are the same codes.
    """
    logits = _streamed if read.streaming else _windowed
    features = (arithmetic.dequantize(s, read.input.scale, read.input.zero) for s in streams)
    return np.ascontiguousarray(np.concatenate(list(logits(model, features))))


def _streamed(model: onnx.ModelProto, streams: Iterable[Floats]) -> Iterator[Floats]:
    session = StreamSession(model)
    for hops in streams:
        session.reset()
        yield session.feed(np.ascontiguousarray(hops.reshape(-1, hops.shape[-1]).T))


def _windowed(model: onnx.ModelProto, streams: Iterable[Floats]) -> Iterator[Floats]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    axes = (None,) * (len(session.get_inputs()[0].shape) - 2)
    for window in (window for windows in streams for window in windows):
        yield session.run(None, {"features": np.ascontiguousarray(window.T[axes])})[0]
