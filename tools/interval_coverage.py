"""How often the 95 % intervals hold the truth, and how often nothing is called something.

    python tools/interval_coverage.py --output coverage.json

Simulates speakers who differ from each other, and calls the functions whose intervals are printed:
accuracy, macro recall and acceptance of `_unknown_`, the difference of two models, the effects of
a sweep, misses and false alarms per hour. Each row holds the lowest and the mean coverage over the
settings that are simulated for one number of speakers; under the null, the share of comparisons and
of whole sweeps that end in a verdict though no model is better.

Talents are normally distributed in log-odds with a standard deviation of 0, 0.5 or 1, the rates of
false alarms have a Gamma distribution whose deviation is 0, 0.5 or 1 of its mean.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Examples
from edgekws.metrics import intervals
from edgekws.metrics.accuracy import accuracy
from edgekws.metrics.differences import difference, systems
from edgekws.search.effects import Cell, effects
from edgekws.search.space import Axis
from edgekws.search.statistics import PairedScores

SPEAKERS = (2, 3, 6, 10, 25, 100)
LABELS = ("_unknown_", "yes", "no", "_silence_")
CLIPS = (20, 60)
"""Clips of a speaker: a third each of `_unknown_` and of two keywords."""
MEANS = (0.8, 0.95)
SPREADS = (0.0, 0.5, 1.0)
SILENCE, SILENCE_RIGHT = 30, 0.9

Floats = NDArray[np.float64]


@cache
def talents(mean: float, spread: float) -> Floats:
    """Return shares of mean `mean`, whose log-odds have the standard deviation `spread`."""
    odds = np.random.default_rng(9).standard_normal(50_000) * spread
    low, high = -9.0, 9.0
    for _ in range(50):
        middle = (low + high) / 2
        below = (1 / (1 + np.exp(-(middle + odds)))).mean() < mean
        low, high = (middle, high) if below else (low, middle)
    return np.asarray(1 / (1 + np.exp(-(low + odds))))


def examples(speakers: int, clips: int) -> Examples:
    """Return clips of speakers, `SILENCE` clips without one behind them."""
    targets = np.tile(np.arange(clips) % 3, speakers)
    names = np.repeat([f"s{s}" for s in range(speakers)], clips)
    targets = np.append(targets, np.full(SILENCE, 3))
    names = np.append(names, np.full(SILENCE, ""))
    return Examples(
        np.zeros((len(targets), 1, 1), np.float32), targets, names, ("",) * len(targets)
    )


def answers(made: Examples, right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return labels that are right where they should be, and else a keyword."""
    return np.where(right, made.targets, np.where(made.targets == 1, 2, 1))


def shares(rng: np.random.Generator, speakers: int, runs: int) -> Iterator[tuple[str, bool]]:
    """Yield metric and whether its interval held, for every setting."""
    for clips, mean, spread in itertools.product(CLIPS, MEANS, SPREADS):
        made = examples(speakers, clips)
        spoken = speakers * clips
        truth = dict.fromkeys(("macro_recall", "keyword_recall", "unknown_recall"), mean)
        truth |= {"unknown_accepted": 1 - mean, "silence_recall": SILENCE_RIGHT}
        truth["accuracy"] = (mean * spoken + SILENCE_RIGHT * SILENCE) / (spoken + SILENCE)
        for _ in range(runs):
            chance = np.repeat(rng.choice(talents(mean, spread), speakers), clips)
            chance = np.append(chance, np.full(SILENCE, SILENCE_RIGHT))
            called = answers(made, rng.random(len(chance)) < chance)
            for one in accuracy(np.eye(4, dtype=np.float32)[called], made, LABELS):
                assert one.ci95
                name = f"{one.metric}, {clips} clips, {mean:.0%}, spread {spread}"
                yield name, one.ci95[0] <= truth[one.metric] <= one.ci95[1]


def null_pair(
    rng: np.random.Generator, made: Examples, speakers: int, clips: int, spread: float
) -> list[NDArray[np.int64]]:
    """Return the answers of two models that are as good, but not for the same speakers."""
    talent = np.repeat(rng.normal(1.5, 0.7, speakers), clips) + rng.logistic(size=speakers * clips)
    called = []
    for _ in range(2):
        ease = np.repeat(rng.normal(0, spread, speakers), clips)
        odds = talent + ease + 0.3 * rng.logistic(size=speakers * clips)
        right = np.append(odds > 0, rng.random(SILENCE) < SILENCE_RIGHT)
        called.append(answers(made, right))
    return called


def comparisons(rng: np.random.Generator, speakers: int, runs: int) -> Iterator[tuple[str, bool]]:
    """Yield whether the interval of a difference held 0."""
    for clips, spread in itertools.product(CLIPS, (0.0, 0.3, 0.7)):
        made = examples(speakers, clips)
        for _ in range(runs):
            a, b = null_pair(rng, made, speakers, clips, spread)
            found = difference(*systems([[a], [b]], made, LABELS))
            assert found.ci95
            yield f"difference, {clips} clips, spread {spread}", found.p >= 0.05


def null_sweep(rng: np.random.Generator, speakers: int, spread: float) -> list[Any]:
    """Return the effects of four factors of two levels that do nothing."""
    names = "pqrs"
    axes = [Axis(name, ("off", "on"), levels={"off": {}, "on": {}}) for name in names]
    talent = rng.normal(2, 0.7, (speakers, 1))
    tables, cells = {}, []
    for n, levels in enumerate(itertools.product(("off", "on"), repeat=len(names))):
        odds = (talent + rng.normal(0, spread, (speakers, 1))).repeat(2, 1)
        right = rng.binomial(30, 1 / (1 + np.exp(-odds)))
        rows = itertools.product(range(speakers), range(2))
        tables[str(n)] = {
            "speakers": speakers,
            "groups": [f"s{s}" for s in range(speakers)],
            "labels": ["up", "down"],
            "cells": [[s, label, 30, int(right[s, label])] for s, label in rows],
        }
        cells.append(Cell(dict(zip(names, levels, strict=True)), (str(n),)))
    return list(effects(axes, cells, PairedScores(tables, "accuracy")))


def sweeps(rng: np.random.Generator, speakers: int, runs: int) -> Iterator[tuple[str, bool]]:
    """Yield whether the interval of each effect held 0, and whether a sweep found nothing."""
    for spread in (0.0, 0.4):
        for _ in range(runs):
            found = null_sweep(rng, speakers, spread)
            for effect in found:
                low, high = effect.estimate.ci95
                yield f"effect, spread {spread}", low <= 0 <= high
            quiet = not any(effect.verdict in ("helps", "hurts") for effect in found)
            yield f"sweep, spread {spread}", quiet


def events(rng: np.random.Generator, speakers: int, runs: int) -> Iterator[tuple[str, bool]]:
    """Yield whether the interval of false alarms per hour held, for every setting."""
    for rate, spread, seconds in itertools.product((2.0, 20.0), SPREADS, (120.0, 600.0)):
        for _ in range(runs):
            each = rng.gamma(spread**-2, spread**2, speakers) if spread else np.ones(speakers)
            heard = seconds * rng.uniform(0.5, 1.5, speakers)
            counts = rng.poisson(rate * each * heard / intervals.HOUR_S)
            found = intervals.hourly(counts, heard, speakers)
            assert found
            name = f"false alarms, {rate:.0f} an hour, spread {spread}, {seconds:.0f} s"
            yield name, found[0] <= rate <= found[1]


def simulated(speakers: int, runs: int) -> dict[str, Any]:
    """Return the coverage of every figure for one number of speakers."""
    rng = np.random.default_rng((2026, speakers))
    held: dict[str, list[bool]] = {}
    for source, times in ((shares, 1), (comparisons, 1), (sweeps, 1), (events, 2)):
        for name, holds in source(rng, speakers, times * runs):
            held.setdefault(name, []).append(holds)
    by_figure: dict[str, list[float]] = {}
    for name, all_of in held.items():
        by_figure.setdefault(name.partition(",")[0], []).append(float(np.mean(all_of)))
    return {
        "speakers": speakers,
        "figures": {
            figure: {"lowest": min(rates), "mean": float(np.mean(rates)), "settings": len(rates)}
            for figure, rates in by_figure.items()
        },
        "settings": {name: float(np.mean(all_of)) for name, all_of in held.items()},
    }


def main() -> None:
    """Simulate, print a table and write everything as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500, help="simulations of every setting")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    given = parser.parse_args()
    rows = []
    for speakers in SPEAKERS:
        rows.append(simulated(speakers, given.runs))
        figures = rows[-1]["figures"].items()
        shown = ", ".join(f"{name} {100 * one['lowest']:.1f} %" for name, one in figures)
        print(f"{speakers} speakers, lowest coverage: {shown}", flush=True)
    if given.output:
        given.output.write_text(json.dumps({"runs": given.runs, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
