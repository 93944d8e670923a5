"""The inputs and states of a streaming graph, as described in its metadata."""

from dataclasses import dataclass
from typing import Literal

import onnx
from pydantic import TypeAdapter

from edgekws.core.contract import Contract

KEY = "stream"
"""Key of the metadata entry that describes the inputs and states of the graph."""

Dtype = Literal["float32", "uint8", "int8"]


@dataclass(frozen=True)
class State:
    """The frames that a layer stores: `output` is fed back as `input` with the next hop.

    `shape` is `(1, channels, 1, frames)` or `(1, channels, frames)`, for 8-bit frames of height 1
    `(1, 1, frames, channels)`; a stream starts with `fill` everywhere, which represents 0.
    """

    input: str
    output: str
    shape: tuple[int, ...]
    dtype: Dtype
    fill: float


@dataclass(frozen=True)
class Stream:
    """The inputs, outputs and states of a streaming graph.

    Input `features` `(1, n_mels, F)`, `F` a multiple of `hop_frames`; output `logits`
    `(F / hop_frames, n_labels)`, one decision per hop on the last `window_frames` frames.
    Decisions are valid from the first complete window on.
    """

    hop_frames: int
    window_frames: int
    states: tuple[State, ...]

    def to_json(self) -> str:
        """Return the metadata entry `stream`."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER = TypeAdapter(Stream)


def stream_of(model: onnx.ModelProto) -> Stream | None:
    """Return the description of a streaming graph, `None` for any other model."""
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
    """Return a streaming graph with the input fixed to one hop, the cost of one decision."""
    stream = stream_of(model)
    assert stream is not None
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    frames = fixed.graph.input[0].type.tensor_type.shape.dim[-1]
    frames.dim_value = stream.hop_frames
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    return fixed
