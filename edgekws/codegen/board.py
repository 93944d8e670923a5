"""Cortex-M boards: the cross compiler and the emulator."""

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgekws.codegen.compiler import EXACT, first_error
from edgekws.errors import MachineError, MissingPartError

GCC, SIZE, QEMU = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"

INSTALL = "install them, on Debian with: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"
INSTALL += " qemu-system-arm"

INSTRUCTIONS_PER_TICK = 40
"""SysTick counts at 25 MHz on the emulated boards, where an instruction takes 1 ns."""

LIMIT_S = 600.0
"""Longest emulation."""


@dataclass(frozen=True)
class Cpu:
    """A CPU: its instruction set, its FPU as gcc calls it if it may have one, and qemu's board.

    The emulator has no board with a Cortex-M0+: its code runs on a Cortex-M3, whose instructions
    include those of an M0+.
    """

    architecture: str
    board: str
    fpu: str | None = None
    dsp: bool = False

    def flags(self, name: str, fpu: bool) -> tuple[str, ...]:
        """Return gcc's options for the CPU `name`, with floating point or the integer build."""
        common = (f"-mcpu={name}", "-mthumb")
        if fpu:
            return (*common, "-mfloat-abi=hard", f"-mfpu={self.fpu}")
        return (*common, "-mfloat-abi=soft", "-DKWS_INTEGER")


CPUS: Mapping[str, Cpu] = {
    "cortex-m0plus": Cpu("armv6s-m", "mps2-an385"),
    "cortex-m3": Cpu("armv7-m", "mps2-an385"),
    "cortex-m4": Cpu("armv7e-m", "mps2-an386", "fpv4-sp-d16", dsp=True),
    "cortex-m7": Cpu("armv7e-m", "mps2-an500", "fpv5-sp-d16", dsp=True),
}


@dataclass(frozen=True)
class Program:
    """A linked program: bytes of flash, and of RAM without the stack."""

    path: Path
    flash: int
    static_ram: int


def missing() -> tuple[str, ...]:
    """Return what is not installed: programs, and the C library of the compiler."""
    programs = tuple(program for program in (GCC, SIZE, QEMU) if shutil.which(program) is None)
    return programs if GCC in programs or _has_library() else (*programs, "newlib")


def _has_library() -> bool:
    command = [GCC, "-print-file-name=nano.specs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()).is_absolute()


def require() -> None:
    """Check that compiler and emulator are installed.

    Raises:
        MissingPartError: one is not; the message has the command that installs them.
    """
    if names := missing():
        raise MissingPartError(f"there is no {', '.join(names)} here; {INSTALL}")


@cache
def version(program: str) -> str:
    """Return the first line of `--version`."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [program])[0]


def link(folder: Path, flags: Sequence[str], output: Path) -> Program:
    """Compile all `.c` files in `folder` with its `board.ld`, and link what is used of them.

    Raises:
        MachineError: the compiler fails; the message ends with its first error.
    """
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [
        *(GCC, *flags, *EXACT, "-ffunction-sections", "-fdata-sections", "-I."),
        *("--specs=nano.specs", "--specs=nosys.specs", "-nostartfiles"),
        *("-Wl,--gc-sections", "-Wl,-T,board.ld", *sources, "-o", str(output), "-lm"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        error = first_error(done)
        raise MachineError(f"{GCC} {shlex.join(flags)} does not compile the C: {error}")
    table = subprocess.run([SIZE, output], capture_output=True, text=True, check=True).stdout
    text, data, bss = (int(field) for field in table.splitlines()[1].split()[:3])
    return Program(output, text + data, data + bss)


def run(program: Program, machine: str, given: bytes, scratch: Path) -> bytes:
    """Run a program on an emulated board; return what it writes.

    `given` is what it reads. Instructions are counted one by one (`-icount`), so that a run always
    gives the same figures.

    Raises:
        MachineError: the program faults, or does not end.
    """
    (scratch / "input").write_bytes(given)
    command = [
        *(QEMU, "-M", machine, "-nographic", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native", "-icount", "shift=0"),
        *("-kernel", str(program.path)),
    ]
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{QEMU} -M {machine}: not finished after {LIMIT_S:g} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise MachineError(f"the program failed on {QEMU} -M {machine}: {last}")
    return (scratch / "output").read_bytes()
