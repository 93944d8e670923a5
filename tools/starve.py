"""Give a run too little room, in every place that it writes to: does it say so, and is all well?

    python tools/starve.py [PLACE …] [--recipe FILE] [--folder DIR] [--growth 1.5] [--program FILE]

PLACE is cache, runs, dist, tmp (TMPDIR) or home (HOME); all of them by default. Runs the recipe
(tools/tiny.toml) once to the end. Then, place by place, on a file system of 64 KiB that grows each
time that the run has failed, so that the failure comes later and later; where it comes in a step
for the first time, the run is tried once more with the place read-only. Every failure must end with
exit code 1 and one line that names the place, and leave nothing that looks finished and is not. In
the end the bundle must be that of the first run. Needs Linux, and root for mounting.

Exits with 1 and says what was wrong, or prints in which steps the run failed, place by place.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from run_place import EDGEKWS, TINY, RunPlace, timed

PLACES = ("cache", "runs", "dist", "tmp", "home")
FIRST_KIB = 64


class Starver:
    """Runs a recipe with too little room in one of its places; keeps what was found."""

    def __init__(self, place: RunPlace, name: str, sums: Mapping[str, str]) -> None:
        self.place, self.small, self._sums = place, place.folder / name, sums
        self.by_step: Counter[str] = Counter()
        self.read_only: Counter[str] = Counter()
        self.lines: dict[str, str] = {}
        self.problems: list[str] = []

    def wander(self, growth: float) -> None:
        """Run with more and more room, until a run succeeds."""
        self.small.mkdir(parents=True)
        kib = float(FIRST_KIB)
        with _mounted(self.small, FIRST_KIB):
            while not self._succeeds(f"{kib:.0f} KiB", self.by_step):
                if self.by_step[self.place.step()] == 1:
                    _remount(self.small, "ro")
                    self._succeeds("read-only", self.read_only)
                    _remount(self.small, "rw")
                kib *= growth
                _remount(self.small, f"size={kib:.0f}k")
            if self.place.sums() != self._sums:
                self.problems.append("the bundle is not that of an undisturbed run")
            found = [*self.place.leftovers(), *self.place.scratch()]
            self.problems += [f"left behind: {path}" for path in found]

    def _succeeds(self, room: str, steps: Counter[str]) -> bool:
        code, output = self.place.run()
        step = self.place.step()
        found = [*self.place.faults(), *(f"still runs: {each}" for each in self.place.orphans())]
        if code:
            steps[step] += 1
            self.lines.setdefault(f"{step}, {'full' if steps is self.by_step else room}", output)
            found += self._unlike_an_error(code, output)
        self.problems += [f"{room}, in {step}: {text}" for text in found]
        return bool(code == 0)

    def _unlike_an_error(self, code: int, output: str) -> Iterator[str]:
        if code != 1:
            yield f"exit code {code}: {output[-2000:]}"
        if not output.startswith("error: ") or output.count("\n") != 1:
            yield f"not one line: {output[-2000:]}"
        if (
            str(self.small) not in output
            and str(self.small.relative_to(self.place.folder)) not in output
        ):
            yield f"does not name {self.small}: {output}"


@contextmanager
def _mounted(folder: Path, kib: int) -> Iterator[None]:
    options = ["-t", "tmpfs", "-o", f"size={kib}k", "edgekws-starve", str(folder)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def starved(
    recipe: Path, folder: Path, names: Sequence[str], growth: float, program: Sequence[str]
) -> dict[str, Starver]:
    """Starve a run of `recipe` in each of the places, and return what was found."""
    undisturbed = RunPlace(folder / "whole", recipe, program)
    undisturbed.folder.mkdir(parents=True)
    timed(undisturbed)
    found = {}
    for name in names:
        place = RunPlace(folder / name, recipe, program)
        found[name] = Starver(place, name, undisturbed.sums())
        found[name].wander(growth)
        sys.stderr.write(f"{name}: failed {sum(found[name].by_step.values())} times\n")
    return found


def main() -> int:
    """Return 1 where anything was wrong."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("places", nargs="*", metavar="PLACE", choices=[*PLACES, []])
    parser.add_argument("--recipe", type=Path, default=TINY)
    parser.add_argument("--folder", type=Path, help="kept afterwards; must not exist")
    parser.add_argument("--growth", type=float, default=1.5)
    parser.add_argument("--program", nargs=1, default=EDGEKWS, help="runs edgekws")
    given = parser.parse_args()
    if os.geteuid():
        parser.error("mounting needs root")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        recipe, places = given.recipe.resolve(), given.places or PLACES
        found = starved(recipe, folder, places, given.growth, given.program)
    summary = {
        name: {
            "failures when full": one.by_step,
            "failures when read-only": one.read_only,
            "said": one.lines,
            "problems": one.problems,
        }
        for name, one in found.items()
    }
    seconds = round(time.monotonic() - started)
    print(json.dumps({"seconds": seconds} | summary, indent=1, ensure_ascii=False))
    return any(one.problems for one in found.values())


if __name__ == "__main__":
    sys.exit(main())
