"""A pre-trained network that maps audio to vectors."""

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Embedding:
    """An ONNX graph from one window of audio to a vector.

    `model` is the serialized graph: input `audio` `(1, samples)` float32 in [-1, 1] at
    `sample_rate`, output `vectors` `(1, size)` float32.
    """

    model: bytes
    sample_rate: int
    samples: int
    size: int

    @cached_property
    def sha256(self) -> str:
        """The identity of the graph, from which cached vectors are found."""
        return hashlib.sha256(self.model).hexdigest()
