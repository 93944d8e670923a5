"""Run a sweep: rung by rung, on workers that may die, resuming where it stopped."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event, progress
from edgekws.core.figures import share
from edgekws.errors import DataError, writing
from edgekws.search.crew import Crew, LocalCrew
from edgekws.search.load import LoadedSweep
from edgekws.search.overrides import texts
from edgekws.search.results import Results, Standing, results
from edgekws.search.sampling import Draws, Known
from edgekws.search.shelf import trim
from edgekws.search.size import kept, total_epochs
from edgekws.search.space import Params, Space, axes, enumerate_all
from edgekws.search.storage import Storage, file_url
from edgekws.search.trial import TrialFactory, Unit, UnitResult

MakeCrew = Callable[[int, Path, Path, Path], Crew]
"""Creates the workers from their number, the cache, the folder of features, and the log."""


def sweep(
    loaded: LoadedSweep,
    *,
    runs: Path,
    workers: int,
    storage: str | None = None,
    emit: Emit,
    make_crew: MakeCrew = LocalCrew,
) -> Results:
    """Run every unfinished trial, and return the results.

    Finished work is kept in `storage`, by default a file in the sweep's folder under `runs`: the
    same call after an interruption resumes there. A failed trial is listed, and tried again by the
    next call.

    Raises:
        RecipeError: the sweep is invalid, or no combination is valid.
        DataError: every trial failed.
        UsageError, MissingPartError, MachineError: the storage cannot be used.
    """
    started = time.monotonic()
    folder = sweep_folder(runs, loaded.sweep.name)
    shelf = cache_folder() / "sweeps" / loaded.sweep.name
    varied = axes(loaded)
    crew = make_crew(workers, cache_folder(), shelf, folder / "workers.log")
    try:
        store = Storage(storage or file_url(folder), loaded.sweep.name)
        driver = _Driver(TrialFactory(loaded, varied), store, crew, shelf, emit)
        with store.database.errors_explained(), closing(store.database):
            driver.run()
    finally:
        crew.close()
    trim(shelf, 0.0)
    wall_s = time.monotonic() - started
    summary = results(
        driver.factory, store, driver.standings(), driver.space, driver.timing(wall_s)
    )
    _check_any(summary)
    return summary


def sweep_folder(runs: Path, name: str) -> Path:
    """Return the folder of a sweep's results, and create it if it does not exist.

    Raises:
        MachineError: it cannot be created.
    """
    folder = runs / "sweeps" / name
    with writing(folder, "name another --runs"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_any(summary: Results) -> None:
    if summary.failures and not any(s.value is not None for s in summary.standings):
        first = summary.failures[0]["error"]
        raise DataError(f"all {len(summary.failures)} trials failed; the first: {first}")


@dataclass
class _Driver:
    """Runs the trials of one sweep."""

    factory: TrialFactory
    store: Storage
    crew: Crew
    shelf: Path
    emit: Emit
    space: Space = field(init=False)
    done: int = 0
    total: int = 0
    units: int = 0
    best: float = -math.inf
    combinations: dict[str, Standing] = field(default_factory=dict)

    def run(self) -> None:
        """Search, then train the finalists."""
        sweep = self.factory.loaded.sweep
        if sweep.sampler == "grid":
            self.space = enumerate_all(self.factory.loaded, self.emit)
            self._note(f"{len(self.space.valid)} combinations, {len(self.space.invalid)} invalid")
            self.total = total_epochs(self.factory, len(self.space.valid))
            self._halve(self.space.valid)
        else:
            self._draw()
        if sweep.finalists:
            self._finals()

    def _draw(self) -> None:
        sweep = self.factory.loaded.sweep
        assert sweep.trials is not None
        draws = Draws(self.factory.loaded, self.factory.axes)
        drawn: list[Params] = []
        self.total = total_epochs(self.factory, sweep.trials)
        size = sweep.batch if sweep.sampler == "tpe" else sweep.trials
        while len(drawn) < sweep.trials:
            fresh = draws.next(min(size, sweep.trials - len(drawn)), self._known())
            drawn += fresh
            self.space = Space(self.factory.axes, tuple(drawn), tuple(draws.invalid))
            self._halve(fresh)
            if not fresh:
                self._note(f"nothing new to draw after {len(drawn)} combinations")
                return

    def _known(self) -> list[Known]:
        return [Known(s.params, s.value) for s in self.combinations.values()]

    def _halve(self, configs: Sequence[Params]) -> None:
        """Train combinations; at every rung, only the best continue."""
        sweep = self.factory.loaded.sweep
        alive = [Standing.begin(self.factory, params, sweep.seeds) for params in configs]
        self.combinations |= {standing.id: standing for standing in alive}
        before = 0
        for rung in sweep.pruning.rungs if sweep.pruning else ():
            self.complete([Unit(t, rung, before) for standing in alive for t in standing.trials])
            before = rung
            alive = [s for s in alive if self._judge(s, rung)]
            ranked = sorted(alive, key=lambda s: -(s.value or 0.0))
            keep = kept(sweep, len(ranked))
            for standing in ranked[keep:]:
                standing.state = "pruned"
                self._close(standing)
            going_on = {standing.id for standing in ranked[:keep]}
            alive = [s for s in alive if s.id in going_on]  # in the order of the grid
            self._note(f"after {rung} epochs {len(alive)} of {len(ranked)} continue")
        self.complete([Unit(t, None, before) for standing in alive for t in standing.trials])
        for standing in alive:
            if self._judge(standing, None):
                standing.state = "complete"
            self._close(standing)

    def _finals(self) -> None:
        sweep = self.factory.loaded.sweep
        assert sweep.finalists is not None
        ranked = [s for s in self.combinations.values() if s.state == "complete"]
        ranked.sort(key=lambda s: -(s.value or 0.0))
        more = texts(sweep.finalists.set)
        chosen = ranked[: sweep.finalists.count]
        if sweep.finalists.base:
            others = [
                s for s in self.combinations.values() if s.state != "failed" and s not in chosen
            ]
            chosen += [s for s in others if s.base]
        finals = [
            Standing.begin(self.factory, s.params, sweep.finalists.seeds, more) for s in chosen
        ]
        self._note(f"{len(finals)} finalists, {len(sweep.finalists.seeds)} seeds each")
        self.complete([Unit(t) for standing in finals for t in standing.trials])
        for standing in finals:
            if self._judge(standing, None):
                standing.state = "final"
            self._close(standing)
            self.combinations[f"final {standing.id}"] = standing

    def _judge(self, standing: Standing, epochs: int | None) -> bool:
        """Set the score of a combination at a rung; return whether all seeds succeeded."""
        rows = [self.store.rows[trial.key] for trial in standing.trials]
        if not all(row.reached(epochs) for row in rows):
            standing.state = "failed"
            standing.value = None
            standing.error = next((row.error for row in rows if row.error), "not finished")
            self._close(standing)
            return False
        standing.judge(rows, epochs)
        return True

    def _close(self, standing: Standing) -> None:
        """Record in the study how the trials of a combination ended."""
        for trial in standing.trials:
            row = self.store.rows[trial.key]
            if row.result is not None:
                value = row.result_value(trial.objective)
                self.store.close(trial.key, "complete", value)
            elif standing.state == "pruned":
                self.store.close(trial.key, "pruned", row.scores[max(row.scores)])
            else:
                self.store.close(trial.key, "failed")

    def complete(self, units: Sequence[Unit]) -> None:
        """Run every unfinished unit on the crew, and wait for units run by other drivers."""
        self.store.add([unit.trial for unit in units])
        todo = {unit.trial.key: unit for unit in units if not self._reached(unit)}
        for unit in todo.values():
            self.store.reopen(unit.trial)
        self.total -= sum(u.size for u in units if u.trial.key not in todo)
        running: dict[str, Unit] = {}
        while todo or running:
            self._submit(todo, running)
            for message in self.crew.wait(1.0):
                if isinstance(message, Event):
                    self.emit(message)
                else:
                    self._finish(message, running)
            self.store.renew(running)
            if todo and not running:  # others work on what is left
                self.store.refresh()
                over = [key for key, unit in todo.items() if self._is_over(unit)]
                self._advance([todo.pop(key) for key in over])

    def _submit(self, todo: dict[str, Unit], running: dict[str, Unit]) -> None:
        for key in list(todo):
            if len(running) >= self.crew.size:
                return
            if self.store.claim(key):
                unit = todo.pop(key)
                if self._reached(unit):  # another driver did it meanwhile
                    self.store.release(key)
                    self._advance([unit])
                else:
                    running[key] = unit
                    self.crew.submit(unit)

    def _finish(self, outcome: UnitResult, running: dict[str, Unit]) -> None:
        unit = running.pop(outcome.key)
        self.store.record(outcome)
        self.units += 1
        trim(self.shelf, self.factory.loaded.sweep.features_gib)
        if outcome.error:
            settings = ", ".join(texts(unit.trial.params))
            self.emit(Event("warning", f"a trial failed ({settings}): {outcome.error}"))
        self._advance([unit])
        self._note_best(outcome, unit)

    def _note_best(self, outcome: UnitResult, unit: Unit) -> None:
        """Emit a note on a new best completed trial."""
        if outcome.result is None:
            return
        value = self.store.rows[outcome.key].result_value(unit.trial.objective)
        if value > self.best:
            self.best = value
            settings = ", ".join(texts(unit.trial.params))
            self._note(f"best so far {share(value)} on dev: {settings}")

    def _reached(self, unit: Unit) -> bool:
        return self.store.rows[unit.trial.key].reached(unit.epochs)

    def _is_over(self, unit: Unit) -> bool:
        """Return whether another driver has finished a unit, or its trial has failed."""
        return self._reached(unit) or self.store.rows[unit.trial.key].state == "failed"

    def _advance(self, units: Sequence[Unit]) -> None:
        """Count the epochs of finished units, and report progress."""
        self.done += sum(unit.size for unit in units)
        best = None if self.best == -math.inf else self.best
        self.total = max(self.total, self.done)
        progress(self.emit, "epochs of the sweep", self.done, self.total, best=best)

    def _note(self, text: str) -> None:
        self.emit(Event("note", text))

    def standings(self) -> list[Standing]:
        """Return all combinations; finalists are listed in addition."""
        return list(self.combinations.values())

    def timing(self, wall_s: float) -> dict[str, Any]:
        """Return the time of this run; results from the storage cost nothing."""
        rows = self.store.rows.values()
        return {
            "wall_s": wall_s,
            "workers": self.crew.size,
            "units": self.units,
            "units_per_h": self.units / wall_s * 3600,
            "busy_s": sum(row.seconds for row in rows),
            "worker_mib": max((row.rss_mib for row in rows), default=0.0),
        }
