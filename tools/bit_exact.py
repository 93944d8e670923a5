"""Count where the C of random networks differs from onnxruntime, bit by bit.

    python tools/bit_exact.py --networks 200 --workers 2
    python tools/bit_exact.py --networks 200 --forms streaming
    python tools/bit_exact.py --networks 200 --windows 2 --builds "gcc, AVX2" aarch64

Draws a family, its fields, the size of the input and the weights of each network at random, gives
its BatchNorms statistics, quantizes it, and writes it as C: windowed and, where the network has
one, in its streaming form. Each is compiled in several builds, those for aarch64 run under qemu,
and run on random features, windows and hops, one at a time in both runtimes. A logit differs if any
of its 32 bits does. What is refused, because a layer has no form in C or the network no valid
shape, is drawn again and counted.
"""

import argparse
import json
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from edgekws.codegen import arithmetic, compiler, memory_plan, network, reading
from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import BACKBONE, QUANTIZER
from edgekws.errors import EdgekwsError, UnsupportedError
from edgekws.lowering.export import export_lowered
from edgekws.lowering.stream import streaming_form
from edgekws.lowering.stream_parity import StreamSession
from edgekws.runtime.c import NETWORK, NETWORK_HEADERS, kernel_paths
from edgekws.runtime.front_end import FrontEnd

Floats = NDArray[np.float32]

KERNELS = (3, 5, 7, 9, 11, 13)
BOTTLENECK: dict[str, tuple[Any, ...]] = {
    "channels": (5, 8, 12, 16, 24),
    "expansion": (1.5, 2.0, 2.75, 3.0),
    "blocks": (1, 2, 3),
    "kernel_size": KERNELS,
    "stem_kernel_size": (3, 5, 7),
    "stem_stride": (1, 2, 3),
    "head": (0, 10, 32),
    "padding": ("same", "valid", "valid", "valid"),
}
FAMILIES: dict[str, dict[str, tuple[Any, ...]]] = {
    "bcresnet": {"tau": (0.25, 0.5, 1.0)},
    "conv2d_stem": {**BOTTLENECK, "stem_channels": (3, 4, 8), "stem_blocks": (0, 1, 2)},
    "dscnn": {"channels": (8, 20, 32), "blocks": (1, 2, 4)},
    "inverted_bottleneck": {
        **BOTTLENECK,
        "patches": (None, {"bands": 8, "hop": 4, "channels": 8}, {"bands": 5, "hop": 5}),
    },
    "matchboxnet": {
        "blocks": (1, 2),
        "sub_blocks": (1, 2),
        "channels": (8, 12, 24),
        "outer_channels": (20, 32),
        "stem_stride": (1, 2),
    },
    "mel_spanning": BOTTLENECK,
    "mobilenet": {"width": (0.125, 0.25)},
    "mobilenet1d": {
        "variant": ("mobilenet1d", "simplemobilenet1d"),
        "representation": ("2d", "3d"),
    },
    "plain": {
        "variant": ("microcnn", "nanocnn", "tinycnn", "conv1dnet", "customnet"),
        "representation": ("2d", "3d"),
    },
    "resnet18": {"width": (0.125, 0.1875)},
    "sparknet": {"channels": (8, 16, 21), "gates": (8, 32), "stem_stride": (1, 2)},
    "tcresnet": {"layers": (8, 14), "width": (0.5, 1.0)},
    "tenet": {
        "channels": (8, 12, 16),
        "stages": (1, 2),
        "blocks": (1, 2),
        "squeeze": (0, 4),
        "head": (0, 16),
        "stem_stride": (1, 2),
    },
}
"""What is drawn for each family; other fields keep their defaults."""

STREAMING = ("inverted_bottleneck", "mel_spanning")
"""Families that may have a streaming form."""

TURNS = (*FAMILIES, *STREAMING)
"""Families in the order in which they are drawn; those with a streaming form come twice."""

FORMS = ("windowed", "streaming")

MOST_DRAWS = 100
"""Draws for one network."""


class Build(NamedTuple):
    """A compiler, its options, and what runs its programs where this CPU does not."""

    compiler: str
    flags: str
    emulator: str = ""


AARCH64 = "aarch64-linux-gnu-gcc"
BUILDS = {
    "gcc": Build("gcc", "-O2 -march=native"),
    "clang": Build("clang", "-O2 -march=native"),
    "gcc, AVX2": Build("gcc", "-O2 -march=x86-64-v3"),
    "clang, AVX2": Build("clang", "-O2 -march=x86-64-v3"),
    "gcc, plain C": Build("gcc", "-O2 -DKWS_PLAIN"),
    "gcc, integer": Build("gcc", "-O2 -DKWS_INTEGER"),
    "aarch64": Build(AARCH64, "-O2 -static", "qemu-aarch64"),
    "aarch64, dot product": Build(AARCH64, "-O2 -static -march=armv8.2-a+dotprod", "qemu-aarch64"),
}

PROGRAM = """
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
    }
    return 0;
}
"""


@dataclass
class Count:
    """Logits of windows and of hops that a build computed, and how many of them differ."""

    windows: int = 0
    windows_differing: int = 0
    hops: int = 0
    hops_differing: int = 0

    def add(self, other: "Count") -> None:
        """Add the numbers of another count."""
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)


@dataclass
class Result:
    """What came of one network: what was drawn, why others were refused, and the counts.

    `together` is how many hops onnxruntime computes otherwise where it gets all in one call.
    """

    drawn: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    builds: dict[str, Count] = field(default_factory=dict)
    together: int = 0


@dataclass(frozen=True)
class Case:
    """A quantized network, what was drawn for it, and its contract."""

    drawn: dict[str, Any]
    model: onnx.ModelProto
    contract: Contract


def features(shape: tuple[int, ...], n: int, random: np.random.Generator) -> Floats:
    """Return features `(n, *shape)` like log-mel: loudness over time, tilt, noise."""
    loudness = random.normal(size=(n, *[1] * (len(shape) - 1), shape[-1])).cumsum(-1) * 0.15
    tilt = random.normal(size=(n, *shape[:-1], 1))
    spread = random.choice([0.3, 0.5, 2.0], (n, *[1] * len(shape)))
    clips: Floats = (loudness + tilt + random.normal(size=(n, *shape)) * spread).astype(np.float32)
    return clips


def drawn(kind: str, seed: int) -> Case:
    """Return a random network of a family.

    Raises:
        EdgekwsError, ValueError, RuntimeError: what was drawn is not valid together.
    """
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    fields = {
        name: choices[random.integers(len(choices))] for name, choices in FAMILIES[kind].items()
    }
    n_mels, frames = int(random.choice([20, 32, 40])), int(random.integers(40, 110))
    n_labels = int(random.integers(2, 41))
    backbone = BACKBONE.validate_python({"kind": kind, **fields})
    shape = (1, n_mels, frames) if backbone.representation == "3d" else (n_mels, frames)
    body = settled(backbone.build(n_mels, n_labels), features(shape, 16, random))
    labels = tuple(f"word {number}" for number in range(n_labels))
    normalization = Normalization((0.0,) * n_mels, (1.0,) * n_mels)
    contract = Contract(FrontEnd(n_mels=n_mels), normalization, labels, shape, {})
    source = export_lowered(body, contract)
    quantizer = QUANTIZER.validate_python({"kind": "onnxruntime"})
    model = quantizer.quantize(source, features(shape, 16, random), "minmax")
    sizes = {"n_mels": n_mels, "frames": frames, "n_labels": n_labels, "seed": seed}
    return Case({"kind": kind, **fields, **sizes}, model, contract)


def settled(body: torch.nn.Module, clips: Floats) -> torch.nn.Module:
    """Give BatchNorms random scales and shifts, and the statistics of `clips`."""
    for module in body.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
            module.momentum = None
    with torch.no_grad():
        body.train()(torch.from_numpy(clips))
    return body.eval()


def kernels(build: str, folder: Path) -> None:
    """Compile the kernels of a build, which are the same for every network."""
    folder.mkdir()
    for path in kernel_paths((*NETWORK.values(), *NETWORK_HEADERS)):
        shutil.copy(path, folder)
    name, flags, _ = BUILDS[build]
    options = [*flags.split(), *compiler.EXACT]
    subprocess.run([name, *options, "-c", *sorted(NETWORK.values())], cwd=folder, check=True)


def run_c(build: str, source: network.NetworkSource, rows: bytes, folder: Path) -> bytes:
    """Return the logits of quantized features `(N, frames, n_mels)`, both as bytes."""
    name, flags, emulator = BUILDS[build]
    compiled = folder / build
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for file, text in (
            ("kws_network.h", source.header),
            ("kws_network.c", source.source),
            ("main.c", PROGRAM),
        ):
            Path(scratch, file).write_text(text)
        objects = map(str, sorted(compiled.glob("*.o")))
        options = [*flags.split(), *compiler.EXACT, "-I", str(compiled)]
        command = [name, *options, "main.c", "kws_network.c", *objects, "-o", "run", "-lm"]
        subprocess.run(command, cwd=scratch, check=True)
        run = [*emulator.split(), str(Path(scratch, "run"))]
        return subprocess.run(run, input=rows, capture_output=True, check=True).stdout


def expected(model: onnx.ModelProto, streaming: bool, clips: Floats) -> Floats:
    """Return the logits of onnxruntime at full optimization, `(N, n_labels)`, one by one."""
    if streaming:
        session = StreamSession(model)
        return np.concatenate([session.feed(hop) for hop in clips])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    network = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    axes = (None,) * (len(network.get_inputs()[0].shape) - 2)
    return np.stack([network.run(None, {"features": clip[axes]})[0][0] for clip in clips])


def differing_together(model: onnx.ModelProto, hops: Floats) -> int:
    """Return how many hops have other bits where onnxruntime gets all in one call."""
    one_by_one = expected(model, True, hops).view(np.uint32)
    together = StreamSession(model).feed(np.concatenate(list(hops), axis=1)).view(np.uint32)
    return int((one_by_one != together).any(axis=1).sum())


def compare(
    model: onnx.ModelProto, clips: Floats, streaming: bool, folder: Path, builds: Sequence[str]
) -> Iterator[tuple[str, int, int]]:
    """Yield each build with the number of outputs, and of those that differ.

    Raises:
        UnsupportedError: a layer has no form in C.
    """
    read = reading.read(model)
    source = network.write_network(read, memory_plan.plan(read), "")
    scale, zero = read.input.scale, read.input.zero
    rows = b"".join(arithmetic.quantize(clip.T, scale, zero).tobytes() for clip in clips)
    reference = expected(model, streaming, clips).view(np.uint32)
    for build in builds:
        logits = run_c(build, source, rows, folder)
        numbers = np.frombuffer(logits, np.uint32).reshape(reference.shape)
        yield build, len(numbers), int((numbers != reference).any(axis=1).sum())


def streamed(case: Case) -> onnx.ModelProto | None:
    """Return the streaming form of a network, if it has one."""
    try:
        return streaming_form(case.model, case.contract)
    except UnsupportedError:
        return None


def available() -> list[str]:
    """Return the builds whose compiler and emulator are installed."""
    return [
        name
        for name, build in BUILDS.items()
        if all(map(shutil.which, [build.compiler, *build.emulator.split()]))
    ]


def compared(
    case: Case,
    refused: list[str],
    n: int,
    folder: Path,
    builds: Sequence[str],
    forms: Sequence[str] = FORMS,
) -> Result:
    """Compare a network, and its streaming form if it has one, on `n` windows each.

    Raises:
        UnsupportedError: a layer has no form in C.
    """
    random = np.random.default_rng(case.drawn["seed"] + 1)
    clips = features(case.contract.input_shape[-2:], n, random)
    counts = {build: Count() for build in builds}
    if "windowed" in forms:
        for build, tried, differing in compare(case.model, clips, False, folder, builds):
            counts[build].add(Count(windows=tried, windows_differing=differing))
    stream = streamed(case) if "streaming" in forms else None
    if stream is None:
        return Result(case.drawn, refused, counts)
    hop = StreamSession(stream).stream.hop_frames
    joined = np.concatenate(list(clips), axis=1)
    hops = np.stack(np.split(joined[:, : joined.shape[1] // hop * hop], joined.shape[1] // hop, 1))
    for build, tried, differing in compare(stream, hops, True, folder, builds):
        counts[build].add(Count(hops=tried, hops_differing=differing))
    return Result(case.drawn, refused, counts, differing_together(stream, hops))


def attempt(
    number: int, seed: int, n: int, folder: Path, builds: Sequence[str], forms: Sequence[str]
) -> Result:
    """Return the comparison of network `number`, after those that were refused."""
    torch.set_num_threads(1)
    kind, refused = TURNS[number % len(TURNS)], list[str]()
    for draw in range(MOST_DRAWS):
        try:
            case = drawn(kind, (seed + number) * MOST_DRAWS + draw)
        except (EdgekwsError, ValueError, RuntimeError) as error:  # torch's are RuntimeErrors
            refused.append(f"{kind}: {_reason(error)}")
            continue
        try:
            return compared(case, refused, n, folder, builds, forms)
        except UnsupportedError as error:
            refused.append(f"{kind}: {_reason(error)}")
    raise RuntimeError(f"no valid network in {MOST_DRAWS} draws: {refused[-1]}")


def campaign(
    networks: int,
    n: int,
    seed: int,
    workers: int,
    kinds: Collection[str],
    builds: Sequence[str],
    forms: Sequence[str],
) -> list[Result]:
    """Draw networks, the families in turn, and compare those of `kinds`."""
    numbers = [number for number in range(networks) if TURNS[number % len(TURNS)] in kinds]
    with tempfile.TemporaryDirectory(prefix="edgekws-bit-exact-") as name:
        folder = Path(name)
        for build in builds:
            kernels(build, folder / build)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context) as pool:
            run = partial(attempt, seed=seed, n=n, folder=folder, builds=builds, forms=forms)
            return list(pool.map(run, numbers))


def summary(results: list[Result]) -> dict[str, Any]:
    """Return what the results amount to, as JSON."""
    builds = {build: Count() for build in results[0].builds}
    for result in results:
        for build, numbers in result.builds.items():
            builds[build].add(numbers)
    wrong = ("windows_differing", "hops_differing")
    return {
        "networks": len(results),
        "families": dict(sorted(Counter(result.drawn["kind"] for result in results).items())),
        "streaming": sum(any(n.hops for n in result.builds.values()) for result in results),
        "builds": {build: vars(numbers) for build, numbers in builds.items()},
        "hops_together_differing": sum(result.together for result in results),
        "differing": [
            {**result.drawn, "build": build, **vars(numbers)}
            for result in results
            for build, numbers in result.builds.items()
            if any(getattr(numbers, name) for name in wrong)
        ],
        "refused": dict(sorted(Counter(r for result in results for r in result.refused).items())),
    }


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:100]


def main() -> int:
    """Print the result; return 1 where anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=int, default=200, help="networks to draw")
    parser.add_argument(
        "--kinds", nargs="+", choices=FAMILIES, help="families; default: those that have the forms"
    )
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="default: both")
    parser.add_argument("--builds", nargs="+", choices=BUILDS, help="default: all that run here")
    parser.add_argument("--windows", type=int, default=10, help="windows of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    started = time.monotonic()
    builds = options.builds or available()
    kinds = options.kinds or (FAMILIES if "windowed" in options.forms else STREAMING)
    draw = (options.networks, options.windows, options.seed, options.workers)
    results = campaign(*draw, kinds, builds, options.forms)
    compilers = {BUILDS[build].compiler for build in builds}
    emulators = {BUILDS[build].emulator for build in builds} - {""}
    record = {
        "command": shlex.join(["python", *sys.argv]),
        **summary(results),
        "compilers": {name: compiler.required(name).version for name in sorted(compilers)},
        "emulators": {name: compiler.required(name).version for name in sorted(emulators)},
        "flags": {build: BUILDS[build].flags for build in builds},
        "onnxruntime": onnxruntime.__version__,
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(record, indent=1, ensure_ascii=False))
    return 1 if record["differing"] else 0


if __name__ == "__main__":
    sys.exit(main())
