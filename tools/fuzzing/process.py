"""Runs the command line in a forked process, within limits of time and memory.

The parent has everything imported, so that a case takes milliseconds rather than seconds. It must
have one thread only, and must never have run a model.
"""

import io
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.fuzzing.case import Box, Case, Outcome

WALL_S = 150.0
"""By the clock, for what waits; on a busy machine little processor time takes long."""

ADDRESS_SPACE = 4 << 30
"""Beyond what the parent has, and some for every thread: so that no case takes the machine."""

PER_CORE = 128 << 20
FILE_SIZE = 1 << 30

_PAUSE_S = 0.002
_NOT_ON_DEVICES = ("edgekws", "torch", "torchaudio")

BESIDES = (
    "jinja2", "matplotlib.backends.backend_agg", "matplotlib.figure", "mpl_toolkits.mplot3d",
    "numpy.fft", "onnx.inliner", "onnxruntime", "onnxscript", "scipy.signal", "sklearn.metrics",
    "torch._dynamo", "torch.onnx._internal.exporter._core", "xml.etree.ElementTree",
)  # fmt: skip
"""What edgekws imports when it needs it; what is not here is imported by the case that does."""


def run(case: Case, box: Box) -> Outcome:
    """Return what the command line did with a case."""
    return forked(lambda: _command(case), case, box)


def forked(command: Callable[[], int], case: Case, box: Box) -> Outcome:
    """Return what `command` did, run in the case's box; it returns its exit code."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _child(command, case, box, out.fileno(), err.fileno())
        status, used = _wait(child, started + WALL_S)
        texts = [_text(file) for file in (out, err)]
    wall_s = time.monotonic() - started
    code = None if status is None else os.waitstatus_to_exitcode(status)
    return Outcome(
        code, texts[0], texts[1], wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    )


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read(64 << 20).decode("utf-8", "backslashreplace"))


def _wait(child: int, end: float) -> tuple[int | None, resource.struct_rusage]:
    """Return the status, `None` where the process was stopped, and what it took; end its group."""
    stopped = False
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            _end_group(child)
            return None if stopped else status, used
        if time.monotonic() > end and not stopped:
            stopped = True
            _end_group(child)
        time.sleep(_PAUSE_S)


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _child(command: Callable[[], int], case: Case, box: Box, out: int, err: int) -> None:
    code = 1
    try:
        os.setsid()
        _enter(box, case, out, err)
        code = _status(command)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = 1
        os._exit(code)


def _status(command: Callable[[], int]) -> int:
    """Return what the interpreter would end with."""
    try:
        return command()
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return int(ending.code or 0)
        print(ending.code, file=sys.stderr)
        return 1
    except BaseException:  # as the interpreter does
        sys.excepthook(*sys.exc_info())
        return 1


def _command(case: Case) -> int:
    from edgekws import cli

    sys.argv = ["edgekws", *case.arguments]
    if not case.fresh:
        from edgekws.bundle import confined

        confined.subprocess = _Forking  # type: ignore[assignment, attr-defined]
    cli.main()
    return 0


def _enter(box: Box, case: Case, out: int, err: int) -> None:
    """Make this process one that a user started in the box."""
    with tempfile.TemporaryFile() as given:
        given.write(case.stdin)
        given.seek(0)
        os.dup2(given.fileno(), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(box.outputs)
    os.environ |= {
        "HOME": str(box.home), "TMPDIR": str(box.temporary), "EDGEKWS_CACHE": str(box.cache),
        "NO_COLOR": "1", "COLUMNS": "200", "ORT_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    tempfile.tempdir = None
    warnings.resetwarnings()
    warnings.simplefilter("default")
    for category in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning):
        warnings.simplefilter("ignore", category)
    _limit(resource.RLIMIT_AS, _address_space() + ADDRESS_SPACE + PER_CORE * (os.cpu_count() or 1))
    _limit(resource.RLIMIT_FSIZE, FILE_SIZE)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(what: int, value: int) -> None:
    """Set the soft limit: a command may lower it for its own children."""
    resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


class _Forking:
    """Stands for the module `subprocess` where its `Popen` runs a file in a new interpreter."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    @staticmethod
    def Popen(command: list[str], *, stderr: Any, **others: Any) -> "_Forked":  # noqa: N802
        return _Forked(command[command.index("-B") + 1 :], stderr)


class _Forked:
    """A Python file run in a forked process, with what is used of `Popen`."""

    def __init__(self, script: list[str], errors: io.IOBase) -> None:
        self._code: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            _script(script, errors.fileno())

    def wait(self, timeout: float = WALL_S) -> int:
        """Return the exit code as `Popen.wait` does."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def kill(self) -> None:
        """End it."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)


def _script(script: list[str], errors: int) -> None:
    code = 1
    try:
        os.dup2(errors, 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = script
        for name in [n for n in sys.modules if n.partition(".")[0] in _NOT_ON_DEVICES]:
            del sys.modules[name]
        runpy.run_path(script[0], run_name="__main__")
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:  # as the interpreter does
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
