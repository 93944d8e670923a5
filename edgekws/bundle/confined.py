"""Run a script on untrusted files, with limits on time, memory and output."""

import contextlib
import os
import resource
import signal
import subprocess
import tempfile

from edgekws.core.child import child, raise_if_disk_full
from edgekws.core.environment import ONE_THREAD
from edgekws.errors import DataError

MEMORY_GIB = 2
"""Limit of address space; libraries take about a tenth of it."""

CPU_S = 60
WALL_S = 600
"""Only for processes that wait; on a busy machine CPU time takes much longer."""

WRITTEN_MIB = 256

_FLAGS = ("-I", "-B")
_NO_MEMORY = ("bad_alloc", "bad allocation", "MemoryError", "Failed to allocate memory")


def run(script: str, *arguments: str, more_s: int = 0, more_bytes: int = 0) -> None:
    """Run a Python file in a separate, isolated interpreter.

    `more_s` of processor time and `more_bytes` of memory are added to the limits.

    Raises:
        DataError: it exceeds a limit or fails; the message ends with the reason.
        OSError: the disk is full.
    """
    env = os.environ | ONE_THREAD  # on many cores, threads reserve gigabytes
    with tempfile.TemporaryFile() as errors:
        try:
            with child(script, *arguments, flags=_FLAGS, env=env, stderr=errors) as process:
                _limit(process.pid, CPU_S + more_s, MEMORY_GIB * 2**30 + more_bytes)
                code = process.wait(WALL_S + more_s)
        except subprocess.TimeoutExpired:
            raise DataError(
                f"takes more than {WALL_S + more_s} s; nothing of it was used"
            ) from None
        errors.seek(0)
        stderr = errors.read(2**20).decode("utf-8", "replace").strip()
    if code:
        raise_if_disk_full(stderr)
        raise DataError(_reason(code, stderr, CPU_S + more_s))


def _limit(pid: int, cpu_s: int, memory_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: WRITTEN_MIB * 2**20,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(ProcessLookupError):  # already ended
        for limit, value in limits.items():
            resource.prlimit(pid, limit, (value, value))


def _reason(code: int, stderr: str, cpu_s: int) -> str:
    last = stderr.splitlines()[-1][-500:] if stderr else f"exit code {code}"
    if any(text in stderr for text in _NO_MEMORY):
        return f"takes more than {MEMORY_GIB} GiB of memory ({last}); nothing of it was used"
    if -code in (signal.SIGXCPU, signal.SIGKILL):
        return f"takes more than {cpu_s} s of processor time, or more memory than is available"
    if code < 0:
        name = signal.Signals(-code).name
        return f"crashes the installed runtime with {name}; nothing of it was used"
    return f"cannot be run by the installed runtime: {last}"
