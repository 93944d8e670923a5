"""A tiny base recipe on a tiny folder of tones, and a crew that only pretends to train."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.core.canonical import sha256_of
from edgekws.core.events import Event
from edgekws.search.load import LoadedSweep, load_sweep
from edgekws.search.trial import Unit, UnitResult

BASE = """
schema = 1
name = "база"
seed = 3

[dataset]
kind = "folder"
root = "{root}"
keywords = ["up", "down"]
dev_fraction = 0.3
test_fraction = 0.3

[front_end]
sample_rate = 8000
n_fft = 256
win_length = 200
hop_length = 200
n_mels = 16

[augment]
copies = 0

[[steps]]
kind = "teacher"
backbone = {{ kind = "mel_spanning", channels = 4, blocks = 1, head = 0, stem_stride = 4 }}
training = {{ epochs = 4, batch_size = 32, schedule = {{ warmup_epochs = 0 }} }}
"""
SWEEP = """schema = 1
name = "пробный"
base = "base.toml"
until = "teacher"

[parameters]
front_end.n_mels = [8, 12, 16, 300]
front_end.hop_length = [160, 200, 400]
"""

Write = Callable[..., LoadedSweep]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base.toml`, and tones under `words`; not to be changed."""
    folder = tmp_path_factory.mktemp("дом")
    random = np.random.default_rng(0)
    for n, word in enumerate(("up", "down", "other")):
        (folder / "words" / word).mkdir(parents=True)
        for speaker in range(10):
            for clip in range(3):
                time = np.arange(4000) / 8000
                pitch = 300 * (n + 1) * (1 + 0.02 * speaker)
                wave = 0.3 * np.sin(2 * np.pi * pitch * time) + random.normal(0, 0.05, 4000)
                file = folder / "words" / word / f"s{speaker}_{clip}.wav"
                soundfile.write(file, wave, 8000)
    (folder / "base.toml").write_text(BASE.format(root=folder / "words"), encoding="utf-8")
    return folder


def write_sweep(home: Path, folder: Path, *pairs: tuple[str, str], more: str = "") -> LoadedSweep:
    """Write a sweep file from pieces of text put in place of others, and load it."""
    text = SWEEP.replace("base.toml", str(home / "base.toml"))
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    file = folder / "sweep.toml"
    file.write_text(text + more, encoding="utf-8")
    return load_sweep(file)


@pytest.fixture
def write(home: Path, tmp_path: Path) -> Write:
    """`write_sweep` into a folder of the test's own."""
    return functools.partial(write_sweep, home, tmp_path)


def score(unit: Unit, epochs: int) -> float:
    """Return the pretended score of a trial: better with more mels, a little by chance."""
    chance = int(sha256_of([unit.trial.key])[:4], 16) / 0xFFFF
    mels = unit.trial.params.get("front_end.n_mels", 10)
    return min(0.99, 0.4 + 0.01 * float(mels) + 0.01 * chance + 0.001 * epochs)


def table(share: float, chance: int) -> dict[str, Any]:
    """Return a table of ten speakers, each with ten clips of two labels."""
    random = np.random.default_rng(chance)
    right = random.binomial(10, share, (10, 2))
    cells = [[g, label, 10, int(right[g, label])] for g in range(10) for label in range(2)]
    names = [f"s{g}" for g in range(10)]
    return {"speakers": 10, "groups": names, "labels": ["up", "down"], "cells": cells}


class Pretender:
    """Does units at once. `fails` are values of `n_mels` that fail; `stops_after` so many units."""

    def __init__(self, size: int, *_: Path, fails: tuple[Any, ...] = (), stops_after: int = 10**9):
        self.size, self.fails, self.left = size, fails, stops_after
        self.units: list[Unit] = []
        self.done: list[tuple[str, int | None]] = []

    def submit(self, unit: Unit) -> None:
        assert len(self.units) < self.size
        self.units.append(unit)

    def wait(self, timeout_s: float) -> list[UnitResult | Event]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        unit = self.units.pop()  # the last one first: nothing may depend on the order
        self.done.append((unit.trial.key, unit.epochs))
        return [self._outcome(unit)]

    def _outcome(self, unit: Unit) -> UnitResult:
        if unit.trial.params.get("front_end.n_mels") in self.fails:
            return UnitResult(unit.trial.key, error="it broke", seconds=1.0)
        last = unit.epochs or unit.trial.epochs
        scores = tuple((epoch, score(unit, epoch)) for epoch in range(1, last + 1))
        result = None
        if unit.epochs is None:
            value = score(unit, last)
            built = table(value, int(unit.trial.key[:6], 16))
            names = ("accuracy", "macro_recall")
            found = [{"metric": name, "value": value} for name in names]
            found += [{"metric": "params", "value": 1000.0}, {"metric": "macs", "value": 2000.0}]
            result = {"measurements": found, "tables": {"dev": built, "test": built}}
        return UnitResult(unit.trial.key, scores, result, None, 1.0, 100.0)

    def close(self) -> None:
        self.units.clear()


@pytest.fixture
def pretender() -> type[Pretender]:
    """The crew that pretends."""
    return Pretender


@pytest.fixture
def made_table() -> Callable[[float, int], dict[str, Any]]:
    """Make the table of a trial from its share of right clips and a seed."""
    return table
