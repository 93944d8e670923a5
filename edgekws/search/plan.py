"""Plan a sweep without data or training."""

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
from edgekws.search.trial import TrialFactory

FIRST = 3


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """The size of a sweep. `listed` is whether every combination was checked.

    `trials` is combinations times seeds, plus the finalists. `epochs` are those of the last
    training step, `shared_epochs` those of earlier steps, without the finalists; `estimated_s`
    comes from finished trials, and is `None` before the first.
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
    """Count valid and invalid combinations, and the epochs to train.

    If a range has no steps, as many combinations are sampled as the sweep has trials.

    Raises:
        RecipeError: the sweep is invalid, or no combination is valid.
    """
    sweep, varied = loaded.sweep, axes(loaded)
    listed = finite(varied)
    space = enumerate_all(loaded, emit) if listed else _sampled_space(loaded)
    count = min(sweep.trials or len(space.valid), len(space.valid))
    trials = TrialFactory(loaded, varied)
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


def _sampled_space(loaded: LoadedSweep) -> Space:
    draws = Draws(loaded, axes(loaded))
    valid = draws.next(loaded.sweep.trials or 0, ())
    return Space(axes(loaded), tuple(valid), tuple(draws.invalid))


def _pace(folder: Path, storage: str | None, name: str) -> float | None:
    """Return the worker seconds per epoch, including all overhead."""
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
            unused = ", ".join(texts({axis.name: value})[0] for value in lost)
            notes.append(f"in no valid combination: {unused}")
    if pace is None:
        notes.append("how long it takes is known after the first trials")
    if loaded.sweep.evaluate_on == "test":
        notes.append("the verdict is on test, which nothing is chosen by")
    return notes
