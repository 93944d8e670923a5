"""Small quantized networks of every family, and onnxruntime's answers."""

from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import BACKBONE, QUANTIZER
from edgekws.lowering.export import export_lowered
from edgekws.runtime.front_end import FrontEnd
from tests.cpu import SATURATES
from tests.quantizers.conftest import log_mel_like, settle

N_MELS, FRAMES, N_LABELS = 40, 48, 5
Floats = NDArray[np.float32]


@cache
def quantized(kind: str, backend: str = "onnxruntime", **fields: Any) -> onnx.ModelProto:
    """Return a backbone with random weights as an INT8 model, `(n_mels, T)` or `(1, n_mels, T)`."""
    backbone = BACKBONE.validate_python({"kind": kind, **fields})
    torch.manual_seed(3)
    shape = (1, N_MELS, FRAMES) if backbone.representation == "3d" else (N_MELS, FRAMES)
    return quantized_network(backbone.build(N_MELS, N_LABELS), shape, backend)


def quantized_network(
    network: torch.nn.Module, shape: tuple[int, ...], backend: str = "onnxruntime"
) -> onnx.ModelProto:
    """Return a network, after some batches of BatchNorm, as an INT8 model."""
    network = settle(network, log_mel_like(shape, 32, seed=0))
    source: Any = network if backend == "neural_compressor" else lowered(network, shape)
    quantizer = QUANTIZER.validate_python({"kind": backend, "reduce_range": SATURATES})
    return quantizer.quantize(source, log_mel_like(shape, 24, seed=1), "minmax")


def lowered(network: torch.nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    """Return a network in FP32."""
    labels = tuple(f"word {i}" for i in range(N_LABELS))
    normalization = Normalization((0.0,) * N_MELS, (1.0,) * N_MELS)
    contract = Contract(FrontEnd(n_mels=N_MELS), normalization, labels, shape, {})
    return export_lowered(network, contract)


@cache
def random_clips(n: int, frames: int = FRAMES) -> tuple[Floats, ...]:
    """Return features `(n_mels, frames)`, some of which saturate."""
    generator = np.random.default_rng(1)
    spreads = generator.choice([0.5, 1, 2, 4], n)
    clips = (generator.normal(size=(N_MELS, frames)) * spread for spread in spreads)
    return tuple(clip.astype(np.float32) for clip in clips)


def logits_of(model: onnx.ModelProto, clips: tuple[Floats, ...]) -> list[Floats]:
    """Return what onnxruntime computes at full optimization."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    axes = (None,) * (len(session.get_inputs()[0].shape) - 2)
    return [session.run(None, {"features": clip[axes]})[0][0] for clip in clips]
