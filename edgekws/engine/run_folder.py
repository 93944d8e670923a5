"""The folder of a run, with its recipe, events and report."""

import itertools
import json
import tempfile
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TextIO

from edgekws.bundle.delivery import locked, obstacle, recover
from edgekws.core.events import Emit, Event
from edgekws.core.output import write_text
from edgekws.core.report import Report
from edgekws.errors import UsageError, writing
from edgekws.recipe.lock import lock
from edgekws.recipe.model import Recipe

LATEST = "latest"
INCOMPLETE = ".incomplete"
"""Suffix of a run's folder until the run is complete."""
OTHER_DIST = "name a folder with --dist"
OTHER_RUNS = "name a folder with --runs"


def check_dist(destination: Path) -> None:
    """Check before the run that the bundle can be written to `destination`.

    Raises:
        UsageError: something other than a bundle is there.
        MachineError: the folder is not writable.
    """
    dist = destination.parent
    with writing(dist, OTHER_DIST):
        dist.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=dist):
            pass
        recover(destination)
    if what := obstacle(destination):
        raise UsageError(
            f"{destination} {what}, and the bundle of this recipe is put there; move it away, or "
            "name another folder with --dist"
        )


def check_runs(parent: Path) -> None:
    """Check before the run that `latest` can point to it.

    Raises:
        UsageError: something other than a link has that name.
    """
    latest = parent / LATEST
    if latest.exists() and not latest.is_symlink():
        what = "folder" if latest.is_dir() else "file"
        raise UsageError(
            f"{latest} is a {what}, and the link to the newest run has that name; move it away, or "
            "name another folder with --runs"
        )


def open_run(parent: Path, recipe: Recipe) -> tuple[Path, TextIO]:
    """Create the folder of this run, with the recipe and the event log.

    Its name ends in `.incomplete` until `close_run`.
    """
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    with writing(parent, OTHER_RUNS):
        folder = _new_folder(parent, stamp)
        write_text(folder / "recipe.lock.toml", lock(recipe), OTHER_RUNS)
        return folder, (folder / "events.jsonl").open("a", encoding="utf-8", buffering=1)


def _new_folder(parent: Path, stamp: str) -> Path:
    """Create the incomplete folder named by the first free of `stamp`, `stamp-2`, …."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / f"{stamp if number == 1 else f'{stamp}-{number}'}{INCOMPLETE}"
        if complete(folder).exists():
            continue
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        break
    return folder


def logged(emit: Emit, log: TextIO) -> Emit:
    """Return an `emit` that also writes every event to the run's log."""

    def both(event: Event) -> None:
        if event.kind != "progress" or event.done == event.total:
            # ASCII only: names can neither control a terminal nor fail to be encoded
            line = json.dumps({"time": time.time()} | asdict(event)) + "\n"
            with writing(Path(log.name), OTHER_RUNS):
                log.write(line)
        emit(event)

    return both


def complete(folder: Path) -> Path:
    """Return the name of a run's folder once it is complete."""
    return folder.with_name(folder.name.removesuffix(INCOMPLETE))


def close_run(folder: Path, report: Report) -> None:
    """Write the report, give the folder its final name, and point `latest` to it."""
    report.save(folder / "report.json")
    final = complete(folder)
    fresh = folder.with_name(f".{LATEST}.new")
    with writing(folder.with_name(LATEST), OTHER_RUNS), locked(folder.parent):
        folder.rename(final)
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(final.name)
        fresh.replace(folder.with_name(LATEST))
