"""What must hold, whatever the input was."""

import json
import os
import re
import stat
from pathlib import Path

from tools.fuzzing.case import Box, Case, Outcome

CPU_S = 10.0
MEMORY_MIB = 2048.0

_PARTIAL = re.compile(r"\.edgekws-[0-9a-f]+\.part$")
_PYTHON_WARNING = re.compile(r"^\S+\.py:\d+: \w*Warning: .*", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Listing = dict[str, tuple[int, ...]]
"""Mode, size, times and inode of every file under a folder, by its relative path."""


def listing(root: Path, *besides: Path) -> Listing:
    """Return the files under `root`, without what lies in `besides`; links are not followed."""
    found: Listing = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        here = Path(os.fsdecode(folder))
        for name in [*folders, *files]:
            path = here / os.fsdecode(name)
            state = path.lstat()
            times = () if stat.S_ISDIR(state.st_mode) else (state.st_mtime_ns, state.st_ctime_ns)
            size = 0 if stat.S_ISDIR(state.st_mode) else state.st_size
            found[str(path.relative_to(root))] = (state.st_mode, size, *times, state.st_ino)
        folders[:] = [n for n in folders if here / os.fsdecode(n) not in besides]
    return found


def failures(case: Case, box: Box, outcome: Outcome, before: Listing, after: Listing) -> list[str]:
    """Return what does not hold of a case, nothing where all does.

    `before` and `after` list the box and what is around it, without the folders for output.
    """
    found = [*_ending(case, outcome), *_said(case, outcome), *_took(outcome)]
    found += _touched(before, after)
    found += [f"left half-written: {p.name}" for p in _walk(box.outputs) if _PARTIAL.search(p.name)]
    if case.judge and outcome.code is not None:
        found += case.judge(outcome.stdout, box)
    return found


def _walk(folder: Path) -> list[Path]:
    return [Path(here, name) for here, _, files in os.walk(folder) for name in files]


def _ending(case: Case, outcome: Outcome) -> list[str]:
    if outcome.code is None:
        return [f"did not end in {outcome.wall_s:.0f} s"]
    if outcome.code < 0:
        return [f"ended by signal {-outcome.code}"]
    if outcome.code not in case.codes:
        return [f"exit code {outcome.code}, not one of {sorted(case.codes)}"]
    return []


def _said(case: Case, outcome: Outcome) -> list[str]:
    found = []
    if "a bug: " in outcome.stderr:
        found.append("says that it is a bug")
    if "Traceback (most recent call last)" in outcome.stderr:
        found.append("shows a traceback")
    if warned := _PYTHON_WARNING.search(outcome.stderr):
        found.append(f"shows a warning of Python: {warned[0][:200]}")
    if outcome.code and not outcome.stderr.strip():
        found.append(f"exit code {outcome.code} without a word")
    shown = outcome.stderr if "--json" in case.arguments else outcome.stderr + outcome.stdout
    if control := _CONTROL.search(shown):
        found.append(f"writes the control character {control[0]!r} to the terminal")
    if "--json" in case.arguments:
        found += _not_json(outcome.stdout)
    return found


def _not_json(text: str) -> list[str]:
    for line in text.splitlines():
        try:
            json.loads(line, parse_constant=_refuse)
        except ValueError as error:
            return [f"a line of standard output is not JSON ({error}): {line[:100]}"]
    return []


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _took(outcome: Outcome) -> list[str]:
    found = []
    if outcome.cpu_s > CPU_S:
        found.append(f"took {outcome.cpu_s:.1f} s of processor time, more than {CPU_S:.0f}")
    if outcome.memory_mib > MEMORY_MIB:
        found.append(f"took {outcome.memory_mib:.0f} MiB, more than {MEMORY_MIB:.0f}")
    return found


def _touched(before: Listing, after: Listing) -> list[str]:
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [f"{_what(name, before, after)}: {name!r}" for name in names[:5]]


def _what(name: str, before: Listing, after: Listing) -> str:
    if name not in before:
        return "wrote outside of its output"
    return "changed its input" if name in after else "removed"
