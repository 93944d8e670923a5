import numpy as np
import pytest

from edgekws.errors import ParityError
from edgekws.lowering.quantization_parity import compare


def test_figures_by_hand():
    before = np.array([[0, 5.1], [2.0, 1.0]], np.float32)
    after = before + np.array([[0.02, 0], [0, -0.04]], np.float32)
    told = compare(before, after)
    assert told["label_agreement"] == 1
    assert told["mean_abs_diff"] == pytest.approx(0.015, rel=1e-5)
    assert told["max_diff_in_output_steps"] == pytest.approx(2, rel=1e-5)  # 5.1 / 255 = 0.02


def test_constant_logits_have_no_steps():
    assert compare(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32)) == {
        "label_agreement": 1,
        "mean_abs_diff": 0,
        "max_abs_diff": 0,
        "mean_diff_in_output_steps": 0,
        "max_diff_in_output_steps": 0,
    }


def test_a_model_that_keeps_hardly_a_label_is_broken():
    before = np.eye(4, dtype=np.float32)
    with pytest.raises(ParityError, match=r"keeps only 0\.0% of the labels"):
        compare(before, np.roll(before, 1, axis=1))
