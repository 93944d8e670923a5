"""From a TOML file to a typed sweep, with every error at its file and line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekws.core.kinds import closest
from edgekws.core.paths import path_problem
from edgekws.errors import Problem, RecipeError
from edgekws.recipe.load import Loaded, builtin_sweeps, load
from edgekws.recipe.messages import explain
from edgekws.recipe.sources import dotted
from edgekws.recipe.toml_lines import KeyPath, read_toml
from edgekws.search.chain import needed, trained
from edgekws.search.model import Sweep
from edgekws.search.overrides import flat, texts


@dataclass(frozen=True)
class LoadedSweep:
    """A sweep, its file, its base recipe, and `overrides` from the command line.

    The seed of `seeded_step` is varied: the last training step of those that `until` needs.
    """

    sweep: Sweep
    path: Path
    base: str
    overrides: tuple[str, ...]
    lines: dict[KeyPath, int]
    seeded_step: str = ""

    @property
    def fixed(self) -> list[str]:
        """Overrides of every trial: one thread per worker, `[set]`, then the command line."""
        return ["threads=1", *texts(self.sweep.set), *self.overrides]

    def where(self, *path: str | int) -> str:
        """Return `file:line` of a key path, or of the nearest table around it."""
        for n in range(len(path), 0, -1):
            if path[:n] in self.lines:
                return f"{self.path}:{self.lines[path[:n]]}"
        return str(self.path)

    def relocated(self, problem: Problem) -> Problem:
        """Return a problem of an override at its line in this file; leave others unchanged."""
        text = problem.where.removeprefix("--set ")
        if text == problem.where or text in self.overrides:
            return problem
        key = text.partition("=")[0]
        for at, name, _ in _settings(self.sweep):
            if name == key:
                return Problem(self.where(*at), problem.key or key, problem.message)
        return problem


def load_sweep(path: Path | str, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Read the sweep in the file `path`, or the built-in one of that name.

    Raises:
        RecipeError: it is invalid, or its base with `[set]` is.
    """
    file = _find(path)
    data, lines = read_toml(file)
    try:
        sweep = Sweep.model_validate(data)
    except ValidationError as error:
        messages = explain(Sweep, data, error.errors())
        raise RecipeError(sorted(_problems(file, lines, messages), key=_by_line)) from error
    loaded = LoadedSweep(sweep, file, _base(sweep.base, file), tuple(overrides), lines)
    base = _load_base(loaded)
    _check_steps(loaded, base)
    return replace(loaded, seeded_step=_seeded_step(base.recipe.steps, sweep.until))


def _find(path: Path | str) -> Path:
    if problem := path_problem(path):
        raise RecipeError([Problem(str(path)[:80], "", problem)])
    file, known = Path(path).expanduser(), builtin_sweeps()
    if file.exists():
        return file
    if str(path) in known:
        return known[str(path)]
    hint = closest(file.stem, tuple(known)) if len(file.parts) == 1 and known else ""
    raise RecipeError([Problem(str(path), "", f"there is no such sweep file{hint}")])


def _problems(file: Path, lines: dict[KeyPath, int], messages: dict[KeyPath, str]) -> list[Problem]:
    problems = []
    for at, message in messages.items():
        line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), None)
        where = str(file) if line is None else f"{file}:{line}"
        problems.append(Problem(where, dotted(at), message))
    return problems


def _by_line(problem: Problem) -> int:
    line = problem.where.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0


def _base(name: str, file: Path) -> str:
    beside = file.parent / name
    return str(beside) if path_problem(beside) is None and beside.is_file() else name


def _load_base(loaded: LoadedSweep) -> Loaded:
    try:
        return load(loaded.base, loaded.fixed)
    except RecipeError as error:
        problems = [loaded.relocated(p) for p in error.problems]
        missing = [p for p in problems if p.where == loaded.base and not p.key]
        at = loaded.where("base")
        raise RecipeError(
            [Problem(at, "base", f"{p.where}: {p.message}") for p in missing] or problems
        ) from error


def _settings(sweep: Sweep) -> list[tuple[KeyPath, str, Any]]:
    """Return every key that the file sets, with its place in the file."""
    settings = [(("set", *at), key, value) for at, key, value in flat(sweep.set)]
    settings += [(("parameters", *at), key, value) for at, key, value in flat(sweep.parameters)]
    if sweep.finalists:
        inner = flat(sweep.finalists.set)
        settings += [(("finalists", "set", *at), key, value) for at, key, value in inner]
    for n, factor in enumerate(sweep.factors):
        for level, table in factor.levels.items():
            place = ("factors", n, "levels", level)
            settings += [((*place, *at), key, value) for at, key, value in flat(table)]
    return settings


def _seeded_step(steps: Sequence[Any], until: str) -> str:
    """Return the name of the last training step, empty if there is none."""
    training = trained(needed(steps, until))
    return training[-1].name if training else ""


def _check_steps(loaded: LoadedSweep, base: Loaded) -> None:
    """Reject a step that does not exist, or that does not support the sweep's settings."""
    sweep, steps = loaded.sweep, {step.name: step for step in base.recipe.steps}

    def reject(key: str, message: str) -> None:
        raise RecipeError([Problem(loaded.where(key), key, message)])

    if sweep.until not in steps:
        reject("until", f"no step is called {sweep.until}{closest(sweep.until, tuple(steps))}")
    step: Any = steps[sweep.until]
    if step.gives == "stream":
        reject("until", f'"{step.name}" gives a form for a stream; end with the step before it')
    if step.gives == "detection":
        reject("until", f'"{step.name}" gives settings alone; end with the step before it')
    if step.gives == "audio_teacher":
        reject("until", f'"{step.name}" gives a teacher alone; end with the step that it teaches')
    if sweep.pruning and not trained([step]):
        reject("pruning", f'"{step.name}" has no epochs to prune at; end with a step that trains')
    if sweep.pruning and sweep.pruning.rungs[-1] >= step.training.epochs:
        epochs = step.training.epochs
        reject("pruning", f'"{step.name}" trains {epochs} epochs; the last rung must be below that')
    if not _seeded_step(base.recipe.steps, sweep.until):
        reject("until", f'no step up to "{sweep.until}" trains, so seeds change nothing')
