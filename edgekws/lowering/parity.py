"""Parity: two forms of one network give the same logits on the same clips."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples
from edgekws.errors import ParityError

TOLERANCE = 1e-4
"""What two FP32 forms of one network may differ by, in logits."""

_BATCH = 256


def logits(model: Path | onnx.ModelProto, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an ONNX model on features `(N, n_mels, T)`; return logits `(N, n_labels)`.

    onnxruntime on one thread. The axis of a 3-D network's input is added here, and a batch that
    the model fixes is filled up with silence, whose logits are dropped.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings go to the terminal, past any stream of ours
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    batch = features[:, None] if len(entry.shape) == 4 else features
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
    size = fixed or _BATCH
    # np.split of nothing gives one empty batch, so that the width of the result is known.
    parts = np.split(batch, range(size, len(batch), size))
    outputs = [
        session.run(None, {entry.name: _filled(part, fixed or len(part))})[0][: len(part)]
        for part in parts
    ]
    return np.concatenate(outputs).astype(np.float32, copy=False)


def _filled(part: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return `size` samples: those of `part`, then zeros."""
    full = np.zeros((size, *part.shape[1:]), part.dtype)
    full[: len(part)] = part
    return full


def torch_logits(
    network: nn.Module, features: NDArray[np.float32], contract: Contract
) -> NDArray[np.float32]:
    """Run a torch network on features `(N, n_mels, T)`; return logits `(N, n_labels)`.

    In eval mode, on the device that the network is on; its mode is left as it was.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    outputs = []
    with torch.inference_mode():
        for part in np.split(features, range(_BATCH, len(features), _BATCH)):
            batch = torch.tensor(part, device=device)
            batch = batch.unsqueeze(1) if contract.representation == "3d" else batch
            outputs.append(network(batch).float().cpu().numpy())
    network.train(training)
    return np.concatenate(outputs)


def check(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    tolerance: float = TOLERANCE,
    what: str = "parity",
) -> float:
    """Return max |a − b| of two sets of logits `(N, n_labels)`.

    Raises:
        ParityError: it is above `tolerance`, or not a number, or the shapes differ.
    """
    if a.shape != b.shape or a.size == 0:
        raise ParityError(f"{what}: logits of shape {a.shape} against {b.shape}")
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    largest = float(difference.max())
    if not largest <= tolerance:  # also when it is not a number
        clip = int(difference.max(axis=1).argmax())
        raise ParityError(
            f"{what}: logits differ by {largest:.3g} (golden clip {clip}), at most {tolerance:.3g} "
            "is allowed; the result does not compute what its input computed and was not kept"
        )
    return largest


def golden(examples: Examples, n: int = 32) -> NDArray[np.int64]:
    """Return the indices of the golden clips: up to `n`, the labels in turn, in clip order."""
    turns = np.zeros(len(examples), dtype=np.int64)
    for label in np.unique(examples.targets):
        mine = np.flatnonzero(examples.targets == label)
        turns[mine] = np.arange(len(mine))
    chosen = np.lexsort((examples.targets, turns))[:n]
    return np.sort(chosen).astype(np.int64)
