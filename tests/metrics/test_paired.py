"""Paired tests against sums and simulations that are slow and obvious."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.metrics.paired import ALPHA, clips_needed, critical, holm, mcnemar

right = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(right)
def test_mcnemar_is_the_binomial_sum(rows: list[tuple[bool, bool]]) -> None:
    result = mcnemar(np.array([a for a, _ in rows]), np.array([b for _, b in rows]))
    only_a = sum(a and not b for a, b in rows)
    only_b = sum(b and not a for a, b in rows)
    n = only_a + only_b
    assert (result.only_a, result.only_b) == (only_a, only_b)
    tail = sum(comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n
    assert result.p == pytest.approx(min(1.0, 2 * tail))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    corrected = holm(p_values)
    rejected = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] * (len(p_values) - rank) >= ALPHA:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(corrected) if p < ALPHA} == rejected
    assert all(p <= one <= 1 for p, one in zip(p_values, corrected, strict=True))


def test_one_p_value_stays_as_it_is() -> None:
    assert holm([0.03]) == (0.03,)
    assert critical(1) < critical(3)


@pytest.mark.parametrize(("difference", "discordance"), [(0.05, 0.1), (0.1, 0.3)])
def test_so_many_clips_give_the_power_that_is_said(difference: float, discordance: float) -> None:
    n = round(clips_needed(difference, discordance))
    rng = np.random.default_rng(0)
    up, down = (discordance + difference) / 2, (discordance - difference) / 2
    tries = rng.multinomial(n, [up, down, 1 - up - down], 4000)
    z = np.abs(tries[:, 0] - tries[:, 1]) / np.sqrt(np.maximum(1, tries[:, 0] + tries[:, 1]))
    assert np.mean(z > critical()) == pytest.approx(0.8, abs=0.03)


def test_more_doubt_needs_more_clips() -> None:
    plain = clips_needed(0.01, 0.05)
    assert clips_needed(0.01, 0.05, design_effect=3) == pytest.approx(3 * plain)
    assert clips_needed(0.01, 0.05, comparisons=6) > plain
    assert clips_needed(0.005, 0.05) > 3.9 * plain
    assert clips_needed(0.01, 0.0) > 0  # models that agree on all clips so far
