"""What a sweep will do, told without data or training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekws.core.events import Emit
from edgekws.search.load import LoadedSweep
from edgekws.search.overrides import texts
from edgekws.search.sampling import Draws
from edgekws.search.size import shared_epochs, total_epochs
from edgekws.search.space import Params, Space, axes, enumerate_all, finite
from edgekws.search.storage import Storage, file_url
from edgekws.search.trial import Plan

FIRST = 3


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """How large a sweep is. `listed` tells whether every combination was looked at.

    `trials` counts combinations times seeds, with the finalists. `epochs` are those of the last
    step that trains, `shared_epochs` those of steps before it, without the finalists' own;
    `estimated_s` comes from trials that have been run, and is `None` before the first.
    """

    name: str
    valid: int
    invalid: int
    listed: bool
    reasons: list[dict[str, Any]]
    first_valid: list[Params]
    trials: int
    epochs: int
    shared_epochs: int
    seeds: tuple[int, ...]
    workers: int
    estimated_s: float | None
    notes: tuple[str, ...]


def plan(
    loaded: LoadedSweep, runs: Path, workers: int, storage: str | None, emit: Emit
) -> SweepPlan:
    """Count what is valid and what is not, and say how much there is to train.

    Where a range has no steps, as many combinations as the sweep has trials are drawn at random.

    Raises:
        RecipeError: the sweep is wrong, or nothing in it is valid.
    """
    sweep, found = loaded.sweep, axes(loaded)
    listed = finite(found)
    space = enumerate_all(loaded, emit) if listed else _drawn(loaded)
    count = min(sweep.trials or len(space.valid), len(space.valid))
    trials = Plan(loaded, found)
    epochs = total_epochs(trials, count)
    pace = _pace(runs / "sweeps" / sweep.name, storage, sweep.name)
    finals = sweep.finalists
    more = min(finals.count, count) * len(finals.seeds) if finals else 0
    return SweepPlan(
        name=sweep.name,
        valid=len(space.valid),
        invalid=len(space.invalid),
        listed=listed,
        reasons=space.reasons(),
        first_valid=list(space.valid[:FIRST]),
        trials=count * len(sweep.seeds) + more,
        epochs=epochs,
        shared_epochs=shared_epochs(trials, space.valid[:count]),
        seeds=sweep.seeds,
        workers=workers,
        estimated_s=None if pace is None else pace * epochs / workers,
        notes=tuple(_notes(loaded, space, pace)),
    )


def _drawn(loaded: LoadedSweep) -> Space:
    draws = Draws(loaded, axes(loaded))
    valid = draws.next(loaded.sweep.trials or 0, ())
    return Space(axes(loaded), tuple(valid), tuple(draws.invalid))


def _pace(folder: Path, storage: str | None, name: str) -> float | None:
    """Return the seconds of a worker for an epoch, with all that goes with it."""
    if storage is None and not (folder / "study.db").is_file():
        return None
    store = Storage(storage or file_url(folder), name)
    store.database.close()
    rows = store.rows.values()
    epochs = sum(max(row.scores, default=0) for row in rows)
    return sum(row.seconds for row in rows) / epochs if epochs else None


def _notes(loaded: LoadedSweep, space: Space, pace: float | None) -> list[str]:
    notes = []
    for axis in space.axes:
        used = [params[axis.name] for params in space.valid]
        lost = [value for value in axis.values if value not in used]
        if lost:
            named = ", ".join(texts({axis.name: value})[0] for value in lost)
            notes.append(f"in no valid combination: {named}")
    if pace is None:
        notes.append("how long it takes is known after the first trials")
    if loaded.sweep.evaluate_on == "test":
        notes.append("the verdict is on test, which nothing is chosen by")
    return notes
