"""Fields that every target has: how the harness measures, wherever it runs."""

from pydantic import Field

from edgekws.core.fields import Fields


class Harness(Fields):
    """One inference at a time, batch 1."""

    threads: int = Field(default=1, ge=1, description="onnxruntime's threads within an operator")
    affinity: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="CPUs that the process is bound to; default any"
    )
    warmup: int = Field(default=20, ge=1, description="untimed runs of each model, before the rest")
    seconds: float = Field(
        default=2.0,
        gt=0,
        description="of measuring; up to twice as much again while the control is not level",
    )
    processes: int = Field(
        default=6,
        ge=2,
        description="separate processes that share these seconds; intervals are over them",
    )
    seed: int = Field(
        default=0, description="of the random inputs, the order and the intervals' resampling"
    )
