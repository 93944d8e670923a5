"""Kill a run again and again: does it end with the same bytes, and is nothing left behind?

    python tools/kill.py [--kills 100] [--seed 0] [--recipe FILE] [--folder DIR] [--only KIND …]

Runs the recipe (tools/tiny.toml) once to the end. Then runs it elsewhere and ends it by SIGKILL,
SIGTERM, SIGHUP and SIGINT in turn, until all kills are used: every other time at a random moment,
the other times while the folder of a builder is partial, of each builder equally often. A run that
ends before its kill must have succeeded; the cache is then emptied to start again. After every
kill it looks at the exit code, at what was said, for processes that go on, and for anything in
cache, dist and runs that looks finished and is not. At last a run ends undisturbed.

Ctrl-C ends the killing, and the last run follows. Prints how often each step and each builder was
hit, and what was wrong; exits with 1 if anything was.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from run_place import TINY, RunPlace, timed

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT)
DELIVERY = "dist"
LATENCY = "latency"
POLL_S = 0.001
LIMIT_S = 120
"""So long may a run take to end after a signal."""
DEAF_S = 0.5
"""In its first moments Python ends by any signal as such, and says what it likes of SIGINT."""


class Killer:
    """Starts runs in one place and ends them; keeps count."""

    def __init__(
        self,
        place: RunPlace,
        whole_s: float,
        sums: Mapping[str, str],
        kinds: Sequence[str],
        seed: int,
    ) -> None:
        self.place, self._whole_s, self._sums = place, whole_s, sums
        self._random = random.Random(seed)
        self.by_kind = Counter(dict.fromkeys(kinds, 0))
        self.by_step: Counter[str] = Counter()
        self.by_signal: Counter[str] = Counter()
        self.whole = 0
        self.problems: list[str] = []

    @property
    def kills(self) -> int:
        """How often a run was killed."""
        return sum(self.by_signal.values())

    def once(self) -> None:
        """Start a run and kill it, unless it ends before."""
        number = SIGNALS[self.kills % len(SIGNALS)]
        with (self.place.folder / "errors").open("w+b") as errors:
            started = time.monotonic()
            process = self.place.start(errors)
            wait = self._for_builder if self.kills % 2 else self._for_moment
            try:
                kind = wait(process)
                if process.poll() is None:
                    process.send_signal(number)
                    self._count(kind, number)
                early = time.monotonic() - started < DEAF_S
                code = self._ended(process)
            finally:
                process.kill()
            errors.seek(0)
            output = errors.read().decode("utf-8", "replace")
        self._look(code, output, number, early=early)

    def _for_moment(self, process: "subprocess.Popen[bytes]") -> str | None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._random.uniform(0, self._whole_s / 5))
        return None

    def _for_builder(self, process: "subprocess.Popen[bytes]") -> str | None:
        """Wait a while for a partial folder of a builder that has not had more than its share."""
        until = time.monotonic() + self._whole_s / 2
        share = sum(self.by_kind.values()) // len(self.by_kind)
        wanted = [kind for kind, count in self.by_kind.items() if count <= share]
        while process.poll() is None and time.monotonic() < until:
            if hit := next((kind for kind in wanted if self._is_partial(kind)), None):
                time.sleep(self._random.choice((0, 0.01, 0.1)))
                return hit
            time.sleep(POLL_S)
        return None

    def _is_partial(self, kind: str) -> bool:
        if kind == DELIVERY:
            return any(self.place.dist.glob(".*"))
        return any((self.place.cache / kind).glob("*.partial"))

    def _count(self, kind: str | None, number: signal.Signals) -> None:
        self.by_signal[number.name] += 1
        self.by_step[self.place.step()] += 1
        if kind:
            self.by_kind[kind] += 1

    def _ended(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            self.problems.append(f"kill {self.kills}: does not end within {LIMIT_S} s")
            return process.wait()

    def _look(self, code: int, output: str, number: signal.Signals, *, early: bool) -> None:
        """Note everything about an ended run that should not be."""
        found = [f"still runs: {command}" for command in self.place.orphans()]
        found += self.place.faults()
        for folder in self.place.scratch():
            shutil.rmtree(folder)
            if number is not signal.SIGKILL:
                found.append(f"left behind after {number.name}: {folder}")
        expected = {-number} if number is signal.SIGKILL else {130}
        if code not in expected | {0} and not early:
            found.append(f"ended with {code} after {number.name}: {output[-2000:]}")
        if "Traceback" in output and not early:
            found.append(f"a traceback after {number.name}: {output[-2000:]}")
        if code == 0:
            self.whole += 1
            if self.place.sums() != self._sums:
                found.append("the bundle is not that of an undisturbed run")
            self._empty_cache()
        self.problems += [f"kill {self.kills}: {text}" for text in found]

    def _empty_cache(self) -> None:
        """Let the next run start again; slow latencies are kept three times out of four."""
        for folder in self.place.cache.iterdir():
            if folder.name != LATENCY or self.whole % 4 == 0:
                shutil.rmtree(folder)


def killed(recipe: Path, folder: Path, kills: int, seed: int, only: Sequence[str]) -> Killer:
    """Kill runs of `recipe` so many times, and return what was counted and what was wrong."""
    undisturbed, place = RunPlace(folder / "whole", recipe), RunPlace(folder / "killed", recipe)
    for each in (undisturbed, place):
        each.folder.mkdir(parents=True)
    whole_s = timed(undisturbed)
    builders = {lock.parent.name for lock in undisturbed.cache.glob("*/*.lock")}
    kinds = only or sorted({*builders, DELIVERY})
    killer = Killer(place, whole_s, undisturbed.sums(), kinds, seed)
    with suppress(KeyboardInterrupt):  # report what was found so far
        while killer.kills < kills:
            killer.once()
            sys.stderr.write(f"\r{killer.kills} kills, {killer.whole} runs to the end ")
    code, output = place.run()
    if code:
        killer.problems.append(f"the last run ends with {code}: {output[-2000:]}")
    elif place.sums() != undisturbed.sums():
        killer.problems.append("the bundle is not the one of an undisturbed run")
    killer.problems += [f"left behind: {path}" for path in place.leftovers()]
    return killer


def main() -> int:
    """Return 1 where anything was wrong."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", type=Path, default=TINY)
    parser.add_argument("--folder", type=Path, help="kept afterwards; must not exist")
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", help="builders to hit")
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        recipe = given.recipe.resolve()
        killer = killed(recipe, folder.resolve(), given.kills, given.seed, given.only)
    summary = {
        "kills": killer.kills,
        "runs to the end": killer.whole + 1,
        "seconds": round(time.monotonic() - started),
        "by signal": killer.by_signal,
        "by step": killer.by_step,
        "in a partial folder of": killer.by_kind,
        "problems": killer.problems,
    }
    print("\r" + json.dumps(summary, indent=1, ensure_ascii=False))
    return bool(killer.problems)


if __name__ == "__main__":
    sys.exit(main())
