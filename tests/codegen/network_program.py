"""A network in C as a program of its own: features in, logits out, on any CPU and sanitizer."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekws.codegen import arithmetic
from edgekws.codegen.ir import Network
from edgekws.codegen.memory_plan import plan
from edgekws.codegen.network import write_network
from edgekws.runtime.c import kernel_paths
from tests.codegen.compiling import WARNINGS

MAIN = """
#include <stdio.h>
#include "kws_network.h"

static uint8_t memory[KWS_NETWORK_MEMORY];

int main(void)
{
    kws_real logits[KWS_N_LABELS];
    kws_network_reset(memory);
    while (fread(kws_network_features(memory), KWS_N_MELS, KWS_FRAMES, stdin) == KWS_FRAMES) {
        kws_network_run(memory, logits);
        fwrite(logits, sizeof logits[0], KWS_N_LABELS, stdout);
        fwrite(memory, 1, KWS_NETWORK_MEMORY, stdout);
    }
    return 0;
}
"""


@dataclass(frozen=True)
class Build:
    """A compiler, its flags, and what runs the program; `needs` is a flag of /proc/cpuinfo."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    runner: tuple[str, ...] = ()
    needs: str = ""

    def skip_where_impossible(self) -> None:
        for program in (self.compiler, *self.runner[:1]):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
        if self.needs and self.needs not in Path("/proc/cpuinfo").read_text().split():
            pytest.skip(f"this machine's CPU has no {self.needs}")


_VNNI = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma")
_QEMU = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_NO_FPU = ("-DKWS_INTEGER", "-mgeneral-regs-only")
BUILDS = (
    Build("gcc-plain", "gcc", ("-O2", "-DKWS_PLAIN")),
    Build("gcc-sanitized", "gcc", ("-O1", "-DKWS_PLAIN", *_SANITIZERS)),
    Build("gcc-avx2", "gcc", ("-O3", "-mavx2", "-mfma"), needs="avx2"),
    Build("gcc-vnni", "gcc", ("-O3", *_VNNI), needs="avx512_vnni"),
    Build("clang-plain", "clang", ("-O2", "-DKWS_PLAIN", "-ffp-contract=fast")),
    Build("clang-avx2", "clang", ("-O2", "-mavx2", "-mfma"), needs="avx2"),
    Build("clang-vnni", "clang", ("-O2", *_VNNI), needs="avx512_vnni"),
    Build("clang-sanitized", "clang", ("-O1", "-mavx2", "-mfma", *_SANITIZERS), needs="avx2"),
    Build("gcc-integer", "gcc", ("-O2", "-DKWS_INTEGER")),
    Build("clang-integer", "clang", ("-O1", "-DKWS_INTEGER", *_SANITIZERS)),
    Build("gcc-narrow", "gcc", ("-O1", "-DKWS_NARROW", *_SANITIZERS)),
    Build("clang-narrow-integer", "clang", ("-O2", "-DKWS_NARROW", "-DKWS_INTEGER")),
    Build("aarch64-integer", "aarch64-linux-gnu-gcc", ("-O2", *_NO_FPU), _QEMU),
    Build("aarch64", "aarch64-linux-gnu-gcc", ("-O2", "-march=armv8.2-a+dotprod"), _QEMU),
    Build("aarch64-plain", "aarch64-linux-gnu-gcc", ("-O2", "-march=armv8-a"), _QEMU),
)


@dataclass(frozen=True)
class NetworkProgram:
    """A compiled network."""

    network: Network
    command: tuple[str, ...]

    def run(self, clips: Sequence[NDArray[np.float32]]) -> list[tuple[bytes, bytes]]:
        """Return logits and memory, as bytes, after each `(n_mels, frames)`, in turn."""
        scale, zero = self.network.input.scale, self.network.input.zero
        rows = (arithmetic.quantize(clip.T, scale, zero).tobytes() for clip in clips)
        done = subprocess.run(self.command, input=b"".join(rows), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        split = 4 * self.network.n_labels
        size = split + plan(self.network).size
        assert len(done.stdout) == size * len(clips)
        results = (done.stdout[start : start + size] for start in range(0, len(done.stdout), size))
        return [(result[:split], result[split:]) for result in results]


def build_program(network: Network, build: Build, folder: Path) -> NetworkProgram:
    """Compile a network; skips the test where the compiler or the CPU is missing."""
    build.skip_where_impossible()
    source = write_network(network, plan(network), "/* A test. */")
    files = {"kws_network.h": source.header, "kws_network.c": source.source, "main.c": MAIN}
    for name, text in files.items():
        (folder / name).write_text(text)
    for path in kernel_paths(source.files):
        shutil.copy(path, folder)
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [build.compiler, *WARNINGS, *build.flags, *sources, "-o", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if "libclang_rt" in done.stderr:
        pytest.skip("clang has no sanitizers here: libclang-rt-dev is not installed")
    assert done.returncode == 0, done.stderr
    return NetworkProgram(network, (*build.runner, str(folder / "program")))
