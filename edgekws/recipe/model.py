"""The typed recipe: the contents of a TOML file."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edgekws.audio.augmentation import Augment
from edgekws.audio.front_end_problems import problems
from edgekws.core.fields import Fields
from edgekws.core.kinds import closest
from edgekws.core.measurement import CONTINUOUS, METRICS, SHARES, Budget, Limit
from edgekws.core.protocols import STEP, AnyDataset, AnyStep, AnyTarget, Step
from edgekws.datasets.listing.continuous import Continuous
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd, Pcen


def located(problems: Sequence[tuple[str, str]]) -> PydanticCustomError:
    """Return one error that carries every `(key, message)` at its own key."""
    errors = [{"type": "located", "loc": (key,), "msg": message} for key, message in problems]
    return PydanticCustomError("member", "is not valid", {"errors": errors})


def slug_problem(name: str) -> str | None:
    """Return why `name` cannot be a folder name, `None` if it can.

    >>> slug_problem("arabic-5") is slug_problem("رئيسي") is slug_problem("रसोई") is None
    True
    >>> slug_problem("a/b")
    "'/' cannot be in a name; use letters, digits, '-', '_' and '.'"
    """
    for char in name:
        if unicodedata.category(char)[0] not in "LMN" and char not in "-_.":
            return f"{char!r} cannot be in a name; use letters, digits, '-', '_' and '.'"
    if not name or unicodedata.category(name[0])[0] not in "LN":
        return "a name begins with a letter or a digit"
    if len(name.encode()) > 100:
        return "a name has at most 100 bytes"
    return None


def _slug(name: str) -> str:
    message = slug_problem(name)
    if message:
        raise PydanticCustomError("slug", "{message}", {"message": message})
    return name


Slug = Annotated[str, AfterValidator(_slug)]
"""A name that a folder can have."""


LARGEST_LIMIT = 1e15


def budget_problems(budget: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return `(key, message)` for every invalid limit of a budget table."""
    known = tuple(f"{op}_{metric}" for metric in METRICS for op in ("max", "min"))
    wrong = [
        (key, f"{value:g} is always or never met: shares are between 0 and 1")
        for key, value in budget.items()
        if key.partition("_")[2] in SHARES
        and isinstance(value, int | float)
        and not 0 <= value <= 1
    ]
    wrong += [
        (key, f"{value:g} is below 0, where no measurement lies")
        for key, value in budget.items()
        if key.partition("_")[2] not in SHARES and isinstance(value, int | float) and value < 0
    ]
    wrong += [
        (key, f"is more than {LARGEST_LIMIT:g}, where no measurement lies")
        for key, value in budget.items()
        if isinstance(value, int | float) and value > LARGEST_LIMIT
    ]
    return wrong + [
        (key, f"not a limit; a limit is max_ or min_ and a metric{closest(key, known)}")
        for key in budget
        if key not in known
    ]


def limits(budget: Mapping[str, float]) -> Budget:
    """Return the limits of a budget table.

    Raises:
        ValueError: a key is not `max_` or `min_` and a metric.
    """
    return Budget(tuple(Limit.parse(key, value) for key, value in budget.items()))


def _known_limits(budget: dict[str, float]) -> dict[str, float]:
    wrong = budget_problems(budget)
    if wrong:
        raise located(wrong)
    return budget


BudgetTable = Annotated[dict[str, float], AfterValidator(_known_limits)]


def _named(steps: object) -> object:
    """Name every step without a name after its kind."""
    if not isinstance(steps, list | tuple):
        return steps
    return [_with_name(step) if isinstance(step, dict) else step for step in steps]


def _with_name(step: dict[str, Any]) -> dict[str, Any]:
    return {"name": step["kind"], **step} if "kind" in step else step


MAX_FRAMES = 6_000
"""Frames of the longest window: a minute at a hop of 10 ms."""


class PcenFields(Fields):
    """Per-channel energy normalization: Wang et al. 2017, with the paper's values."""

    seconds: float = Field(
        default=Pcen.seconds, gt=0, le=60, description="time constant of the mean, in seconds"
    )
    gain: float = Field(
        default=Pcen.gain, ge=0, le=1, description="exponent of the mean that divides a band"
    )
    bias: float = Field(default=Pcen.bias, gt=0, le=100, description="added before the root")
    root: float = Field(default=Pcen.root, gt=0, le=1, description="exponent of the compression")
    epsilon: float = Field(
        default=Pcen.epsilon,
        ge=1e-9,
        le=1,
        description="added to the mean; above digital silence, which would be amplified",
    )


class FrontEndFields(Fields):
    """Waveform → features, named as in torchaudio's `MelSpectrogram`.

    With `kind = "microfrontend"`, all but `window_s` have the values of that front end.
    """

    kind: Literal["log_mel", "microfrontend"] = Field(
        default="log_mel",
        description="log-mel, or the front end of TensorFlow Lite Micro, which ESPHome uses",
    )
    sample_rate: int = Field(
        default=16_000,
        ge=1_000,
        le=192_000,
        description="Hz; recordings of another rate are resampled",
    )
    window_s: float = Field(
        default=1.0, gt=0, le=60, description="length of the network's input, in seconds"
    )
    n_fft: int = Field(
        default=512, gt=0, le=16_384, description="length of the Fourier transform, in samples"
    )
    win_length: int = Field(
        default=480, gt=0, le=16_384, description="length of a frame, in samples"
    )
    hop_length: int = Field(
        default=160, gt=0, le=16_384, description="samples from one frame to the next"
    )
    n_mels: int = Field(default=40, gt=0, le=512, description="mel bands")
    f_min: float = Field(
        default=20.0, ge=0, le=96_000, description="lower end of the lowest mel band, in Hz"
    )
    f_max: float | None = Field(
        default=None,
        gt=0,
        le=96_000,
        description="upper end of the highest mel band, in Hz; half the sample rate by default",
    )
    mean: Literal["none", "clip", "running"] = Field(
        default="none",
        description="what is subtracted from each band: nothing, its mean over the window, or its "
        "running mean along the stream",
    )
    mean_seconds: float | None = Field(
        default=None,
        gt=0,
        le=60,
        description="time constant of the running mean, in seconds; "
        f"{FrontEnd.mean_seconds:g} by default",
    )
    compression: Literal["log", "pcen"] = Field(
        default="log", description="of the mel bands; pcen is per-channel energy normalization"
    )
    pcen: PcenFields | None = Field(
        default=None, description='its parameters, for compression = "pcen"'
    )

    @model_validator(mode="before")
    @classmethod
    def _fixed(cls, table: Any) -> Any:
        """Fill in the fixed parameters of the micro front end."""
        if isinstance(table, dict) and table.get("kind") == MICROFRONTEND:
            return {**MICRO_PARAMETERS, **table}
        return table

    def front_end(self) -> FrontEnd:
        """Return the parameters in the form that ships to a device."""
        values = self.model_dump(exclude_none=True, exclude={"pcen"})
        pcen = Pcen(**self.pcen.model_dump()) if self.pcen else Pcen()
        return FrontEnd(**{"f_max": self.sample_rate / 2, **values, "pcen": pcen})

    @model_serializer(mode="wrap")
    def _without_unused_options(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the options that have no effect."""
        unused = {"mean": "none", "mean_seconds": None, "compression": "log", "pcen": None}
        values: dict[str, Any] = handler(self)
        return {k: v for k, v in values.items() if k not in unused or v != unused[k]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = []
        if self.mean_seconds is not None and self.mean != "running":
            wrong.append(("mean_seconds", 'has no effect without mean = "running"; set it too'))
        if self.pcen is not None and self.compression != "pcen":
            wrong.append(("pcen", 'has no effect without compression = "pcen"; set it too'))
        if self.mean != "none" and self.compression == "pcen":
            text = 'PCEN follows the level of each band itself; use mean = "none"'
            wrong.append(("mean", text))
        if wrong:
            raise located(wrong)
        return self

    @model_validator(mode="after")
    def _physical(self) -> Self:
        front_end = self.front_end()
        wrong = problems(front_end)
        if wrong:
            raise located(wrong)
        if front_end.n_frames > MAX_FRAMES:
            text = f"{front_end.n_frames} frames in window_s; {MAX_FRAMES} at most: raise it"
            raise located([("hop_length", text)])
        return self


class Recipe(Fields):
    """One TOML file: the data, the front end, the target, the budget and the chain of steps."""

    schema_version: Literal[1] = Field(alias="schema", description="version of this format")
    name: Slug = Field(description="names runs/ and dist/ folders")
    seed: int = Field(default=0, ge=0, lt=2**32, description="all randomness comes from it")
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="for training; all cores by default"
    )
    device: Literal["cpu", "cuda"] | None = Field(
        default=None, description="for training; by default cuda if available, else cpu"
    )
    dataset: AnyDataset = Field(description="where the clips come from, and the words to spot")
    front_end: FrontEndFields = Field(default=FrontEndFields(), description="waveform to log-mel")
    continuous: Continuous = Field(
        default=Continuous(),
        description="training windows as they occur in continuous speech",
    )
    augment: Augment = Field(
        default={}, validate_default=True, description="what is done to the training clips"
    )
    target: AnyTarget = Field(
        default={"kind": "host"},
        validate_default=True,
        description="the CPU on which latency is measured, and how",
    )
    budget: BudgetTable = Field(default={}, description="judges the final model and the bundle")
    steps: Annotated[tuple[AnyStep, ...], BeforeValidator(_named)] = Field(
        min_length=1, description="the chain; each step takes what the one before it gives"
    )

    @property
    def listens(self) -> bool:
        """Whether it is evaluated in continuous speech, due to a limit or a step that needs it."""
        limited = any(limit.metric in CONTINUOUS for limit in self.limits.limits)
        return limited or any(step.listens for step in self.steps)

    @property
    def limits(self) -> Budget:
        """The limits that judge the final model and the bundle."""
        return limits(self.budget)


def parse_step(table: object) -> Step | None:
    """Return the step described by a table, `None` if the table is invalid."""
    if not isinstance(table, dict):
        return None
    try:
        return STEP.validate_python(_with_name(table))
    except ValidationError:
        return None
