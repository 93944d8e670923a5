"""What a member of each family has: the class of that name in every module of its package.

The types of recipes are made of these, so that mypy checks who uses a member; that every member
fits is checked by `tests/contracts/test_protocols.py`, with mypy and without.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

from pydantic import TypeAdapter

from edgekws.core.contract import Artifact, Format, Representation
from edgekws.core.corpus import Listing
from edgekws.core.events import Emit
from edgekws.core.family import MemberOf
from edgekws.core.job import Job, Output
from edgekws.core.latency_run import Files, LatencyRun
from edgekws.core.verified import Verified
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import nn


class Member(Protocol):
    """A pydantic model whose `kind` is the name of its module."""

    @property
    def kind(self) -> str:
        """The name in a recipe."""

    def model_dump(
        self, *, mode: str = ..., exclude: Any = ..., exclude_none: bool = ...
    ) -> dict[str, Any]:
        """Return the fields, as `pydantic.BaseModel.model_dump`."""

    def model_copy(self, *, update: Mapping[str, Any] | None = ...) -> Self:
        """Return a copy with other values, as `pydantic.BaseModel.model_copy`."""


class Backbone(Member, Protocol):
    """A family of networks."""

    @property
    def representation(self) -> Representation:
        """`2d`: samples are `(n_mels, T)`; `3d`: they are `(1, n_mels, T)`."""

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network with freshly drawn weights: features in, logits out."""


class Dataset(Member, Protocol):
    """A source of labelled clips."""

    def fingerprint(self) -> str:
        """Return a sha256 of all that decides what is listed, without reading audio."""

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits."""

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """List the clips, split by speaker."""


class Quantizer(Member, Protocol):
    """A backend of static INT8 quantization."""

    @property
    def takes(self) -> Format:
        """The form of the network that it quantizes."""

    def calibrations(self) -> tuple[str, ...]:
        """Return the names of the calibrations, the default first."""

    def quantize(self, network: Any, clips: "np.ndarray", calibration: str) -> "onnx.ModelProto":
        """Return an FP32 network as an ONNX QDQ model, calibrated on clips `(N, *input_shape)`."""

    def quantized(self, network: Any, clips: "np.ndarray", calibration: str) -> Any:
        """Return the same as a `QuantizedNetwork`, whose layers can be put back to FP32."""


class Target(Member, Protocol):
    """Where latency is measured."""

    @property
    def threads(self) -> int:
        """The threads within an operator."""

    @property
    def seconds(self) -> float:
        """How long to measure."""

    def fingerprint(self) -> dict[str, Any]:
        """Return all that a latency there depends on; `machine` and `isa` are in it."""

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        """Time models interleaved, against the one named `control`."""


class Exporter(Member, Protocol):
    """A form in which a bundle is given away."""

    def check_output(self, output: Path) -> None:
        """Refuse, before any work, an output that holds something that is not replaced."""

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the form of the verified bundle in `folder` under `scratch`; return where."""

    def prove(self, written: Path, folder: Path) -> Verified | None:
        """Check what was written against the bundle; return it verified where it is a bundle."""


class Step(Member, Protocol):
    """A link of the chain."""

    @property
    def name(self) -> str:
        """What other steps call it."""

    @property
    def budget(self) -> Mapping[str, float]:
        """The limits that this step must keep, by key: `max_params`."""

    @property
    def keeps(self) -> str:
        """`exact`, `quantized` or `retrained`: how the result is proven against the input."""

    @property
    def times_on_target(self) -> bool:
        """Whether it chooses by latency: its result is then keyed on the target and the host."""

    @property
    def takes(self) -> Format | None:
        """The format that it needs of the step before it; `None` if it starts anew."""

    @property
    def gives(self) -> Format:
        """The format of its result."""

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The names of earlier steps whose artifacts it also needs."""

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with what the target's instruction set decides filled in."""

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Do the work; `inputs` holds the named inputs, and `input` for the step before it."""


AnyBackbone = Annotated[Backbone, MemberOf("Backbone")]
AnyDataset = Annotated[Dataset, MemberOf("Dataset")]
AnyQuantizer = Annotated[Quantizer, MemberOf("Quantizer")]
AnyTarget = Annotated[Target, MemberOf("Target")]
AnyExporter = Annotated[Exporter, MemberOf("Exporter")]
AnyStep = Annotated[Step, MemberOf("Step")]

BACKBONE: TypeAdapter[Backbone] = TypeAdapter(AnyBackbone)
QUANTIZER: TypeAdapter[Quantizer] = TypeAdapter(AnyQuantizer)
TARGET: TypeAdapter[Target] = TypeAdapter(AnyTarget)
EXPORTER: TypeAdapter[Exporter] = TypeAdapter(AnyExporter)
STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)
