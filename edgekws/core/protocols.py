"""The protocol of each family: what the class of that name in every module of its package has.

The types of recipes are built from these protocols, so that mypy checks every use of a member;
`tests/contracts/test_protocols.py` checks that every member conforms, with mypy and at run time.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

from pydantic import TypeAdapter

from edgekws.core.contract import Artifact, Format, Representation
from edgekws.core.corpus import Listing, Split
from edgekws.core.events import Emit
from edgekws.core.family import MemberOf
from edgekws.core.footprint import Footprint
from edgekws.core.job import Job, Output
from edgekws.core.latency_run import Files, LatencyRun
from edgekws.core.speech import Accents, Cast, Speaker, Voice
from edgekws.core.verified import Verified
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import nn


class Member(Protocol):
    """A pydantic model; its `kind` is the name of its module."""

    @property
    def kind(self) -> str:
        """The name in a recipe."""

    def model_dump(
        self, *, mode: str = ..., exclude: Any = ..., exclude_none: bool = ...
    ) -> dict[str, Any]:
        """Return the fields, as `pydantic.BaseModel.model_dump`."""

    def model_copy(self, *, update: Mapping[str, Any] | None = ...) -> Self:
        """Return a copy with changed values, as `pydantic.BaseModel.model_copy`."""


class Backbone(Member, Protocol):
    """A family of networks."""

    @property
    def representation(self) -> Representation:
        """`2d`: samples are `(n_mels, T)`; `3d`: they are `(1, n_mels, T)`."""

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network with random weights: features in, logits out."""


class Dataset(Member, Protocol):
    """A source of labelled clips."""

    def fingerprint(self) -> str:
        """Return a sha256 of everything that determines the listing, without reading audio."""

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits."""

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """List the clips, split by speaker."""


class Quantizer(Member, Protocol):
    """A backend of static INT8 quantization."""

    @property
    def takes(self) -> Format:
        """The format of the network that it quantizes."""

    def calibrations(self) -> tuple[str, ...]:
        """Return the names of the calibrations, the default first."""

    def quantize(self, network: Any, clips: "np.ndarray", calibration: str) -> "onnx.ModelProto":
        """Convert an FP32 network to an ONNX QDQ model, calibrated on `(N, *input_shape)` clips."""

    def quantized(self, network: Any, clips: "np.ndarray", calibration: str) -> Any:
        """Return the same as a `QuantizedNetwork`, which can restore single layers to FP32."""


class Target(Member, Protocol):
    """Where latency is measured."""

    @property
    def threads(self) -> int:
        """The number of intra-op threads."""

    @property
    def seconds(self) -> float:
        """The measuring time."""

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that a latency there depends on, including `machine` and `isa`."""

    @property
    def has_footprint(self) -> bool:
        """Whether it runs bundles without an operating system: `footprint` then counts them."""

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        """Measure the latency of models, interleaved, against the one named `control`."""

    def footprint(self, bundle: Path) -> Footprint:
        """Return flash, RAM and instructions of the bundle's C; only if `has_footprint`."""


class Exporter(Member, Protocol):
    """A delivery format of a bundle."""

    def check_output(self, output: Path) -> None:
        """Reject, before any work, an output with content that must not be replaced."""

    def write(self, folder: Path, scratch: Path) -> Path:
        """Convert the verified bundle in `folder`; write it under `scratch` and return its path."""

    def prove(self, written: Path, folder: Path) -> Verified | None:
        """Check the written form against the bundle; return its verification if it is a bundle."""


class Step(Member, Protocol):
    """A step of the chain."""

    @property
    def name(self) -> str:
        """The name by which other steps refer to it."""

    @property
    def budget(self) -> Mapping[str, float]:
        """The limits of this step, by key: `max_params`."""

    @property
    def keeps(self) -> str:
        """`exact`, `quantized` or `retrained`: how the result is checked against the input."""

    @property
    def times_on_target(self) -> bool:
        """Whether it selects by latency: its cache key then includes the target and the host."""

    @property
    def listens(self) -> bool:
        """Whether it listens to the dev streams: its result is then keyed on them."""

    @property
    def takes(self) -> Format | None:
        """The format of the model that it needs; `None` if it needs none."""

    @property
    def also_takes(self) -> tuple[Format, ...]:
        """The formats beside the model that it also takes if earlier steps gave them."""

    @property
    def teacher_formats(self) -> tuple[Format, ...]:
        """The formats that its named inputs may have."""

    @property
    def gives(self) -> Format:
        """The format of its result."""

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The names of earlier steps that provide further inputs."""

    def fingerprint(self) -> str:
        """Return a hash of the files that it reads by its fields, empty if there are none."""

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with the defaults that depend on the target's instruction set."""

    def for_budget(self, budget: Mapping[str, float]) -> Self:
        """Return the step with what the recipe's budget decides filled in."""

    def run(self, inputs: Mapping[str, Artifact], job: Job) -> Output:
        """Run the step; `inputs` holds the named inputs, `input`, and by format those beside it."""


class Synthesizer(Member, Protocol):
    """An engine that speaks."""

    @property
    def share(self) -> float:
        """Its share of the clips, relative to the other engines of the recipe."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that it speaks in."""

    @property
    def follows(self) -> tuple[str, ...] | None:
        """The fields of `Manner` that change its speech, so that a clip can be cached.

        `None` if speech also depends on what the voice said before.
        """

    def describe(self) -> str:
        """Return its voices and languages on this machine, in a line.

        Raises:
            MissingPartError: it is not installed; the message has the command that installs it.
        """

    def fingerprint(self) -> str:
        """Return a sha256 of everything that its speech depends on.

        Raises:
            MissingPartError: it is not installed.
        """

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return its voices for the accents of a language.

        `probe` is a text on which voices may be tried, to leave out those that are useless.

        Raises:
            DataError: it has none.
            MissingPartError: it is not installed.
            UsageError: it runs a program, which was not allowed.
        """

    def speaker(self, voice: Voice) -> AbstractContextManager[Speaker]:
        """Return a voice that is ready to speak, in this process."""


AnyBackbone = Annotated[Backbone, MemberOf("Backbone")]
AnyDataset = Annotated[Dataset, MemberOf("Dataset")]
AnyQuantizer = Annotated[Quantizer, MemberOf("Quantizer")]
AnyTarget = Annotated[Target, MemberOf("Target")]
AnyExporter = Annotated[Exporter, MemberOf("Exporter")]
AnyStep = Annotated[Step, MemberOf("Step")]
AnySynthesizer = Annotated[Synthesizer, MemberOf("Synthesizer")]

BACKBONE: TypeAdapter[Backbone] = TypeAdapter(AnyBackbone)
QUANTIZER: TypeAdapter[Quantizer] = TypeAdapter(AnyQuantizer)
TARGET: TypeAdapter[Target] = TypeAdapter(AnyTarget)
EXPORTER: TypeAdapter[Exporter] = TypeAdapter(AnyExporter)
STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)
SYNTHESIZER: TypeAdapter[Synthesizer] = TypeAdapter(AnySynthesizer)
