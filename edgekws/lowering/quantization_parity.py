"""How far a quantized model is from its FP32 parent: labels, and logits in output steps."""

import numpy as np
from numpy.typing import NDArray


def compare(before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, float]:
    """Compare the logits `(N, n_labels)` of the FP32 parent and of its quantized form.

    Returns the share of clips that keep their label, and the mean and the largest |Δlogit|, in
    logits and in output steps: a step is 1/255 of the range of the parent's logits, what 8 bits
    can tell apart at best.

    >>> before = np.array([[0, 255.0]], np.float32)
    >>> compare(before, before + 1)["mean_diff_in_output_steps"]
    1.0
    """
    difference = np.abs(after.astype(np.float64) - before)
    step = (float(before.max()) - float(before.min())) / 255
    return {
        "label_agreement": float((before.argmax(axis=1) == after.argmax(axis=1)).mean()),
        "mean_abs_diff": float(difference.mean()),
        "max_abs_diff": float(difference.max()),
        "output_step": step,
        "mean_diff_in_output_steps": float(difference.mean()) / step,
        "max_diff_in_output_steps": float(difference.max()) / step,
    }
