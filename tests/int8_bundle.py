"""INT8 networks with random weights, and bundles of them with Cyrillic labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekws.bundle import pack
from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import BACKBONE, QUANTIZER
from edgekws.lowering import onnx_file
from edgekws.lowering.export import export_lowered
from edgekws.lowering.stream import streaming_form
from edgekws.runtime.detect import Detector
from edgekws.runtime.front_end import FrontEnd
from tests.cpu import SATURATES
from tests.quantizers.conftest import log_mel_like, settle

LABELS = ("да", 'нет?"\\', "_unknown_", "_silence_")
FIELDS = {"channels": 8, "blocks": 1, "head": 0, "padding": "valid"}
LOG_MEL = FrontEnd()
NORMALIZATION = Normalization((-6.0,) * 40, (3.0,) * 40)


def write_model(
    folder: Path,
    front_end: FrontEnd = LOG_MEL,
    normalization: Normalization = NORMALIZATION,
    scale: float = 1.0,
) -> None:
    """Write `model.onnx` and its streaming form, `stream.onnx`; `scale` is that of the features."""
    shape = (40, front_end.n_frames)
    contract = Contract(front_end, normalization, LABELS, shape, {"kind": "x"})
    torch.manual_seed(0)
    backbone = BACKBONE.validate_python({"kind": "inverted_bottleneck", **FIELDS})
    network = settle(backbone.build(40, len(LABELS)), scale * log_mel_like(shape, 16, seed=0))
    source: Any = export_lowered(network, contract)
    quantizer = QUANTIZER.validate_python({"kind": "onnxruntime", "reduce_range": SATURATES})
    quantized = quantizer.quantize(source, scale * log_mel_like(shape, 16, seed=1), "minmax")
    onnx_file.save(quantized, contract, folder / "model.onnx")
    stream = streaming_form(onnx_file.load(folder / "model.onnx")[0], contract)
    onnx_file.save(stream, contract, folder / "stream.onnx")


def pack_bundle(model: Path, folder: Path, streaming: bool) -> Path:
    folder.mkdir()
    _, contract = onnx_file.load(model / "model.onnx")
    stream = model / "stream.onnx" if streaming else None
    pack.pack(folder, model / "model.onnx", contract, noise(4), {"recipe": "x"}, stream)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    posteriors = np.concatenate(list(Detector(folder).posteriors(noise(20).ravel())))
    often = np.quantile(posteriors, 0.7, axis=0)
    thresholds = {label: float(often[number]) for number, label in enumerate(LABELS[:2])}
    manifest["detection"] |= {
        "thresholds": thresholds,
        "keyword_lengths_ms": {LABELS[0]: 333.3},
        "timing_offsets_ms": dict(zip(LABELS[:2], (150.1, -20.7), strict=True)),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    pack.seal(folder, "# card\n")
    return folder


def noise(windows: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    generator = np.random.default_rng(3)
    loudness = 10 ** generator.uniform(1, 4, (windows, 1))
    return (generator.standard_normal((windows, 16_000)) * loudness).astype(np.int16)
