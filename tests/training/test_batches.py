from typing import Any

import numpy as np
import pytest

from edgekws.training.batches import (
    Batch,
    balanced_order,
    batches,
    mix,
    n_batches,
    shuffled_order,
)
from edgekws.training.options import Training

SKEWED = np.repeat([0, 1, 2], [70, 25, 5])


def test_shuffled_order_takes_every_clip_once_and_is_drawn_from_seed_and_epoch() -> None:
    orders = [shuffled_order(SKEWED, seed, epoch) for seed, epoch in ((7, 0), (7, 1), (8, 0))]
    for order in orders:
        assert sorted(order) == list(range(100))
    assert np.array_equal(orders[0], shuffled_order(SKEWED, 7, 0))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_balanced_order_takes_every_label_equally_often() -> None:
    order = balanced_order(SKEWED, 7, 0)
    assert len(order) == 100
    assert sorted(np.bincount(SKEWED[order])) == [33, 33, 34]
    scarce = np.bincount(order, minlength=100)[SKEWED == 2]
    assert set(scarce) <= {6, 7}  # 33 or 34 draws of five clips: all in turn
    assert np.bincount(order, minlength=100)[SKEWED == 0].max() == 1
    assert np.array_equal(order, balanced_order(SKEWED, 7, 0))


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.65, 1.0])
def test_a_partial_balance_lies_between_all_clips_once_and_equal_labels(balance: float) -> None:
    _, counts = np.unique(SKEWED, return_counts=True)
    shares = counts ** (1 - balance) / (counts ** (1 - balance)).sum()
    _, drawn = np.unique(SKEWED[balanced_order(SKEWED, 7, 0, balance)], return_counts=True)
    assert drawn.sum() == len(SKEWED)
    assert np.abs(drawn - shares * len(SKEWED)).max() <= 1


def test_balanced_order_reaches_every_clip_of_a_frequent_label() -> None:
    seen = np.concatenate([balanced_order(SKEWED, 7, epoch) for epoch in range(12)])
    assert set(seen) == set(range(100))


def test_mix_takes_the_same_share_of_features_and_targets() -> None:
    rng = np.random.default_rng(0)
    one_hot = np.eye(6, dtype=np.float32)  # six clips of six labels: the partner can be read off
    features = rng.normal(size=(6, 4, 3)).astype(np.float32)
    mixed = mix(Batch(features, one_hot), 0.4, 7, 1, 5)
    assert mixed.features.dtype == mixed.targets.dtype == np.float32
    np.testing.assert_allclose(mixed.targets.sum(axis=1), 1, rtol=1e-6)
    expected = np.einsum("bk,kmt->bmt", mixed.targets, features)
    np.testing.assert_allclose(mixed.features, expected, atol=1e-6)
    assert ((mixed.targets > 0).sum(axis=1) == 2).any()


def test_mix_differs_between_batches() -> None:
    batch = Batch(np.zeros((6, 4, 3), np.float32), np.eye(6, dtype=np.float32))
    first, again, other = (mix(batch, 0.4, 7, 1, index).targets for index in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("balanced", [False, True])
def test_batches_are_the_masked_augmented_clips_in_order(patterns: Any, balanced: bool) -> None:
    targets = patterns.examples("train").targets
    training = Training(batch_size=60, balanced=balanced)
    got = list(batches(patterns, targets, training, 7, 2))
    assert [len(b.targets) for b in got] == [60, 60, 60, 60]  # of 241 clips one is left out
    assert len(got) == n_batches(241, 60)
    order = (balanced_order if balanced else shuffled_order)(targets, 7, 2)[:240]
    for row, clip in enumerate(order):
        expected = patterns.augmented(2)[clip][None].astype(np.float32)
        expected = patterns.mask(expected, np.array([clip]), 2)[0]
        batch = got[row // 60]
        assert np.array_equal(batch.features[row % 60], expected)
        assert batch.targets[row % 60].argmax() == targets[clip]


def test_batches_are_mixed_when_asked(patterns: Any) -> None:
    targets = patterns.examples("train").targets
    plain, mixed = (
        list(batches(patterns, targets, Training(batch_size=60, mixup=alpha), 7, 2))
        for alpha in (0.0, 0.4)
    )
    for index, batch in enumerate(plain):
        expected = mix(batch, 0.4, 7, 2, index)
        assert np.array_equal(mixed[index].features, expected.features)
        assert np.array_equal(mixed[index].targets, expected.targets)


def test_masking_scales_the_masks(patterns: Any) -> None:
    targets = patterns.examples("train").targets
    hidden = []
    for masking in (1.0, 0.5, 0.0):
        got = batches(patterns, targets, Training(batch_size=60, masking=masking), 7, 2)
        features = np.concatenate([batch.features for batch in got])
        hidden.append((features == 0).all(axis=1).sum(axis=1).max())
    assert hidden == [2, 1, 0]
