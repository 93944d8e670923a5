"""How a network with explicit state is fed, as its metadata tell it."""

from dataclasses import dataclass
from typing import Literal

import onnx
from pydantic import TypeAdapter

from edgekws.core.contract import Contract

KEY = "stream"
"""Of the entry in the metadata that tells how the graph is fed."""

Dtype = Literal["float32", "uint8", "int8"]


@dataclass(frozen=True)
class State:
    """Frames that one layer keeps: the tensor `output` is fed back as `input` with the next hop.

    `shape` is `(1, channels, 1, frames)` or `(1, channels, frames)`, of 8-bit frames of height 1
    `(1, 1, frames, channels)`; a stream begins with `fill` everywhere, which stands for 0.
    """

    input: str
    output: str
    shape: tuple[int, ...]
    dtype: Dtype
    fill: float


@dataclass(frozen=True)
class Stream:
    """How a streaming graph is fed.

    Input `features` `(1, n_mels, F)`, `F` a multiple of `hop_frames`; output `logits`
    `(F / hop_frames, n_labels)`, one decision a hop, each on the last `window_frames` frames.
    A decision counts once so many frames were fed.
    """

    hop_frames: int
    window_frames: int
    states: tuple[State, ...]

    def to_json(self) -> str:
        """Return what stands in the metadata under `stream`."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER = TypeAdapter(Stream)


def stream_of(model: onnx.ModelProto) -> Stream | None:
    """Return how a streaming graph is fed, `None` for any other model."""
    texts = [entry.value for entry in model.metadata_props if entry.key == KEY]
    return _ADAPTER.validate_json(texts[0]) if texts else None


def hop_s(model: onnx.ModelProto) -> float:
    """Return the seconds of audio from one decision of a streaming graph to the next."""
    stream = stream_of(model)
    assert stream is not None
    texts = [entry.value for entry in model.metadata_props if entry.key == "contract"]
    front_end = Contract.from_json(texts[0]).front_end
    return stream.hop_frames * front_end.hop_length / front_end.sample_rate


def of_one_hop(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a streaming graph whose input has the frames of one hop: what one decision costs."""
    stream = stream_of(model)
    assert stream is not None
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    frames = fixed.graph.input[0].type.tensor_type.shape.dim[-1]
    frames.dim_value = stream.hop_frames
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    return fixed
