"""Runs cases one after the other, and keeps what is needed to run one of them again."""

import gc
import importlib
import json
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import edgekws
from tools.fuzzing import caches, process, properties
from tools.fuzzing.case import Box, Case, Outcome

KINDS = ("recipes", "tables", "audio", "bundles", "caches")
SHARES = {"recipes": 35, "tables": 25, "audio": 19, "bundles": 19, "caches": 2}
"""Cases of each kind in a hundred."""


@dataclass(frozen=True)
class Result:
    """What became of a case: `problems` is empty where everything held."""

    kind: str
    index: int
    code: int | None
    cpu_s: float
    wall_s: float
    memory_mib: float
    problems: Sequence[str]


def module(kind: str) -> Any:
    """Return the module of a kind."""
    return importlib.import_module(f"tools.fuzzing.{kind}")


def warm() -> None:
    """Import what commands import."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import matplotlib

    matplotlib.use("Agg")
    for name in (*_modules(), *process.BESIDES):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else every forked process copies what it only looks through


def _modules() -> Iterator[str]:
    """Yield the modules of edgekws that need nothing optional."""
    for found in pkgutil.walk_packages(edgekws.__path__, "edgekws."):
        if not found.name.endswith(("__main__", "ray_crew")):
            yield found.name


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder for material and boxes, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="edgekws-fuzz-") as name:
        yield Path(name).resolve()


def prepare(kinds: Iterable[str], folder: Path) -> None:
    """Write the material of the kinds in a process of its own, which may run models.

    Raises:
        RuntimeError: it could not be made; the message says why.
    """
    for kind in kinds:
        material = folder / kind
        material.mkdir()
        box = Box(folder / "preparing" / kind)
        box.make()

        def write(kind: str = kind, material: Path = material) -> int:
            module(kind).prepare(material)
            return 0

        _must(process.forked(write, Case((), frozenset({0})), box))
        if kind == "caches":
            done = process.run(caches.reference(material), box)
            _must(done)
            shutil.copytree(box.cache, material / "cache")
            (material / "reference.jsonl").write_text(done.stdout, encoding="utf-8")
    shutil.rmtree(folder / "preparing", ignore_errors=True)


def _must(done: Outcome) -> None:
    if done.code != 0:
        raise RuntimeError(f"the material cannot be made: {done.stderr[-2000:]}")


def attempt(kind: str, seed: int, index: int, folder: Path, failures: Path | None) -> Result:
    """Make a case and run it; where something does not hold, keep its input under `failures`."""
    around = folder / f"{kind}-{index}"
    box = Box(around / "box")
    box.make()
    try:
        rng = Random(f"{seed} {kind} {index}")
        case = module(kind).make(rng, folder / kind, box)
        outcome, problems = judged(case, box, around)
        if problems and failures is not None:
            _keep(failures / f"{kind}-{seed}-{index}", case, box, outcome, problems)
    finally:
        shutil.rmtree(around, ignore_errors=True)
    return Result(
        kind,
        index,
        outcome.code,
        outcome.cpu_s,
        outcome.wall_s,
        outcome.memory_mib,
        tuple(problems),
    )


def judged(case: Case, box: Box, around: Path) -> tuple[Outcome, list[str]]:
    """Run a case; return what it did and what does not hold of it."""
    before = properties.listing(around, box.outputs, box.cache)
    outcome = process.run(case, box)
    after = properties.listing(around, box.outputs, box.cache)
    return outcome, properties.failures(case, box, outcome, before, after)


def _keep(place: Path, case: Case, box: Box, outcome: Outcome, problems: list[str]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    summary = {
        "arguments": case.arguments, "problems": problems, "code": outcome.code,
        "cpu_s": outcome.cpu_s, "memory_mib": outcome.memory_mib,
        "stderr": outcome.stderr[-20_000:], "stdout": outcome.stdout[-20_000:],
    }  # fmt: skip
    text = json.dumps(summary, indent=1, ensure_ascii=True)
    (place / "case.json").write_text(text, encoding="utf-8")
    (place / "stdin").write_bytes(case.stdin)
    shutil.copytree(box.inputs, place / "in", symlinks=True, ignore=_special)
    if case.judge:
        shutil.copytree(box.cache, place / "cache", symlinks=True)


def _special(folder: str, names: list[str]) -> list[str]:
    """Leave out pipes, which nobody can copy."""
    return [
        n
        for n in names
        if not (p := Path(folder, n)).is_symlink() and not (p.is_file() or p.is_dir())
    ]
