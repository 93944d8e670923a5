"""Measure bundles on emulated Cortex-M boards, and compare their bits with onnxruntime's.

    python tools/bench_cortex_m.py dist/quickstart --output docs/results/cortex-m.json

A bundle with a streaming network is also measured in its windowed form, with a decision about every
100 ms. `--compare` runs random features instead: on the networks of the first bundle, windows and
one long stream, and on small random networks. Rows are added to those of the file.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from edgekws.bundle.pack import default_detection
from edgekws.codegen import board, board_program, board_proof, board_runs, reading
from edgekws.codegen.board_footprint import footprint
from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import BACKBONE, QUANTIZER
from edgekws.errors import UnsupportedError
from edgekws.lowering import onnx_file
from edgekws.lowering.export import export_lowered
from edgekws.runtime.front_end import FrontEnd
from edgekws.targets.cortex_m import Target, golden_windows

NETWORKS = (
    {"kind": "inverted_bottleneck", "channels": 8, "blocks": 2},
    {"kind": "tcresnet"},
    {"kind": "dscnn"},
    {"kind": "bcresnet"},
    {"kind": "matchboxnet"},
    {"kind": "tenet"},
)


def forms(bundle: Path) -> Iterator[tuple[str, onnx.ModelProto, Contract, dict[str, Any]]]:
    """Yield each network of a bundle with its contract and a manifest."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    for name in ("stream", "model"):
        path = bundle / f"{name}.onnx"
        if not path.is_file():
            continue
        model, contract = onnx_file.load(path)
        if name == "model" and (bundle / "stream.onnx").is_file():
            manifest = manifest | {"detection": default_detection(contract, None)}
        yield ("streaming" if name == "stream" else "windowed"), model, contract, manifest


def measure(bundle: Path, target: Target, clips: int, only: str | None) -> Iterator[dict[str, Any]]:
    """Yield the footprint of each form of a bundle on a target."""
    for form, model, contract, manifest in forms(bundle):
        if only in (None, form):
            windows = golden_windows(bundle, contract.front_end)[:clips]
            result = footprint(target.setup, model, contract, manifest, windows)
            row = {"bundle": bundle.name, "form": form, "optimization": target.optimization}
            yield row | asdict(result)


def compare(
    name: str, model: onnx.ModelProto, contract: Contract, target: Target, inferences: int
) -> dict[str, Any]:
    """Return of how many inferences on random features a bit of a logit differs."""
    read = reading.read(model)
    random = np.random.default_rng(1)
    spread = random.choice([20, 60, 255], (inferences, 1, 1))
    shape = (inferences, read.frames, read.n_mels)
    noise = np.clip(random.normal(read.input.zero, spread, shape), 0, 255).astype(np.uint8)
    streams = [noise] if read.streaming else noise[:, None]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "source")
        board_program.write_proof(read, contract, folder, integer=not target.floats)
        program = board.link(folder, target.flags, Path(scratch, "prove.elf"))
        run = board_runs.run_network(program, target.setup.machine, read, list(streams))
    different = board_proof.count_different(
        run, board_proof.expected_logits(model, read, list(streams))
    )
    row = {"network": name, "cpu": target.cpu, "floats": target.floats}
    return row | {"inferences": inferences, "different": different}


def random_networks(n: int) -> Iterator[tuple[str, onnx.ModelProto, Contract]]:
    """Yield small INT8 networks with random weights."""
    import torch

    front_end = FrontEnd(window_s=0.5)
    normalization = Normalization((-6.0,) * 40, (3.0,) * 40)
    for number in range(n):
        fields = NETWORKS[number % len(NETWORKS)]
        backbone = BACKBONE.validate_python(fields)
        shape: tuple[int, ...] = (40, front_end.n_frames)
        shape = (1, *shape) if backbone.representation == "3d" else shape
        contract = Contract(front_end, normalization, ("a", "b", "_unknown_"), shape, fields)
        torch.manual_seed(number)
        network = export_lowered(backbone.build(40, 3).eval(), contract)
        quantizer = QUANTIZER.validate_python({"kind": "onnxruntime"})
        clips = np.random.default_rng(number).standard_normal((8, *shape)).astype(np.float32)
        model = quantizer.quantize(network, clips, quantizer.calibrations()[0])
        yield f"{fields['kind']} {number}", model, contract


def comparisons(bundle: Path, targets: list[Target], options: Any) -> Iterator[dict[str, Any]]:
    """Yield the comparison of each network on each CPU."""
    counts = {"streaming": options.hops, "windowed": options.inputs}
    networks = [(f"{bundle.name}, {form}", m, c, counts[form]) for form, m, c, _ in forms(bundle)]
    networks += [(*network, 20) for network in random_networks(options.networks)]
    for name, model, contract, inferences in networks:
        for target in targets:
            try:
                yield compare(name, model, contract, target, inferences)
            except UnsupportedError as error:
                print(f"{name}: {error}", flush=True)
                break


def main() -> None:
    """Measure and compare; write what there is after each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cpus", default=",".join(board.CPUS))
    parser.add_argument("--levels", default="s,2,3")
    parser.add_argument("--form", choices=("streaming", "windowed"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--hops", type=int, default=1000)
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--compare", action="store_true", help="bits instead of sizes")
    options = parser.parse_args()
    tools = {"compiler": board.version(board.GCC), "emulator": board.version(board.QEMU)}
    result: dict[str, Any] = {"tools": tools, "rows": [], "comparisons": []}
    if options.output.is_file():
        result = json.loads(options.output.read_text("utf-8"))

    def add(kind: str, row: dict[str, Any]) -> None:
        result[kind].append(row)
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(row), flush=True)

    fields = [(c, o) for c in options.cpus.split(",") for o in options.levels.split(",")]
    targets = [Target.model_validate({"cpu": c, "optimization": o}) for c, o in fields]
    if options.compare:
        fast = {target.cpu: target for target in targets}
        for row in comparisons(options.bundles[0], list(fast.values()), options):
            add("comparisons", row)
        return
    for bundle in options.bundles:
        for target in targets:
            for row in measure(bundle, target, options.clips, options.form):
                add("rows", row)


if __name__ == "__main__":
    main()
