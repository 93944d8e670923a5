"""Speakers are held out by name, never all of them, and the same ones whatever is added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.datasets.listing.speakers import held_out, ranked, three_way

NAMES = st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=30)
FRACTION = st.floats(0.01, 0.99)


@given(NAMES, FRACTION)
def test_some_are_held_out_and_some_left(names: set[str], fraction: float) -> None:
    out = held_out(names, fraction, salt=1)
    assert out < names
    assert abs(len(out) - len(names) * fraction) <= 1 or len(out) in (1, len(names) - 1)


@given(NAMES)
def test_the_order_of_names_does_not_depend_on_others(names: set[str]) -> None:
    first = sorted(names)[0]
    assert [n for n in ranked(names, 3) if n != first] == ranked(names - {first}, 3)


@given(NAMES, st.integers(0, 99), st.integers(0, 99))
def test_three_ways_are_disjoint_and_test_is_the_same_for_every_seed(
    names: set[str], seed: int, other: int
) -> None:
    first, second = three_way(names, 0.2, 0.1, seed), three_way(names, 0.2, 0.1, other)
    assert sorted([*first["train"], *first["dev"], *first["test"]]) == sorted(names)
    assert all(first.values())
    assert first["test"] == second["test"]


def test_dev_is_drawn_from_the_seed() -> None:
    names = [f"speaker{i}" for i in range(40)]
    assert held_out(names, 0.2, ["dev", 1]) != held_out(names, 0.2, ["dev", 2])


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_is_held_out_of_too_few(count: int) -> None:
    assert held_out("a" * count, 0.5, 0) == frozenset()
