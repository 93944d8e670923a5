"""Fields of every target: the settings of the latency harness."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from edgekws.core.fields import Fields
from edgekws.core.footprint import Footprint
from edgekws.errors import UsageError

Cpu = Annotated[int, Field(ge=0, lt=4096)]


class Harness(Fields):
    """One inference at a time, batch 1."""

    threads: int = Field(default=1, ge=1, le=1024, description="onnxruntime's intra-op threads")
    affinity: tuple[Cpu, ...] | None = Field(
        default=None, min_length=1, description="CPUs to bind the process to; default any"
    )
    warmup: int = Field(
        default=20, ge=1, le=100_000, description="untimed runs of each new session"
    )
    seconds: float = Field(
        default=2.0,
        gt=0,
        le=3600,
        description="measuring time; up to twice as much again while the control is not level",
    )
    processes: int = Field(
        default=6,
        ge=2,
        le=1000,
        description="separate processes that share the time; intervals are over them",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="of the random inputs, the order and the resampling of intervals",
    )

    @property
    def has_footprint(self) -> bool:
        """An operating system shares flash and RAM among programs: nothing is counted."""
        return False

    def footprint(self, bundle: Path) -> Footprint:
        """Refuse: see `has_footprint`.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{bundle}: flash, RAM and instructions are counted on a target cortex_m")

    def harness_settings(self) -> dict[str, Any]:
        """Return the fields of every target, as the harness takes them."""
        return {name: getattr(self, name) for name in Harness.model_fields}
