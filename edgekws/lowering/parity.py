"""Parity: two forms of a network give the same logits on the same clips."""

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
"""Largest allowed difference between two FP32 forms of a network, in logits."""

_BATCH = 256


def logits(model: Path | onnx.ModelProto, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an ONNX model on features `(N, n_mels, T)`; return logits `(N, n_labels)`.

    Uses onnxruntime on one thread. Adds the axis of a 3-D network's input; a fixed batch size is
    filled up with zeros, and their logits are dropped.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings bypass Python's streams
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    batch = features[:, None] if len(entry.shape) == 4 else features
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
    size = fixed or _BATCH
    # np.split of no clips gives one empty batch, so the width of the result is known.
    parts = np.split(batch, range(size, len(batch), size))
    outputs = [
        session.run(None, {entry.name: _filled(part, fixed or len(part))})[0][: len(part)]
        for part in parts
    ]
    return np.concatenate(outputs).astype(np.float32, copy=False)


def _filled(part: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return `part` filled up to `size` samples with zeros."""
    filled = np.zeros((size, *part.shape[1:]), part.dtype)
    filled[: len(part)] = part
    return filled


def torch_logits(
    network: nn.Module, features: NDArray[np.float32], contract: Contract
) -> NDArray[np.float32]:
    """Run a torch network on features `(N, n_mels, T)`; return logits `(N, n_labels)`.

    Runs in eval mode on the network's device; its mode is restored afterwards.
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
        ParityError: it is above `tolerance` or not finite, or the shapes differ.
    """
    if a.shape != b.shape or a.size == 0:
        raise ParityError(f"{what}: logits of shape {a.shape} against {b.shape}")
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    largest = float(difference.max())
    if not largest <= tolerance:  # also when it is not a number
        clip = int(difference.max(axis=1).argmax())
        raise ParityError(
            f"{what}: logits differ by {largest:.3g} (golden clip {clip}), at most {tolerance:.3g} "
            "is allowed; the result is not equivalent to its input and was discarded"
        )
    return largest


def golden(examples: Examples, n: int = 32) -> NDArray[np.int64]:
    """Return the indices of up to `n` golden clips, chosen from the labels in turn, sorted."""
    turns = np.zeros(len(examples), dtype=np.int64)
    for label in np.unique(examples.targets):
        clips = np.flatnonzero(examples.targets == label)
        turns[clips] = np.arange(len(clips))
    chosen = np.lexsort((examples.targets, turns))[:n]
    return np.sort(chosen).astype(np.int64)
