"""The contract of a model: its input, its output and its front end."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, TypeAdapter

from edgekws.runtime.front_end import FrontEnd

Format = Literal["checkpoint", "onnx", "stream", "detection", "audio_teacher"]
BESIDE: tuple[Format, ...] = ("stream", "detection")
"""Formats that accompany the model of the chain, and do not replace it."""

Representation = Literal["2d", "3d"]

SILENCE = "_silence_"
UNKNOWN = "_unknown_"


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each mel band over the training clips, `(n_mels,)` each."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Contract:
    """Metadata stored with every artifact.

    `input_shape` is the shape of one sample of normalised log-mel: `(n_mels, T)` in the 2-D,
    `(1, n_mels, T)` in the 3-D representation. `architecture` is the recipe's backbone table,
    from which the torch network of a checkpoint is rebuilt.
    """

    front_end: Annotated[FrontEnd, PlainSerializer(FrontEnd.to_dict)]
    normalization: Normalization
    labels: tuple[str, ...]
    input_shape: tuple[int, ...]
    architecture: dict[str, Any]

    @property
    def representation(self) -> Representation:
        """`2d` or `3d`, derived from the input shape."""
        return "3d" if len(self.input_shape) == 3 else "2d"

    def to_json(self) -> str:
        """Return the contract as JSON."""
        return _ADAPTER.dump_json(self).decode()

    @staticmethod
    def from_json(text: str | bytes) -> "Contract":
        """Parse a contract.

        Raises:
            pydantic.ValidationError: `text` is not a contract.
        """
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(Contract)


@dataclass(frozen=True)
class Artifact:
    """A file and its sha256: a checkpoint (safetensors), an ONNX model, or one that lies beside it.

    A streaming graph is ONNX with explicit state; `detection` is JSON: thresholds and the other
    settings that turn scores into events. An `audio_teacher` is ONNX from a window of audio to
    logits, and its `input_shape` is `(samples,)`.
    """

    format: Format
    path: Path
    sha256: str
    contract: Contract
