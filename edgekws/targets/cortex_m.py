"""A Cortex-M microcontroller: the portable C, cross-compiled and run on an emulated board."""

import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edgekws.codegen import board
from edgekws.core.fields import Fields
from edgekws.core.footprint import Footprint
from edgekws.core.latency_run import Files, LatencyRun, ModelLatency, chain
from edgekws.errors import UnsupportedError, UsageError
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    from edgekws.codegen.board_footprint import Counts, Setup

Windows = NDArray[np.int16]

NOISE_WINDOWS = 3
"""Windows of noise on which models are counted that have no golden clips."""


class Target(Fields):
    """A Cortex-M CPU that an emulator stands for; it needs gcc-arm-none-eabi and qemu-system-arm.

    The C of `export --to c` is cross-compiled. Flash, RAM and instructions are measured; its
    network must have the bits of onnxruntime. Latency is an estimate, instructions / clock: caches,
    flash wait states and instructions of more than a cycle are not emulated.
    """

    kind: Literal["cortex_m"] = "cortex_m"
    cpu: Literal["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7"] = Field(
        default="cortex-m4", description="the CPU, as gcc names it"
    )
    fpu: bool | None = Field(
        default=None,
        description="whether it has a floating-point unit; without one, the integer build is "
        "taken; default: cortex-m4 and cortex-m7 have one",
    )
    clock_mhz: float = Field(
        default=100.0, gt=0, le=10_000, description="its clock, for estimates of latency"
    )
    optimization: Literal["s", "1", "2", "3"] = Field(
        default="2", description="gcc's level: s for size, 3 for speed"
    )

    @model_validator(mode="after")
    def _check_fpu(self) -> Self:
        if self.fpu and board.CPUS[self.cpu].fpu is None:
            raise ValueError(f"fpu = true: a {self.cpu} has no FPU; leave fpu out")
        return self

    @property
    def threads(self) -> int:
        """One: there is no operating system."""
        return 1

    @property
    def seconds(self) -> float:
        """None: nothing is timed."""
        return 0.0

    @property
    def has_footprint(self) -> bool:
        """`footprint` counts flash, RAM and instructions."""
        return True

    @property
    def floats(self) -> bool:
        """Whether the build with floating point is taken."""
        return board.CPUS[self.cpu].fpu is not None if self.fpu is None else self.fpu

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the options of gcc."""
        return (f"-O{self.optimization}", *board.CPUS[self.cpu].flags(self.cpu, self.floats))

    def fingerprint(self) -> dict[str, Any]:
        """Return what counts depend on: CPU, compiler, emulator and the fields.

        Raises:
            MissingPartError: compiler or emulator are not installed.
        """
        board.require()
        cpu = board.CPUS[self.cpu]
        fpu = "with FPU" if self.floats else "in integers"
        return {
            "cpu": f"{self.cpu} {fpu} at {self.clock_mhz:g} MHz, emulated",
            "machine": cpu.architecture,
            "isa": ["dsp"] if cpu.dsp else [],
            "compiler": board.version(board.GCC),
            "emulator": board.version(board.QEMU),
            "threads": self.threads,
            "target": self.model_dump(mode="json"),
        }

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        """Estimate latencies from instructions and clock; what has no form in C is left out.

        Raises:
            MissingPartError: compiler or emulator are not installed.
            MachineError: the compiler or the program fails; the message ends with its error.
        """
        fingerprint = self.fingerprint()
        chains = {name: chain(files) for name, files in models.items()}
        networks = {files[0]: files[1] for files in chains.values() if len(files) == 2}
        counted: dict[Path, Counts] = {}
        counts: dict[str, NDArray[np.int64]] = {}
        refused: dict[str, str] = {}
        for name, files in chains.items():
            try:
                counts[name] = self._count(files, networks, counted)
            except (UnsupportedError, UsageError) as error:
                refused[name] = f"no form in C: {error}"
        base = np.median(counts[control]) if control in counts else None
        return LatencyRun(
            models={name: self._latency(count, base) for name, count in counts.items()},
            control=control,
            level=True,
            control_ratio=1.0,
            control_ratio_ci95=(1.0, 1.0),
            attempts=1,
            fingerprint=fingerprint,
            refused=refused,
        )

    def _latency(self, counts: NDArray[np.int64], base: np.floating[Any] | None) -> ModelLatency:
        p50, p90, p99 = (float(p) for p in np.percentile(counts, (50, 90, 99)) / self.clock_mhz)
        ratio = float(np.median(counts) / base) if base else None
        form = (
            f"estimated: {np.median(counts):,.0f} instructions, one a cycle at "
            f"{self.clock_mhz:g} MHz; {board.version(board.GCC)}, -O{self.optimization}"
        )
        return ModelLatency(
            *(p50, p90, p99, (p50, p50), (p90, p90), (p99, p99), len(counts)),
            *(ratio, (ratio, ratio) if ratio else None),
            form=form,
        )

    def footprint(self, bundle: Path) -> Footprint:
        """Return what the C of a bundle takes and computes, proven on its golden clips.

        A bundle without golden clips is counted and proven on noise.

        Raises:
            UnsupportedError: a layer or a setting has no form in C; the message names it.
            ParityError: a bit of a logit differs from onnxruntime's.
            MissingPartError, MachineError: as `measure`.
        """
        from edgekws.codegen.board_footprint import footprint, read_bundle
        from edgekws.lowering import onnx_file

        board.require()
        model, contract = onnx_file.load(read_bundle(bundle))
        manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
        windows = golden_windows(bundle, contract.front_end)
        return footprint(self.setup, model, contract, manifest, windows)

    @property
    def setup(self) -> "Setup":
        """How its C is compiled, and the board that stands for it."""
        from edgekws.codegen.board_footprint import Setup

        return Setup(self.cpu, self.floats, self.flags, self.clock_mhz)

    def _count(
        self, files: tuple[Path, ...], networks: Mapping[Path, Path], counted: dict[Path, "Counts"]
    ) -> NDArray[np.int64]:
        """Return the instructions of a chain, or of a front end that another chain has."""
        from edgekws.codegen import reading
        from edgekws.codegen.board_footprint import count
        from edgekws.lowering import onnx_file

        path = networks.get(files[0], files[-1])
        if path not in counted:
            model, contract = onnx_file.load(path)
            noise = _noise(contract.front_end)
            counted[path] = count(self.setup, model, contract, reading.read(model), noise)
        counts = counted[path]
        if len(files) == 2:
            return counts.front_end + counts.network
        return counts.front_end if files[0] in networks else counts.network


def golden_windows(bundle: Path, front_end: FrontEnd) -> Windows:
    """Return the golden clips of a bundle `(n, window_samples)`, or noise if there are none."""
    clips = sorted((bundle / "golden").glob("*.wav"))
    if not clips:
        return _noise(front_end)
    return np.stack([_samples(clip) for clip in clips])


def _samples(clip: Path) -> Windows:
    with wave.open(str(clip), "rb") as file:
        samples: Windows = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples


def _noise(front_end: FrontEnd) -> Windows:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((NOISE_WINDOWS, front_end.window_samples)) * 3000
    return np.clip(noise, -32768, 32767).astype(np.int16)
