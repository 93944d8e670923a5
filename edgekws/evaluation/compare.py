"""Paired comparison of models, or of recipes over several seeds, on the same clips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Split
from edgekws.core.events import Emit, Event, progress
from edgekws.core.measurement import Measurement
from edgekws.core.paths import path_problem, user_path
from edgekws.engine.chance import warn_of_chance
from edgekws.errors import UsageError
from edgekws.evaluation.evaluation_set import EvaluationSet
from edgekws.evaluation.verdict import Pair, judge
from edgekws.metrics import differences
from edgekws.metrics.accuracy import accuracy
from edgekws.metrics.intervals import FEW_SPEAKERS
from edgekws.recipe.load import Loaded


@dataclass(frozen=True)
class Entrant:
    """A system to compare: its name, its models (one per seed), and their measurements."""

    name: str
    paths: tuple[Path, ...]
    measurements: tuple[tuple[Measurement, ...], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Every system, and every pair of them, on `clips` clips of `speakers` speakers.

    `speakers` is 0 if none is known. `notes` state the limits of the intervals.
    """

    split: Split
    clips: int
    speakers: int
    entrants: tuple[Entrant, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def check_points(points: float | None) -> None:
    """Reject an impossible difference in percentage points.

    Raises:
        UsageError: it is not above 0 and below 100.
    """
    if points is not None and not 0 < points < 100:
        text = "a difference in percentage points, above 0 and below 100"
        raise UsageError(f"--points {points:g}: {text}")


def compare(
    arguments: Sequence[str],
    loaded: Loaded,
    split: Split,
    emit: Emit,
    difference: float | None = None,
) -> Comparison:
    """Compare systems pair by pair on one split of the recipe's data.

    An argument is `PATH`, `PATH,PATH` (one system over its seeds) or `NAME=PATH,PATH`. Each model
    processes the clips with its own front end. The cost in clips is reported for `difference`, a
    share; by default for the observed one.

    Raises:
        UsageError: fewer than two systems, two of one name, or an argument without a path.
        DataError: there is no model, or it has other labels.
    """
    entrants = read_entrants(arguments)
    clips = EvaluationSet(loaded, split, emit)
    total = sum(len(entrant.paths) for entrant in entrants)
    measured: list[Entrant] = []
    predicted: list[list[NDArray[np.int64]]] = []
    for entrant in entrants:
        done = sum(len(before.paths) for before in measured)
        progress(emit, "evaluate", done, total, unit="models")
        logits = [clips.logits(path) for path in entrant.paths]
        accuracies = tuple(accuracy(each, clips.examples, clips.labels) for each in logits)
        for path, scores in zip(entrant.paths, accuracies, strict=True):
            warn_of_chance(str(path), scores, len(clips.labels), emit)
        measured.append(replace(entrant, measurements=accuracies))
        predicted.append([each.argmax(axis=1).astype(np.int64) for each in logits])
    progress(emit, "evaluate", total, total)
    speakers = differences.speaker_count(clips.examples)
    systems = differences.systems(predicted, clips.examples, clips.labels)
    notes = _notes(measured, speakers)
    for note in notes:
        emit(Event("note", note))
    pairs = judge([entrant.name for entrant in measured], systems, speakers, difference)
    return Comparison(split, len(clips.examples), speakers, tuple(measured), pairs, notes)


def read_entrants(arguments: Sequence[str]) -> list[Entrant]:
    """Parse the systems to compare.

    Raises:
        UsageError: fewer than two systems, two of one name, or an argument without a path.
    """
    entrants = [_entrant(argument) for argument in arguments]
    if len(entrants) < 2:
        raise UsageError("compare needs two systems or more: A B, or A1,A2 B1,B2 over seeds")
    names = [entrant.name for entrant in entrants]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice; give each system once, under its own name")
    return entrants


def _entrant(argument: str) -> Entrant:
    """Parse one argument; an existing path is used as is, even if it contains `=` or `,`."""
    if argument and path_problem(argument) is None and Path(argument).expanduser().exists():
        return Entrant(argument, (user_path(argument),))
    name, equals, rest = argument.partition("=")
    paths = tuple(user_path(part) for part in (rest if equals else argument).split(",") if part)
    if not paths or not name:
        raise UsageError(f"{argument!r} names no model; give PATH, PATH,PATH or NAME=PATH,PATH")
    if len(set(paths)) < len(paths):
        raise UsageError(f"{argument}: a path is given twice; name a different model for each seed")
    return Entrant(name if equals else argument, paths)


def _notes(entrants: Sequence[Entrant], n_speakers: int) -> tuple[str, ...]:
    """Return notes on the limits of the intervals."""
    notes = []
    if not n_speakers:
        notes.append("no speakers are known: the intervals take clips to be independent")
    elif n_speakers == 1:
        notes.append("all clips are of one speaker: there are no intervals and no verdict")
    elif n_speakers < FEW_SPEAKERS:
        notes.append(f"{n_speakers} speakers: read it with care")
    single = [entrant.name for entrant in entrants if len(entrant.paths) == 1]
    if single:
        notes.append(
            f"one model each of {', '.join(single)}: what another seed would change is not in the "
            "intervals; PATH,PATH gives several"
        )
    return tuple(notes)
