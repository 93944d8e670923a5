"""Fields that every target has: how the harness measures, wherever it runs."""

from typing import Annotated

from pydantic import Field

from edgekws.core.fields import Fields

Cpu = Annotated[int, Field(ge=0, lt=4096)]


class Harness(Fields):
    """One inference at a time, batch 1."""

    threads: int = Field(
        default=1, ge=1, le=1024, description="onnxruntime's threads within an operator"
    )
    affinity: tuple[Cpu, ...] | None = Field(
        default=None, min_length=1, description="CPUs that the process is bound to; default any"
    )
    warmup: int = Field(
        default=20, ge=1, le=100_000, description="untimed runs of each model, before the rest"
    )
    seconds: float = Field(
        default=2.0,
        gt=0,
        le=3600,
        description="of measuring; up to twice as much again while the control is not level",
    )
    processes: int = Field(
        default=6,
        ge=2,
        le=1000,
        description="separate processes that share these seconds; intervals are over them",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="of the random inputs, the order and the intervals' resampling",
    )
