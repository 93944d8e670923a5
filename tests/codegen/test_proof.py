"""The slow arithmetic, and the proof that the kernels round as it does."""

from fractions import Fraction

import numpy as np
import pytest

from edgekws.codegen import arithmetic, proof
from edgekws.codegen.ir import Conv, Depthwise
from tests.codegen.random_operators import random_network


def test_a_fused_multiply_add_is_rounded_once() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 300)).astype(np.float32)
    c = (-a * b * generator.choice([1, 1 + 1e-7, 1e-3, 1e6], 300)).astype(np.float32)
    results = arithmetic.fma(a, b, c)
    assert (results != a * b + c).any()
    for x, y, z, result in zip(a, b, c, results, strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        below, above = (np.nextafter(result, np.float32(far)) for far in (-9e9, 9e9))
        neighbours = (result, below, above)
        errors = [abs(Fraction(float(number)) - exact) for number in neighbours]
        assert errors[0] == min(errors)


def test_rounding_is_half_to_even_and_saturates() -> None:
    values = np.array([0.5, 1.5, -0.5, 300, -300, np.inf, -np.inf, np.nan], np.float32)
    assert arithmetic.to_bytes(values, 10).tolist() == [10, 12, 10, 255, 0, 255, 0, 0]


def test_every_reachable_accumulator_is_tried() -> None:
    network = random_network(seed=1, n=1)
    result = proof.prove(network)
    layers = [op for op in network.operators if isinstance(op, Conv | Depthwise)]
    reachable = sum(
        255 * int(np.abs(layer.weights.astype(np.int64)).sum()) + len(layer.bias)
        for layer in layers
    )
    assert (result.accumulators, result.pairs, result.different) == (reachable, 2 << 16, 0)


@pytest.mark.parametrize("kernel", ["round_as_kernel", "round_in_integers"])
def test_a_kernel_that_rounds_otherwise_is_found(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, kernel, lambda values, *given: np.zeros(len(values), np.uint8))
    assert proof.prove(random_network(seed=1, n=1)).different > 0
