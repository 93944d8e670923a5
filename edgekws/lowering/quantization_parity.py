"""The difference between a quantized model and its FP32 parent, in labels and logits."""

import math

import numpy as np
from numpy.typing import NDArray

from edgekws.errors import ParityError

AGREEMENT_FLOOR = 0.5
"""Share of dev clips that must keep their label; above it, accuracy is the criterion."""


def compare(before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, float]:
    """Compare the logits `(N, n_labels)` of the FP32 parent and of its quantized form.

    Returns the share of clips that keep their label, and the mean and the largest |Δlogit|, in
    logits and in output steps: a step is 1/255 of the range of the parent's logits, the best
    resolution of 8 bits.

    Raises:
        ParityError: too few labels are kept; that is a fault, not a loss of precision.

    >>> before = np.array([[0, 255.0]], np.float32)
    >>> compare(before, before + 1)["mean_diff_in_output_steps"]
    1.0
    """
    difference = np.abs(after.astype(np.float64) - before)
    agreement = float((before.argmax(axis=1) == after.argmax(axis=1)).mean())
    if not agreement >= AGREEMENT_FLOOR:
        raise ParityError(
            f"the quantized model keeps only {agreement:.1%} of the labels of its FP32 parent, "
            f"expected at least {AGREEMENT_FLOOR:.0%}; try another backend or calibration"
        )
    step = float(before.max() - before.min()) / 255 or math.inf
    return {
        "label_agreement": agreement,
        "mean_abs_diff": float(difference.mean()),
        "max_abs_diff": float(difference.max()),
        "mean_diff_in_output_steps": float(difference.mean()) / step,
        "max_diff_in_output_steps": float(difference.max()) / step,
    }
