"""Run a model on features, in an interpreter without torch.

    python -I score_features.py MODEL FEATURES.npy LOGITS.npy

`FEATURES.npy` holds float32 `(N, n_mels, T)`, `LOGITS.npy` receives float32 `(N, n_labels)`. The
axis of a 3-D network's input is added here; a fixed batch size is padded with zeros.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

BATCH = 64


def main(model: Path, features: Path, logits: Path) -> None:
    """Write the logits of all clips, with as many rows as the model returns."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])
    clips = np.load(features, mmap_mode="r")
    shape = session.get_inputs()[0].shape
    fixed = shape[0] if isinstance(shape[0], int) else None
    size = fixed or BATCH
    starts = range(0, max(len(clips), 1), size)  # without clips, one batch gives the width
    rows = [_run(session, clips[at : at + size], fixed, len(shape)) for at in starts]
    np.save(logits, np.concatenate(rows).astype(np.float32, copy=False))


def _run(session: Any, part: Any, fixed: int | None, axes: int) -> Any:
    batch = np.zeros((fixed or len(part), *part.shape[1:]), np.float32)
    batch[: len(part)] = part
    if axes == batch.ndim + 1:  # (batch, n_mels, T) → (batch, 1, n_mels, T)
        batch = batch[:, None]
    return session.run(None, {session.get_inputs()[0].name: batch})[0][: len(part)]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
