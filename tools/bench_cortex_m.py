"""Measure bundles on emulated Cortex-M boards, and compare their bits with onnxruntime's.

    python tools/bench_cortex_m.py dist/quickstart dist/wake-words --output cortex-m.json

The streaming form of the first bundle is measured at every level of optimisation; the others, and
windowed forms with a decision about every 100 ms, at one. Bits are compared on random features: on
the networks of the first bundle, windows and one long stream, and on small random networks.
`--part sizes` or `--part bits` runs half, and leaves the other half of the file.
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
from edgekws.lowering import onnx_file
from edgekws.lowering.export import export_lowered
from edgekws.runtime.front_end import FrontEnd
from edgekws.targets.cortex_m import Target, golden_windows

NETWORKS: dict[str, dict[str, tuple[Any, ...]]] = {
    "inverted_bottleneck": {
        "channels": (4, 7, 8, 12),
        "blocks": (1, 2, 3),
        "kernel_size": (3, 5, 9),
        "padding": ("same", "valid"),
    },
    "mel_spanning": {"channels": (6, 8, 15), "blocks": (1, 2), "stem_kernel_size": (1, 3, 5)},
    "tcresnet": {"width": (0.5, 0.75, 1.0)},
    "dscnn": {"channels": (6, 10, 17), "blocks": (1, 2)},
    "bcresnet": {"tau": (0.5, 1.0)},
    "matchboxnet": {"channels": (8, 13, 16), "blocks": (1, 2), "sub_blocks": (1, 2)},
    "tenet": {"channels": (6, 9), "stages": (1, 2), "blocks": (1, 2)},
}
"""Fields of random networks, by kind."""

LEVELS, LEVEL = ("s", "2", "3"), "2"


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


def measure(bundle: Path, target: Target, clips: int, wanted: str) -> Iterator[dict[str, Any]]:
    """Yield the footprint of the wanted forms of a bundle on a target: one of them, or "both"."""
    for form, model, contract, manifest in forms(bundle):
        if wanted in ("both", form):
            windows = golden_windows(bundle, contract.front_end)[:clips]
            result = footprint(target.setup, model, contract, manifest, windows)
            row = {"bundle": bundle.name, "form": form, "optimization": target.optimization}
            yield row | asdict(result)


def sizes(bundles: list[Path], cpus: list[str], clips: int) -> Iterator[dict[str, Any]]:
    """Yield the footprints of all bundles."""
    for bundle in bundles:
        for cpu in cpus:
            for level in LEVELS if bundle == bundles[0] else (LEVEL,):
                target = Target.model_validate({"cpu": cpu, "optimization": level})
                wanted = "both" if level == LEVEL and bundle == bundles[0] else "streaming"
                yield from measure(bundle, target, clips, wanted)


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
    """Yield small INT8 networks with random fields and weights, each kind in turn."""
    import torch

    front_end = FrontEnd(window_s=0.5)
    normalization = Normalization((-6.0,) * 40, (3.0,) * 40)
    for number in range(n):
        kind, choices = tuple(NETWORKS.items())[number % len(NETWORKS)]
        random = np.random.default_rng(number)
        chosen = {key: values[random.integers(len(values))] for key, values in choices.items()}
        fields = {"kind": kind, **chosen}
        backbone = BACKBONE.validate_python(fields)
        shape: tuple[int, ...] = (40, front_end.n_frames)
        shape = (1, *shape) if backbone.representation == "3d" else shape
        contract = Contract(front_end, normalization, ("a", "b", "_unknown_"), shape, fields)
        torch.manual_seed(number)
        network = export_lowered(backbone.build(40, 3).eval(), contract)
        quantizer = QUANTIZER.validate_python({"kind": "onnxruntime"})
        clips = random.standard_normal((8, *shape)).astype(np.float32)
        model = quantizer.quantize(network, clips, quantizer.calibrations()[0])
        size = ", ".join(f"{key} {value}" for key, value in chosen.items())
        yield f"random {number}: {kind}, {size}", model, contract


def comparisons(bundle: Path, cpus: list[str], options: Any) -> Iterator[dict[str, Any]]:
    """Yield the comparison of each network on each CPU."""
    targets = [Target.model_validate({"cpu": cpu, "optimization": LEVEL}) for cpu in cpus]
    counts = {"streaming": options.hops, "windowed": options.inputs}
    networks = [(f"{bundle.name}, {form}", m, c, counts[form]) for form, m, c, _ in forms(bundle)]
    networks += [(*network, 20) for network in random_networks(options.networks)]
    for name, model, contract, inferences in networks:
        for target in targets:
            yield compare(name, model, contract, target, inferences)


def main() -> None:
    """Measure and compare; write what there is after each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--part", choices=("sizes", "bits"))
    parser.add_argument("--cpus", default=",".join(board.CPUS))
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--hops", type=int, default=1000)
    parser.add_argument("--networks", type=int, default=20)
    options = parser.parse_args()
    result = json.loads(options.output.read_text("utf-8")) if options.output.is_file() else {}
    result["tools"] = {"compiler": board.version(board.GCC), "emulator": board.version(board.QEMU)}
    cpus = options.cpus.split(",")
    parts = {
        "rows": ("sizes", sizes(options.bundles, cpus, options.clips)),
        "comparisons": ("bits", comparisons(options.bundles[0], cpus, options)),
    }
    for key, (part, rows) in parts.items():
        if options.part in (None, part):
            result[key] = []
            for row in rows:
                result[key].append(row)
                options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
