"""One trained network in several runtimes, timed interleaved on this machine, one thread each.

    python tools/bench_peers.py dist/arabic-5 runs/arabic-5/latest/baseline/naive_fp32.onnx

The control is the plain FP32 export of the network that was trained, in onnxruntime, called as
anybody would. Against it stand:

    bundle            model.onnx of the bundle, in onnxruntime
    openvino-fp32     the plain export, in OpenVINO
    openvino-int8     the bundle's model, in OpenVINO (which reads its Q/DQ nodes)
    litert-fp32       the plain export, converted by litert-torch
    litert-int8       the same, quantized by ai-edge-quantizer (static, 8 bits) on the golden clips

The peers are an extra: pip install .[bench]. One that is missing or cannot take the network is
listed with the reason, and the rest is measured. Every call takes a numpy array and gives one. Time
is cut into epochs; in each, every runtime loads the model again, in random order, and is called in
rounds of short blocks; blocks that waited for a CPU are left out. Ratios are to the control, with
95 % intervals over the epochs: they hold within this process, and another run may differ by more.
The control is entered twice: where it is not level with itself, no ratio is to be believed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.runtime import latency

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Open = Callable[[], Infer]
Block = tuple[list[float], float]
"""Times of calls in µs, and the share of that time in which the process had a CPU."""

CONTROL, AGAIN = "naive", "naive again"
PACKAGES = ("onnxruntime", "openvino", "ai-edge-litert", "litert-torch", "ai-edge-quantizer")
ROUNDS, BLOCK_S, WARMUP = 8, 1e-3, 20
CONVERSION_LIMIT_S = 900


@dataclass(frozen=True)
class Row:
    """One runtime: median in µs, ratio to the control, and how its logits differ from it."""

    name: str
    p50_us: float
    ratio: float
    ratio_ci95: tuple[float, float]
    max_abs_diff: float
    agreement: float
    size_kib: float


def onnxruntime_form(path: Path) -> Open:
    """Return what opens an ONNX model in onnxruntime."""

    def open_() -> Infer:
        session = latency.open_session(str(path), 1)
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]

    return open_


def shaped(path: Path, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features `(N, n_mels, T)` as an ONNX model takes them, 3-D with an axis more."""
    axes = len(latency.open_session(str(path), 1).get_inputs()[0].shape)
    return features[:, None] if axes == 4 else features


def openvino_form(path: Path, shape: tuple[int, ...]) -> Open:
    """Return what opens an ONNX model in OpenVINO, on one thread of the CPU.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: it cannot take the model.
    """
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}

    def open_() -> Infer:
        model = core.read_model(str(path))
        model.reshape([1, *shape])
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda x: request.infer([x], share_inputs=True)[0]

    open_()
    return open_


def litert_form(path: Path) -> Open:
    """Return what opens a LiteRT model with XNNPACK, on one thread.

    Raises:
        ImportError: LiteRT is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter

    def open_() -> Infer:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        entry = interpreter.get_input_details()[0]["index"]
        result = interpreter.get_output_details()[0]["index"]

        def infer(x: NDArray[np.float32]) -> NDArray[np.float32]:
            interpreter.set_tensor(entry, x)
            interpreter.invoke()
            logits: NDArray[np.float32] = interpreter.get_tensor(result)
            return logits

        return infer

    return open_


def convert(naive: Path, features: NDArray[np.float32], folder: Path) -> str | None:
    """Write the LiteRT forms in a process of its own; return why that failed."""
    np.save(folder / "features.npy", features)
    script = Path(__file__).with_name("litert_convert.py")
    command = [sys.executable, *map(str, (script, naive, folder / "features.npy", folder))]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CONVERSION_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the converter did not end within {CONVERSION_LIMIT_S} s"
    lines = done.stderr.strip().splitlines() or [f"the converter died with {done.returncode}"]
    return lines[-1] if done.returncode else None


def golden_features(bundle: Path) -> NDArray[np.float32]:
    """Return the features `(N, n_mels, T)` of the bundle's golden clips."""
    import soundfile

    names = [row["file"] for row in json.loads((bundle / "golden/golden.json").read_text("utf-8"))]
    waves = [soundfile.read(bundle / "golden" / name, dtype="float32")[0] for name in names]
    front_end = latency.open_session(str(bundle / "frontend.onnx"), 1)
    entry = front_end.get_inputs()[0].name
    features: NDArray[np.float32] = front_end.run(None, {entry: np.stack(waves)})[0]
    return features


def peers(
    bundle: Path, naive: Path, features: NDArray[np.float32], folder: Path
) -> tuple[dict[str, tuple[Open, Path]], dict[str, str]]:
    """Return the runtimes that work here with their files, and why the others do not."""
    model = bundle / "model.onnx"
    found = {CONTROL: (onnxruntime_form(naive), naive), "bundle": (onnxruntime_form(model), model)}
    why_not = convert(naive, shaped(naive, features), folder)

    def openvino(path: Path) -> Open:
        return openvino_form(path, shaped(path, features).shape[1:])

    offers: dict[str, tuple[Path, Callable[[Path], Open]]] = {
        "openvino-fp32": (naive, openvino),
        "openvino-int8": (model, openvino),
        "litert-fp32": (folder / "fp32.tflite", litert_form),
        "litert-int8": (folder / "int8.tflite", litert_form),
    }
    missing: dict[str, str] = {}
    for name, (path, form) in offers.items():
        if not path.is_file():
            missing[name] = why_not or f"the converter wrote no {path.name}"
            continue
        try:
            found[name] = (form(path), path)
        except (ImportError, RuntimeError) as error:
            missing[name] = str(error).strip().splitlines()[0]
    return found, missing


def measure(
    forms: Mapping[str, Open], inputs: Mapping[str, NDArray[np.float32]], epochs: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the median call in µs of every form with its input in every epoch, `(epochs,)`."""
    rng = np.random.default_rng(seed)
    names = list(forms)
    medians: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(epochs):
        opened = {names[i]: forms[names[i]]() for i in rng.permutation(len(names))}
        runs = {name: _runs(infer, inputs[name]) for name, infer in opened.items()}
        blocks: dict[str, list[Block]] = {name: [] for name in names}
        for _ in range(ROUNDS):
            for i in rng.permutation(len(names)):
                name = names[i]
                blocks[name].append(_block(opened[name], inputs[name], runs[name]))
        for name in names:
            medians[name].append(_median(blocks[name]))
    return {name: np.array(values) for name, values in medians.items()}


def _runs(infer: Infer, x: NDArray[np.float32]) -> int:
    typical_s = float(np.median(_block(infer, x, WARMUP)[0])) * 1e-6
    return int(np.clip(np.ceil(BLOCK_S / typical_s), 2, 50))


def _median(blocks: list[Block]) -> float:
    """Return the median over the blocks that did not wait for a CPU; over all if all did."""
    quiet = [times for times, share in blocks if share >= latency.QUIET]
    return float(np.median([time for times in quiet or [t for t, _ in blocks] for time in times]))


def _block(infer: Infer, x: NDArray[np.float32], runs: int) -> Block:
    """Time calls after one that brings the model back into the caches."""
    clock, times = time.perf_counter_ns, []
    infer(x)
    began, cpu = clock(), time.process_time_ns()
    for _ in range(runs):
        start = clock()
        infer(x)
        times.append((clock() - start) * 1e-3)
    return times, (time.process_time_ns() - cpu) / (clock() - began)


def compare(
    found: Mapping[str, tuple[Open, Path]], features: NDArray[np.float32], epochs: int, seed: int
) -> list[Row]:
    """Return a row for every runtime, the control twice; `features` are `(N, n_mels, T)`."""
    forms = {name: form for name, (form, _) in found.items()}
    forms[AGAIN] = forms[CONTROL]
    files = {name: path for name, (_, path) in found.items()} | {AGAIN: found[CONTROL][1]}
    # LiteRT's forms are converted from the control and take what it takes
    onnx = {name: path if path.suffix == ".onnx" else files[AGAIN] for name, path in files.items()}
    inputs = {name: shaped(path, features) for name, path in onnx.items()}
    times = measure(forms, {name: x[:1] for name, x in inputs.items()}, epochs, seed)
    expected = _logits(forms[CONTROL], inputs[CONTROL])
    rows = []
    for name, form in forms.items():
        logits = _logits(form, inputs[name])
        ratio, ci95 = latency.paired_ratio(times[CONTROL], times[name])
        agreement = float((logits.argmax(1) == expected.argmax(1)).mean())
        difference = float(np.abs(logits - expected).max())
        size_kib = files[name].stat().st_size / 1024
        p50_us = float(np.median(times[name]))
        rows.append(Row(name, p50_us, ratio, ci95, difference, agreement, size_kib))
    return rows


def _logits(form: Open, features: NDArray[np.float32]) -> NDArray[np.float32]:
    infer = form()
    return np.concatenate([np.array(infer(one[None])) for one in features])


def installed() -> dict[str, str | None]:
    """Return the versions of the runtimes and converters."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def format_rows(rows: list[Row], missing: Mapping[str, str]) -> str:
    """Return the table for people."""
    lines = [
        f"{'runtime':<15}{'p50 µs':>8}  {'× plain':>7}  {'95 %':<16}{'KiB':>7}"
        f"  {'max |Δlogit|':>12}  same label"
    ]
    for row in rows:
        low, high = row.ratio_ci95
        lines.append(
            f"{row.name:<15}{row.p50_us:>8.1f}  {row.ratio:>7.3f}  {f'[{low:.3f}, {high:.3f}]':<16}"
            f"{row.size_kib:>7.1f}  {row.max_abs_diff:>12.2g}  {row.agreement:.0%}"
        )
    lines += [f"{name:<15}left out: {why}" for name, why in missing.items()]
    again = next(row for row in rows if row.name == AGAIN)
    if not latency.is_level(again.ratio_ci95):
        lines.append("the control is not level with itself: believe no ratio, close other programs")
    return "\n".join(lines)


def arguments(description: str | None) -> argparse.Namespace:
    """Return what the command line says: `bundle`, `naive`, `epochs`, `seed`, `json`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="folder of a bundle")
    parser.add_argument("naive", type=Path, help="baseline/naive_fp32.onnx of the run it came from")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    os.environ["OMP_NUM_THREADS"] = "1"
    features = golden_features(options.bundle)
    with tempfile.TemporaryDirectory(prefix="edgekws-peers-") as folder:
        found, missing = peers(options.bundle, options.naive, features, Path(folder))
        rows = compare(found, features, options.epochs, options.seed)
    if options.json:
        result: dict[str, Any] = {"rows": [asdict(row) for row in rows], "left_out": missing}
        result |= {"machine": latency.fingerprint(1), "versions": installed()}
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(format_rows(rows, missing))


if __name__ == "__main__":
    main()
