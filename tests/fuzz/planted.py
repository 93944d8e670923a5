"""Plants faults in the command line, one at a time, and prints what the fuzzer says of each.

Run in an interpreter of its own: `python -m tests.fuzz.planted`. The last line of its output is a
JSON object: what was found wrong by the name of the fault.
"""

import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from edgekws import cli
from edgekws.cli import app
from edgekws.core import store
from tools.fuzzing import campaign, process, properties
from tools.fuzzing.case import ANY_INPUT, Box, Case

CPU_S, WALL_S, MEMORY_MIB = 1.0, 3.0, 600.0


def sound() -> None:
    Path("made.txt").write_text("as asked")
    print("done")


def raises() -> None:
    sys.excepthook = app.show_bug
    raise KeyError("x")


def shows_a_traceback() -> None:
    sys.excepthook = sys.__excepthook__
    raise KeyError("x")


def another_exit_code() -> None:
    print("error: no", file=sys.stderr)
    sys.exit(7)


def says_nothing() -> None:
    sys.exit(2)


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def computes() -> None:
    while time.process_time() < 2 * CPU_S:
        pass


def waits() -> None:
    time.sleep(60)


def allocates() -> None:
    b"x" * (int(MEMORY_MIB) << 20)


def changes_its_input() -> None:
    file = Path("../in/table.csv")
    state = file.stat()
    file.write_text("PATH")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def removes_its_input() -> None:
    Path("../in/table.csv").unlink()


def writes_beside() -> None:
    Path("../../escaped").write_text("x")


def writes_to_home() -> None:
    Path("~/.config").expanduser().mkdir()


def leaves_a_temporary_file() -> None:
    Path(os.environ["TMPDIR"], "left").touch()


def leaves_half_a_file() -> None:
    Path(".edgekws-0123abcd.part").touch()


def warns() -> None:
    warnings.warn("of something", RuntimeWarning, stacklevel=1)


def colours() -> None:
    print("\x1b[31mred")


def prints_text_for_json() -> None:
    sys.argv.append("--json")
    print("text")


def prints_nan_for_json() -> None:
    print('{"score": NaN}')


FAULTS = (
    sound, raises, shows_a_traceback, another_exit_code, says_nothing, is_killed, computes, waits,
    allocates, changes_its_input, removes_its_input, writes_beside, writes_to_home,
    leaves_a_temporary_file, leaves_half_a_file, warns, colours, prints_text_for_json,
    prints_nan_for_json,
)  # fmt: skip


def found(fault: Callable[[], None], around: Path) -> list[str]:
    """Return what the fuzzer says of a command line that does nothing but `fault`."""
    box = Box(around / "box")
    box.make()
    (box.inputs / "table.csv").write_text("path")
    cli.main = fault
    json_out = ("--json",) if fault.__name__.endswith("json") else ()
    return campaign.judged(Case(("verify", *json_out), ANY_INPUT), box, around)[1]


def found_in_caches(folder: Path) -> list[str]:
    """Return what is found where the cache believes whatever lies in it."""
    campaign.prepare(["caches"], folder)
    store._damaged = lambda target: None
    for index in range(20):
        if problems := campaign.attempt("caches", 0, index, folder, None).problems:
            return list(problems)
    return []


def main() -> None:
    """Print what was found."""
    campaign.warm()
    with campaign.scratch() as folder:
        told = {"believes_the_cache": found_in_caches(folder)}
        properties.CPU_S, properties.MEMORY_MIB = CPU_S, MEMORY_MIB
        for fault in FAULTS:
            process.WALL_S = WALL_S if fault is waits else 300.0
            told[fault.__name__] = found(fault, folder / fault.__name__)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
