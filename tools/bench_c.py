"""The C of a bundle, in several builds, beside onnxruntime and LiteRT on this machine.

    python tools/bench_c.py dist/quickstart
    python tools/bench_c.py dist/quickstart --naive runs/quickstart/latest/baseline/naive_fp32.onnx

times, interleaved and on one thread, the windowed network, the front end of a window, both
(audio → label), and a hop of the streaming network, alone and behind its front end. The control of
each table is the bundle's own graph in onnxruntime, called with `session.run`; it is entered twice,
and where it is not level with itself, no ratio is to be believed. Ratios have 95 % intervals over
the epochs of this process, as in bench_peers.py.

Builds are those of gcc and clang: `native` takes what this CPU has, `avx2` no more than AVX2,
`plain` no option but -O3, `integer` has no floating point. C is called through ctypes, which is
part of its times; `call alone` is that part. --naive adds LiteRT with an INT8 form of the network,
quantized by ai-edge-quantizer (pip install .[bench]). Sizes are those of `size`, of the whole
spotter without main.c, compiled with -Os.
"""

import argparse
import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bench_peers
import numpy as np
from bench_peers import Infer, Open

from edgekws.codegen import compiler, timing
from edgekws.exporters.c import Exporter
from edgekws.runtime import detect, latency
from edgekws.runtime.c import FRONT_END, INTEGER_FRONT_END

CONTROL, AGAIN = "onnxruntime", "onnxruntime again"
BUILDS = {
    "native": ("-O3 -march=native", timing.FLOATS),
    "avx2": ("-O3 -march=x86-64-v3", timing.FLOATS),
    "plain": ("-O3", timing.FLOATS),
    "integer": ("-O3 -march=native", timing.INTEGERS),
}
COMPILERS = ("gcc", "clang")
SIZED = ("gcc", "clang", "aarch64-linux-gnu-gcc")
SIZED_BUILDS = {
    "float": ({*INTEGER_FRONT_END} - {*FRONT_END}, ()),
    "integer": ({*FRONT_END, "detector_seconds.c"} - {*INTEGER_FRONT_END}, ("-DKWS_INTEGER",)),
}
"""Files that a build leaves out, and its options."""

NOTHING = np.zeros(1, np.float32)
"""Given to what has its input already."""

Forms = dict[str, Open]


@dataclass(frozen=True)
class Row:
    """A runtime in one table: median in µs, ratio to the control and its 95 % interval."""

    what: str
    name: str
    p50_us: float
    ratio: float
    ratio_ci95: tuple[float, float]


def graph(path: Path) -> Open:
    """Return what opens a graph and calls it as anybody would, on noise."""

    def open_() -> Infer:
        session = latency.open_session(str(path), 1)
        feed = latency.random_feed(session, str(path), 0)
        return lambda _: session.run(None, feed)[0]

    return open_


def bound(path: Path) -> Open:
    """Return what opens a graph and calls it with arrays that are bound to it, on noise."""

    def open_() -> Infer:
        session = latency.open_session(str(path), 1)
        feed = latency.random_feed(session, str(path), 0)
        names = [node.name for node in session.get_outputs()]
        outputs = dict(zip(names, session.run(names, feed), strict=True))
        binding = detect.Binding(session, feed, outputs)

        def infer(_: Any) -> Any:
            binding.run()
            return outputs[names[0]]

        return infer

    return open_


def chain(front_end: Path, network: Path) -> Open:
    """Return what opens a front end and a network behind it."""

    def open_() -> Infer:
        first, second = (latency.open_session(str(path), 1) for path in (front_end, network))
        waveform = latency.random_feed(first, str(front_end), 0)
        feed = latency.random_feed(second, str(network), 0)
        axes = len(feed["features"].shape)

        def infer(_: Any) -> Any:
            features = first.run(None, waveform)[0]
            feed["features"] = features if features.ndim == axes else features[:, None]
            return second.run(None, feed)[0].argmax()

        return infer

    return open_


def library(path: Path) -> Open:
    """Return what loads a library of `codegen.timing`, on noise."""

    def open_() -> Infer:
        loaded = ctypes.CDLL(str(path))
        loaded.kws_timing_bytes.restype = ctypes.c_size_t
        memory = ctypes.create_string_buffer(loaded.kws_timing_bytes())
        loaded.kws_timing_begin(memory)
        run, reference = loaded.kws_timing_run, ctypes.byref(memory)
        run.argtypes, run.restype = (ctypes.c_void_p,), None
        return lambda _: run(reference)

    return open_


def call_alone(path: Path) -> Open:
    """Return what calls a function of a library that does nothing."""

    def open_() -> Infer:
        loaded = ctypes.CDLL(str(path))
        memory = ctypes.byref(ctypes.create_string_buffer(1))
        nothing = loaded.kws_timing_bytes
        nothing.argtypes, nothing.restype = (ctypes.c_void_p,), None
        return lambda _: nothing(memory)

    return open_


def compiled(model: Path, times: tuple[str, ...], folder: Path) -> Forms:
    """Return the builds of a model that have a form in C, by compiler and build."""
    forms, path = Forms(), Path()
    for name in filter(shutil.which, COMPILERS):
        for build, (flags, arithmetic) in BUILDS.items():
            path = folder / f"{model.stem}-{'-'.join(times).replace(' ', '-')}-{name}-{build}.so"
            chosen = compiler.required(name)
            timing.write_library(
                model, path, chosen, flags.split(), times=times, arithmetic=arithmetic
            )
            forms[f"{name} {build}"] = library(path)
    return forms | {"call alone": call_alone(path)} if forms else forms


def tables(bundle: Path, folder: Path) -> Iterator[tuple[str, Forms]]:
    """Yield what is timed, and the runtimes that do it, the control first."""
    model, stream = bundle / "model.onnx", bundle / "stream.onnx"
    front_end, hop = bundle / "frontend.onnx", bundle / "frontend_stream.onnx"
    network, both = ("network",), ("front end", "network")
    onnx = {CONTROL: graph(model), "onnxruntime, bound": bound(model)}
    yield "network", onnx | compiled(model, network, folder)
    yield "front end", {CONTROL: graph(front_end)} | compiled(model, ("front end",), folder)
    yield "audio → label", {CONTROL: chain(front_end, model)} | compiled(model, both, folder)
    if stream.is_file():
        onnx = {CONTROL: graph(stream), "onnxruntime, bound": bound(stream)}
        yield "hop", onnx | compiled(stream, network, folder)
        yield "hop with front end", {CONTROL: chain(hop, stream)} | compiled(stream, both, folder)


def compare(what: str, forms: Mapping[str, Open], epochs: int, seed: int) -> list[Row]:
    """Return a row for every runtime of a table, the control twice."""
    entered = {**forms, AGAIN: forms[CONTROL]}
    times = bench_peers.measure(entered, dict.fromkeys(entered, NOTHING), epochs, seed)
    ratios = {name: latency.paired_ratio(times[CONTROL], values) for name, values in times.items()}
    return [Row(what, n, float(np.median(times[n])), *ratio) for n, ratio in ratios.items()]


def litert(bundle: Path, naive: Path, folder: Path) -> tuple[Forms, str | None]:
    """Return LiteRT with an INT8 form of the network, or why there is none."""
    features = bench_peers.shaped(naive, bench_peers.golden_features(bundle))
    if why_not := bench_peers.convert(naive, features, folder):
        return {}, why_not

    def open_() -> Infer:
        infer = bench_peers.litert_form(folder / "int8.tflite")()
        return lambda _: infer(features[:1])

    return {"LiteRT INT8": open_}, None


def sizes(bundle: Path, folder: Path) -> list[dict[str, Any]]:
    """Return bytes of code, constants and variables of the spotter, by compiler and build."""
    written = Exporter().write(bundle, folder)
    (written / "main.c").unlink()
    rows = []
    for name in filter(shutil.which, SIZED):
        for build, (left_out, options) in SIZED_BUILDS.items():
            sources = sorted({path.name for path in written.glob("*.c")} - left_out)
            command = [name, "-Os", *compiler.EXACT, *options, "-c", *sources]
            subprocess.run(command, cwd=written, check=True)
            objects = [str(Path(source).with_suffix(".o")) for source in sources]
            table = subprocess.check_output(["size", "-t", *objects], cwd=written, text=True)
            text, data, variables = map(int, table.splitlines()[-1].split()[:3])
            numbers = {"text": text, "data": data, "bss": variables}
            rows.append({"compiler": name, "build": build, **numbers})
    return rows


def report(rows: list[Row], left_out: Mapping[str, str]) -> str:
    """Return the tables for people."""
    lines, what = list[str](), ""
    for row in rows:
        if row.what != what:
            what = row.what
            lines += ["", f"{what:<20}{'p50 µs':>9}  {'× control':>9}  95 %"]
        low, high = row.ratio_ci95
        lines.append(
            f"{row.name:<20}{row.p50_us:>9.2f}  {row.ratio:>9.3f}  [{low:.3f}, {high:.3f}]"
        )
        if row.name == AGAIN and not latency.is_level(row.ratio_ci95):
            lines.append("the control is not level with itself: believe no ratio of this table")
    return "\n".join([*lines, *(f"{name}: left out: {why}" for name, why in left_out.items())])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="folder of a bundle")
    parser.add_argument("--naive", type=Path, help="baseline/naive_fp32.onnx of its run")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows, left_out = list[Row](), dict[str, str]()
    with tempfile.TemporaryDirectory(prefix="edgekws-bench-c-") as name:
        folder = Path(name)
        forms = dict(tables(options.bundle, folder))
        if options.naive:
            peer, why_not = litert(options.bundle, options.naive, folder)
            forms["network"] |= peer
            left_out = {"LiteRT INT8": why_not} if why_not else {}
        before = os.getloadavg()[0]
        for what, table in forms.items():
            rows += compare(what, table, options.epochs, options.seed)
        load = [before, os.getloadavg()[0]]
        sized = sizes(options.bundle, folder)
    if options.json:
        result = {
            "command": shlex.join(["python", *sys.argv]),
            "rows": [asdict(row) for row in rows],
            "left_out": left_out,
            "sizes": sized,
            "load": load,
            "machine": latency.fingerprint(1),
            "versions": bench_peers.installed(),
            "compilers": [compiler.required(n).version for n in filter(shutil.which, COMPILERS)],
        }
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(report(rows, left_out))
        print(*(json.dumps(row) for row in sized), sep="\n")


if __name__ == "__main__":
    main()
