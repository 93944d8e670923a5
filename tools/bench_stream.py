"""What continuous detection costs: CPU time per second of audio, beside a control.

    python tools/bench_stream.py [BUNDLE] [--wav speech.wav] [--repeats 200] [--hour]
        [--output docs/results/streaming.json]

The control recomputes the last second every 100 ms with the windowed bundle. The floor is a call of
the front end and one of the network for each hop, without any other work. All cases take turns
on the same second of audio; what is printed are low quantiles of the process's CPU time, because
other load on a machine slows its caches and its clock down, never up. Without a bundle a network
with untrained weights is taken, in INT8; without a WAV file the audio is noise whose loudness
moves. `--hour` feeds an hour in pieces of 20 ms and prints the resident memory on its way.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle import pack
from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import QUANTIZER
from edgekws.lowering import checkpoint, onnx_file
from edgekws.lowering.export import export_lowered
from edgekws.lowering.simplify import simplify
from edgekws.lowering.stream import streaming_form
from edgekws.runtime import latency
from edgekws.runtime.detect import Classifier, Detector, StreamingNetwork, model_file, read_wav
from edgekws.runtime.front_end import FrontEnd

Audio = NDArray[np.float32]

PIECES_S = (0.02, 0.1, 0.5, 1.0)
CONTROL_S = 0.1
FLOOR = "floor: both graphs, hop by hop"
CONTROL = f"control: the last window every {1000 * CONTROL_S:g} ms"


def untrained_bundle(folder: Path) -> Path:
    """Pack the 2-D form of `mel_spanning`, quantized, with its streaming form."""
    n_mels, front_end = 40, FrontEnd()
    labels = (*(f"word {n}" for n in range(5)), "_unknown_", "_silence_")
    normalization = Normalization((-6.0,) * n_mels, (3.0,) * n_mels)
    architecture = {"kind": "inverted_bottleneck", "padding": "valid"}
    shape = (n_mels, front_end.n_frames)
    contract = Contract(front_end, normalization, labels, shape, architecture)
    clips = np.random.default_rng(0).standard_normal((16, *shape)).astype(np.float32)
    network = export_lowered(checkpoint.untrained(contract), contract)
    quantizer = QUANTIZER.validate_python({"kind": "onnxruntime"})
    quantized = quantizer.quantize(network, clips, "minmax")
    onnx_file.save(quantized, contract, folder / "quantized.onnx")
    simplify(folder / "quantized.onnx", folder / "model.onnx", clips)
    model, contract = onnx_file.load(folder / "model.onnx")
    onnx_file.save(streaming_form(model, contract), contract, folder / "stream.onnx")
    bundle = folder / "bundle"
    bundle.mkdir()
    golden = np.zeros((1, front_end.window_samples), np.int16)
    paths = folder / "model.onnx", folder / "stream.onnx"
    pack.pack(bundle, paths[0], contract, golden, {}, paths[1])
    pack.seal(bundle, "# untrained\n")
    return bundle


def noise(seconds: int, sample_rate: int, seed: int = 0) -> Audio:
    """Return noise `(samples,)` whose loudness moves as that of speech does."""
    rng = np.random.default_rng(seed)
    level = np.interp(
        np.arange(seconds * sample_rate) / sample_rate,
        np.arange(0, seconds + 0.2, 0.2),
        np.exp(rng.uniform(-8, -2, 5 * seconds + 1)),
    )
    return (level * rng.standard_normal(len(level))).astype(np.float32)


def cases(bundle: Path, audio: Audio) -> Iterator[tuple[str, Callable[[Audio], None]]]:
    """Yield what is measured on a second of audio, each with a detector of its own."""
    classifier = Classifier(bundle)
    window, rate = classifier.window_samples, classifier.sample_rate
    last = audio[:window].copy()

    def control(second: Audio) -> None:
        step = round(CONTROL_S * rate)
        for start in range(0, len(second), step):
            part = second[start : start + step]
            last[: window - len(part)] = last[len(part) :]
            last[window - len(part) :] = part
            classifier.classify(last)

    yield CONTROL, control
    for piece_s in PIECES_S:
        yield f"pieces of {piece_s:g} s", _streamed(Detector(bundle), round(piece_s * rate))
    if model_file(bundle, "stream").is_file():
        yield FLOOR, _graphs_alone(Detector(bundle))


def _streamed(detector: Detector, piece: int) -> Callable[[Audio], None]:
    def feed(second: Audio) -> None:
        for start in range(0, len(second), piece):
            detector.feed(second[start : start + piece])

    return feed


def _graphs_alone(detector: Detector) -> Callable[[Audio], None]:
    front_end, network = detector._front_end, detector._network
    assert isinstance(network, StreamingNetwork)
    bindings = front_end._graphs[1], network._graphs[1][0]

    def run(second: Audio) -> None:
        for _ in range(len(second) // front_end.hop_samples):
            for binding in bindings:
                binding.run()

    return run


def measure(bundle: Path, audio: Audio, sample_rate: int, repeats: int) -> dict[str, list[float]]:
    """Return the CPU ms per second of audio of every case, taken in turns."""
    found: dict[str, list[float]] = {}
    measured = list(cases(bundle, audio))
    for repeat in range(-3, repeats):  # three to warm up
        start = repeat % (len(audio) // sample_rate) * sample_rate
        for name, run in measured:
            before = time.process_time()
            run(audio[start : start + sample_rate])
            if repeat >= 0:
                found.setdefault(name, []).append(1000 * (time.process_time() - before))
    return found


def hour(bundle: Path) -> None:
    """Feed an hour in pieces of 20 ms; print the resident memory every ten minutes."""
    detector = Detector(bundle)
    feed = _streamed(detector, detector.sample_rate // 50)
    before = time.process_time()
    for minute in range(60):
        feed(noise(60, detector.sample_rate, seed=minute))
        if minute % 10 == 0 or minute == 59:
            print(f"minute {minute + 1:2}: {resident_kib():,} KiB resident")
    print(f"{(time.process_time() - before) / 3.6:.2f} ms CPU per s, the making of noise included")


def resident_kib() -> int:
    """Return the resident memory of this process, its peak where `/proc` is missing."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(statm.read_text().split()[1]) * resource.getpagesize() // 1024


def rows(found: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    """Yield quantiles of the CPU ms per second of audio of every case."""
    base = np.percentile(found[CONTROL], 10)
    for name, values in found.items():
        p1, p10, p50 = map(float, np.percentile(values, [1, 10, 50]))
        quantiles = {"p1_ms": p1, "p10_ms": p10, "p50_ms": p50}
        yield {"name": name} | quantiles | {"of_control": float(p10 / base)}


def show(found: dict[str, list[float]]) -> None:
    """Print a row a case."""
    print(f"{'ms CPU per second of audio':40} {'p1':>7} {'p10':>7} {'p50':>7}  p10 / control")
    for row in rows(found):
        quantiles = f"{row['p1_ms']:7.2f} {row['p10_ms']:7.2f} {row['p50_ms']:7.2f}"
        print(f"{row['name']:40} {quantiles}  {row['of_control']:13.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--wav", type=Path, help="audio to hear, at the model's rate")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--hour", action="store_true", help="memory over an hour, too")
    parser.add_argument("--output", type=Path, help="write what was measured as JSON, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle or untrained_bundle(Path(folder))
        rate = Classifier(bundle).sample_rate
        audio = read_wav(options.wav, rate) if options.wav else noise(60, rate)
        found = measure(bundle, audio, rate, options.repeats)
        show(found)
        if options.output:
            network = options.bundle.name if options.bundle else "untrained"
            machine = latency.fingerprint(1)
            table = {"network": network, "rows": list(rows(found)), "machine": machine}
            options.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        if options.hour:
            hour(bundle)


if __name__ == "__main__":
    main()
