"""A place where a recipe is run in a process of its own, and what is looked at there afterwards."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from edgekws.bundle.members import CARD, SUMS
from edgekws.core.store import MARKER

TINY = Path(__file__).with_name("tiny.toml")
GRACE_S = 5
"""So long may a process that was started by a killed one last."""
EDGEKWS = (sys.executable, "-m", "edgekws")


@dataclass(frozen=True)
class RunPlace:
    """A folder with its own cache, runs, bundles and temporary files, in which one recipe runs."""

    folder: Path
    recipe: Path
    program: Sequence[str] = EDGEKWS

    @property
    def cache(self) -> Path:
        """Where every folder of the cache is built."""
        return self.folder / "cache"

    @property
    def dist(self) -> Path:
        """Where the bundle is delivered."""
        return self.folder / "dist"

    @property
    def runs(self) -> Path:
        """Where the folders of the runs are."""
        return self.folder / "runs"

    def start(self, errors: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start `edgekws compress`; what it says on standard error goes into `errors`."""
        for name in ("tmp", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        places = {"EDGEKWS_CACHE": "cache", "TMPDIR": "tmp", "HOME": "home"}
        own = {name: str(self.folder / place) for name, place in places.items()}
        command = [*self.program, "compress", str(self.recipe), "--json"]
        return subprocess.Popen(
            command, cwd=self.folder, env=os.environ | own | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip

    def run(self) -> tuple[int, str]:
        """Run to the end, and return the exit code and what it said on standard error."""
        with (self.folder / "errors").open("w+b") as errors:
            code = self.start(errors).wait()
            errors.seek(0)
            return code, errors.read().decode("utf-8", "replace")

    def processes(self) -> list[psutil.Process]:
        """Return every process that works on this place's cache, whoever started it."""
        return [p for p in psutil.process_iter() if _cache_of(p) == str(self.cache)]

    def orphans(self) -> list[str]:
        """Wait for what is left of a run that has ended; return what does not end, ended now."""
        _, alive = psutil.wait_procs(self.processes(), timeout=GRACE_S)
        commands = [" ".join(_command(process))[:200] for process in alive]
        for process in alive:
            process.kill()
        return commands

    def step(self) -> str:
        """Return the step that the newest run has reached."""
        logs = sorted(self.runs.glob("*/*/events.jsonl"), key=lambda log: log.stat().st_mtime_ns)
        name = "data"
        for line in logs[-1].read_text("utf-8").splitlines() if logs else ():
            event = json.loads(line)
            name = event["text"] if event["kind"] == "step" else name
        return name

    def sums(self) -> dict[str, str]:
        """Return the sha256 of every file of the bundle but its card, which contains latencies."""
        (sums,) = self.dist.glob(f"*/{SUMS}")
        pairs = (line.split("  ", 1) for line in sums.read_text("utf-8").splitlines())
        return {name: digest for digest, name in pairs if name != CARD}

    def faults(self) -> Iterator[str]:
        """Say what looks finished and is not: in the cache, among the bundles and the runs."""
        for marker in self.cache.rglob(MARKER):
            yield from _unlike_marker(marker)
        for sums in self.dist.glob(f"[!.]*/{SUMS}"):
            yield from _unlike_sums(sums)
        for folder in self.dist.glob("[!.]*"):
            if not (folder / SUMS).is_file():
                yield f"{folder}: stands under a bundle's name and is none"
        for report in self.runs.glob("*/*/report.json"):
            yield from _not_json(report)
        for latest in self.runs.glob("*/latest"):
            if not (latest / "report.json").is_file():
                yield f"{latest}: leads to no finished run"

    def leftovers(self) -> list[Path]:
        """Return what only an unfinished run may leave: partial folders, hidden files."""
        hidden = [*self.dist.rglob(".*"), *self.runs.rglob(".*")]
        return sorted([*self.cache.rglob("*.partial"), *hidden])

    def scratch(self) -> list[Path]:
        """Return the temporary folders that are there; only SIGKILL may leave any."""
        return sorted((self.folder / "tmp").glob("edgekws-*"))


def _cache_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("EDGEKWS_CACHE", ""))
    except psutil.Error:
        return ""


def _command(process: psutil.Process) -> list[str]:
    try:
        return [str(word) for word in process.cmdline()]
    except psutil.Error:
        return []


def _unlike_marker(marker: Path) -> Iterator[str]:
    if marker.parent.suffix == ".partial":
        return
    for name, (size, digest) in json.loads(marker.read_text("utf-8")).items():
        path = marker.parent / name
        if not path.is_file() or path.stat().st_size != size or _sha256(path) != digest:
            yield f"{path}: is not what {MARKER} says"


def _unlike_sums(sums: Path) -> Iterator[str]:
    for line in sums.read_text("utf-8").splitlines():
        digest, name = line.split("  ", 1)
        if not (sums.parent / name).is_file() or _sha256(sums.parent / name) != digest:
            yield f"{sums.parent / name}: is not what {SUMS} says"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _not_json(report: Path) -> Iterator[str]:
    try:
        json.loads(report.read_text("utf-8"))
    except ValueError as error:
        yield f"{report}: {error}"


def timed(place: RunPlace) -> float:
    """Run without a disturbance, and return how many seconds that takes.

    Raises:
        SystemExit: the run failed.
    """
    started = time.monotonic()
    code, output = place.run()
    if code:
        raise SystemExit(f"the recipe fails by itself ({code}):\n{output}")
    return time.monotonic() - started
