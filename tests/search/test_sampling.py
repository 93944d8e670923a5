"""What is drawn: all that is valid, once each, and the same again from the same results."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from edgekws.core.events import quiet
from edgekws.search import sampling
from edgekws.search.load import LoadedSweep
from edgekws.search.model import Range
from edgekws.search.sampling import Draws, Known, choice, distributions
from edgekws.search.space import Axis, axes, enumerate_all

Write = Callable[..., LoadedSweep]


def sweep(write: Write, sampler: str, batch: int = 3) -> LoadedSweep:
    return write(
        ("[parameters]", f'sampler = "{sampler}"\ntrials = 6\nbatch = {batch}\n[parameters]')
    )


def rows(drawn: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(params.values()) for params in drawn]


def test_all_that_is_valid_is_drawn_once_and_what_is_not_is_noted(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ATTEMPTS", 60)
    loaded = sweep(write, "random")
    space = enumerate_all(loaded, quiet)
    draws = Draws(loaded, axes(loaded))
    drawn = draws.next(100, ())
    assert sorted(rows(drawn)) == sorted(rows(list(space.valid)))
    invalid = {tuple(one.params.values()): one.reasons for one in draws.invalid}
    assert invalid == {tuple(one.params.values()): one.reasons for one in space.invalid}
    assert len(draws.invalid) == len(invalid)
    assert draws.next(1, ()) == []


def test_so_many_misses_in_a_row_end_the_drawing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = sweep(write, "random")
    draws = Draws(loaded, axes(loaded))
    asked: list[Any] = []

    def third(params: Any) -> bool:
        asked.append(params)
        return len(asked) in (3, 6)

    # Every third is new: two misses in a row never end it, and then nothing new comes.
    monkeypatch.setattr(sampling, "ATTEMPTS", 3)
    monkeypatch.setattr(draws, "_is_new", third)
    assert len(draws.next(5, ())) == 2
    assert len(asked) == 6 + 3
    again, seen = Draws(loaded, axes(loaded)), list[Any]()

    def never(params: Any) -> bool:
        seen.append(params)
        return False

    monkeypatch.setattr(again, "_is_new", never)
    assert again.next(5, ()) == []
    assert len(seen) == 3


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_batches_differ_and_come_again_from_the_same_results(write: Write, sampler: str) -> None:
    loaded = sweep(write, sampler)
    first, again = (Draws(loaded, axes(loaded)) for _ in range(2))
    known: list[Known] = []
    for _ in range(2):
        drawn = first.next(2, known)
        assert rows(drawn) == rows(again.next(2, known))
        known += [Known(params, 0.1 * n) for n, params in enumerate(drawn)]
    fresh = Draws(loaded, axes(loaded))
    fresh._batches = 1
    assert [fresh.next(4, ()), Draws(loaded, axes(loaded)).next(4, ())].count([]) == 0
    fresh, other = Draws(loaded, axes(loaded)), Draws(loaded, axes(loaded))
    other._batches = 5
    assert rows(fresh.next(4, ())) != rows(other.next(4, ()))


def test_tpe_goes_where_the_scores_are_and_takes_failures_in(write: Write) -> None:
    loaded = sweep(write, "tpe", batch=4)
    first = Draws(loaded, axes(loaded)).next(4, ())
    by = {"front_end.n_mels": 8, "front_end.hop_length": 200}
    good = [Known({**by, "front_end.n_mels": m}, 0.9 if m == 8 else 0.1) for m in (8, 12, 16)] * 6
    learnt = [Draws(loaded, axes(loaded)).next(1, [*good, Known(first[0], None)]) for _ in range(1)]
    (params,) = learnt[0]
    assert params["front_end.n_mels"] == 8


def test_axes_as_optuna_has_them() -> None:
    whole = Axis("whole", (), Range(low=1, high=9, step=2))
    free = Axis("free", (), Range(low=1, high=9))
    real = Axis("real", (), Range(low=0.25, high=1.0, step=0.25))
    log = Axis("log", (), Range(low=1e-4, high=1e-2, log=True))
    mixed = Axis("mixed", (), Range(low=1, high=2, step=0.5))
    named = Axis("named", ("a", [1, 2], None))
    assert distributions((whole, free, real, log, mixed, named)) == {
        "whole": IntDistribution(1, 9, step=2),
        "free": IntDistribution(1, 9),
        "real": FloatDistribution(0.25, 1.0, step=0.25),
        "log": FloatDistribution(1e-4, 1e-2, log=True),
        "mixed": FloatDistribution(1, 2, step=0.5),
        "named": CategoricalDistribution(("a", "[1,2]", None)),
    }
    assert [choice(v) for v in (1, 0.5, "x", True, None, {"b": 1, "a": 2})] == [
        1, 0.5, "x", True, None, '{"a":2,"b":1}',
    ]  # fmt: skip
