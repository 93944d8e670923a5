import numpy as np
import pytest

from edgekws.errors import ParityError
from edgekws.lowering.quantization_parity import compare


def test_figures_by_hand() -> None:
    before = np.array([[0, 5.1], [2.0, 1.0]], np.float32)
    after = before + np.array([[0.02, 0], [0, -0.04]], np.float32)
    figures = compare(before, after)
    assert figures["label_agreement"] == 1
    assert figures["mean_abs_diff"] == pytest.approx(0.015, rel=1e-5)
    assert figures["max_diff_in_output_steps"] == pytest.approx(2, rel=1e-5)  # 5.1 / 255 = 0.02


def test_all_figures_against_loops_over_single_logits() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=(7, 3)).astype(np.float32)
    after = before + rng.normal(scale=0.2, size=(7, 3)).astype(np.float32)
    after[6] = np.roll(before[6], 1)
    apart = [abs(float(y) - float(x)) for x, y in zip(before.flat, after.flat, strict=True)]
    step = float(before.max() - before.min()) / 255
    kept = [max(range(3), key=a.__getitem__) == max(range(3), key=b.__getitem__)
            for a, b in zip(before, after, strict=True)]  # fmt: skip
    assert kept.count(False) in (1, 2, 3)
    assert compare(before, after) == pytest.approx(
        {
            "label_agreement": sum(kept) / 7,
            "mean_abs_diff": sum(apart) / 21,
            "max_abs_diff": max(apart),
            "mean_diff_in_output_steps": sum(apart) / 21 / step,
            "max_diff_in_output_steps": max(apart) / step,
        }
    )


def test_half_of_the_labels_is_enough_and_less_is_not() -> None:
    before = np.tile(np.eye(2, dtype=np.float32), (3, 1))
    after = before.copy()
    after[:3] = after[:3, ::-1]
    assert compare(before, after)["label_agreement"] == 0.5
    with pytest.raises(ParityError, match=r"only 40\.0% of the labels .* expected at least 50%"):
        compare(before[:5], after[:5])


def test_constant_logits_have_no_steps() -> None:
    assert compare(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32)) == {
        "label_agreement": 1,
        "mean_abs_diff": 0,
        "max_abs_diff": 0,
        "mean_diff_in_output_steps": 0,
        "max_diff_in_output_steps": 0,
    }


def test_a_model_that_keeps_few_labels_is_a_parity_error() -> None:
    before = np.eye(4, dtype=np.float32)
    with pytest.raises(ParityError, match=r"keeps only 0\.0% of the labels"):
        compare(before, np.roll(before, 1, axis=1))
