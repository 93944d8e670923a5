"""Scripts in a separate interpreter that never outlive the process that started them."""

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from edgekws.core import _tether

ISOLATED = ("-I",)
"""The interpreter ignores `PYTHON…` variables and the user's site-packages."""

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def child(
    script: str,
    *arguments: str,
    flags: Sequence[str] = ISOLATED,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start `python FLAGS SCRIPT ARGUMENTS` in its own process group.

    The script and every process it has started are killed when the block exits, or when this
    process ends for any reason. Signals from a terminal do not reach them.

    Args:
        script: Path of a Python file.
        arguments: Arguments of the script.
        flags: Flags of the interpreter.
        env: Environment of the script; this process's by default.
        stdin: Standard input, as for `subprocess.Popen`.
        stdout: Standard output, as for `subprocess.Popen`.
        stderr: Standard error, as for `subprocess.Popen`.
    """
    read_end, write_end = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                [sys.executable, *flags, _tether.__file__, str(read_end), script, *arguments],
                stdin=stdin, stdout=stdout, stderr=stderr, env=env,
                pass_fds=(read_end,), process_group=0,
            )  # fmt: skip
        finally:
            os.close(read_end)
        with process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError, PermissionError):  # the group is empty
                    os.killpg(process.pid, signal.SIGKILL)
    finally:
        os.close(write_end)


def run_child(
    script: str, *arguments: str, flags: Sequence[str] = ISOLATED, limit_s: float | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a script as `child` does, and return its exit code and output.

    Raises:
        subprocess.TimeoutExpired: it took longer than `limit_s` and was killed.
    """
    pipe = subprocess.PIPE
    with child(script, *arguments, flags=flags, stdout=pipe, stderr=pipe) as process:
        out, err = process.communicate(timeout=limit_s)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def raise_if_disk_full(stderr: str) -> None:
    """Raise the `OSError` that ended a script, if the disk was full or read-only.

    Args:
        stderr: Standard error of the script.

    Raises:
        OSError: the last line of `stderr` reports such an error.

    >>> raise_if_disk_full("OSError: [Errno 28] No space left on device: 'a'")
    Traceback (most recent call last):
        ...
    OSError: [Errno 28] No space left on device
    """
    last_line = stderr.strip().rpartition("\n")[2]
    match = _ERRNO.search(last_line)
    if match and (number := int(match[1])) in _NOT_WRITABLE:
        raise OSError(number, os.strerror(number))
