"""One second of audio → features, and → label: the forms of the front end, timed interleaved.

    python tools/bench_front_end.py dist/arabic-5 runs/arabic-5/latest/baseline/naive_fp32.onnx

The control is the front end in numpy, with the real FFT. Against it stand:

    graph            frontend.onnx of the bundle
    Conv1d DFT       the usual ONNX form: every bin's cosine and sine as a kernel of a Conv1d
    numpy, naive     the control, then the plain FP32 export: what a user has without a toolchain
    bundle           frontend.onnx, then model.onnx
    one graph        both in the file that `edgekws export --to waveform` writes

All take the same second of the bundle's golden clips, on one thread; time is cut into epochs as in
bench_peers.py, and the control is entered twice. End to end the forms are also held against
`numpy, naive`.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
from bench_peers import Infer, Open, arguments, measure
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekws.bundle.export import export
from edgekws.core.contract import Contract
from edgekws.core.protocols import EXPORTER
from edgekws.runtime import latency
from edgekws.runtime.front_end import LOG_FLOOR, analysis_window, log_mel, mel_filterbank

CONTROL, AGAIN, BY_HAND = "numpy rfft", "numpy rfft again", "numpy, naive"
END_TO_END = (BY_HAND, "bundle", "one graph")
TOLERANCE = 1e-2
"""Of features that are compared: a float32 DFT is off by 1e-3 beside a loud vowel."""


@dataclass(frozen=True)
class Row:
    """A form: median in µs, and its ratio to a control with the 95 % interval."""

    name: str
    against: str
    p50_us: float
    ratio: float
    ratio_ci95: tuple[float, float]


def dft_model(contract: Contract) -> onnx.ModelProto:
    """Return `waveform` `(1, samples)` → features `(1, n_mels, T)`, all bins as Conv1d kernels."""
    front_end = contract.front_end
    mean, scale = _statistics(contract)
    angles = np.outer(np.arange(front_end.n_fft // 2 + 1), np.arange(front_end.n_fft))
    waves = np.exp(-2j * np.pi * angles / front_end.n_fft) * analysis_window(front_end)
    kernels = np.concatenate([waves.real, waves.imag])[:, None]  # (2 * bins, 1, n_fft)
    constants: dict[str, NDArray[Any]] = {
        "kernels": kernels.astype(np.float32),
        "bank": mel_filterbank(front_end).astype(np.float32),
        "floor": np.array(LOG_FLOOR, np.float32),
        "axis": np.array([1]),
        "mean": mean,
        "scale": scale,
    }
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "axis"], ["samples"]),
        helper.make_node(
            "Conv", ["samples", "kernels"], ["spectrum"], strides=[front_end.hop_length]
        ),
        helper.make_node("Split", ["spectrum"], ["real", "imaginary"], axis=1, num_outputs=2),
        helper.make_node("Mul", ["real", "real"], ["real2"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["imaginary2"]),
        helper.make_node("Add", ["real2", "imaginary2"], ["power"]),
        helper.make_node("MatMul", ["bank", "power"], ["mel"]),
        helper.make_node("Add", ["mel", "floor"], ["floored"]),
        helper.make_node("Log", ["floored"], ["log_mel"]),
        helper.make_node("Sub", ["log_mel", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["features"]),
    ]
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "front_end",
        [helper.make_tensor_value_info("waveform", float32, [1, front_end.window_samples])],
        [helper.make_tensor_value_info("features", float32, [1, front_end.n_mels, None])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _statistics(contract: Contract) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what is taken from every band and what it is multiplied by, `(n_mels, 1)` each."""
    mean = np.array(contract.normalization.mean, np.float32)[:, None]
    std = np.array(contract.normalization.std, np.float32)[:, None]
    return mean, np.float32(1) / std


def _numpy(contract: Contract) -> Infer:
    mean, scale = _statistics(contract)
    return lambda wave: (log_mel(wave, contract.front_end) - mean) * scale


def _session(path: Path) -> Infer:
    session = latency.open_session(str(path), 1)
    entry = session.get_inputs()[0]
    axes = len(entry.shape)

    def infer(x: NDArray[np.float32]) -> NDArray[np.float32]:
        x = x[:, None] if x.ndim < axes else x  # (1, n_mels, T) → (1, 1, n_mels, T)
        result: NDArray[np.float32] = session.run(None, {entry.name: x})[0]
        return result

    return infer


def _then(first: Infer, second: Infer) -> Infer:
    return lambda wave: second(first(wave))


def forms(bundle: Path, naive: Path, folder: Path) -> dict[str, Open]:
    """Return what opens every form; files that are made lie in `folder`."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    contract = Contract.from_json(json.dumps(manifest["contract"]))
    dft, whole = folder / "dft.onnx", folder / "whole.onnx"
    onnx.save(dft_model(contract), dft)
    export(bundle, EXPORTER.validate_python({"kind": "waveform"}), whole)
    graph, model = bundle / "frontend.onnx", bundle / "model.onnx"
    return {
        CONTROL: lambda: _numpy(contract),
        AGAIN: lambda: _numpy(contract),
        "graph": lambda: _session(graph),
        "Conv1d DFT": lambda: _session(dft),
        BY_HAND: lambda: _then(_numpy(contract), _session(naive)),
        "bundle": lambda: _then(_session(graph), _session(model)),
        "one graph": lambda: _session(whole),
    }


def check(opened: dict[str, Open], wave: NDArray[np.float32]) -> None:
    """Raise a `SystemExit` where a form of the front end gives other features than the control."""
    expected = opened[CONTROL]()(wave)
    for name in ("graph", "Conv1d DFT"):
        difference = float(np.abs(opened[name]()(wave) - expected).max())
        if difference > TOLERANCE:
            raise SystemExit(f"{name}: features differ from numpy's by {difference:.2g}")


def rows(times: dict[str, NDArray[np.float64]]) -> list[Row]:
    """Return every form against the control, the graph against Conv1d, and end to end by hand."""
    pairs = [(name, CONTROL) for name in times if name not in END_TO_END]
    pairs += [("graph", "Conv1d DFT"), *((name, BY_HAND) for name in END_TO_END)]
    found = []
    for name, against in pairs:
        ratio, ci95 = latency.paired_ratio(times[against], times[name])
        found.append(Row(name, against, float(np.median(times[name])), ratio, ci95))
    return found


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    os.environ["OMP_NUM_THREADS"] = "1"
    clip = sorted((options.bundle / "golden").glob("*.wav"))[0]
    wave = soundfile.read(clip, dtype="float32")[0][None]
    with tempfile.TemporaryDirectory(prefix="edgekws-front-end-") as folder:
        opened = forms(options.bundle, options.naive, Path(folder))
        check(opened, wave)
        times = measure(opened, dict.fromkeys(opened, wave), options.epochs, options.seed)
        found = rows(times)
    if options.json:
        result: dict[str, Any] = {"rows": [asdict(row) for row in found]}
        print(json.dumps(result | {"machine": latency.fingerprint(1)}, ensure_ascii=False))
        return
    print(f"{'form':<18}{'p50 µs':>8}  {'ratio':>6}  {'95 %':<16}  to")
    for row in found:
        low, high = row.ratio_ci95
        interval = f"[{low:.3f}, {high:.3f}]"
        print(f"{row.name:<18}{row.p50_us:>8.1f}  {row.ratio:>6.3f}  {interval:<16}  {row.against}")


if __name__ == "__main__":
    main()
