"""Scripts in an interpreter of their own, which never outlive the process that started them."""

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

ALONE = ("-I",)
"""The interpreter reads no variables of its own, and nothing of the user's packages."""

_REFUSED = re.compile(r"\[Errno (\d+)\]")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def child(
    script: str,
    *arguments: str,
    flags: Sequence[str] = ALONE,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start `python FLAGS SCRIPT ARGUMENTS` in a process group of its own.

    It and every process that it has started are ended with the block, and as soon as this process
    has ended, however that came about. The signals of a terminal do not reach them.

    Args:
        script: A file of Python.
        arguments: For it.
        flags: For the interpreter.
        env: Its environment; this process's by default.
        stdout: Where it prints, as for `subprocess.Popen`.
        stderr: Where its errors go.
    """
    theirs, ours = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                [sys.executable, *flags, _tether.__file__, str(theirs), script, *arguments],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env,
                pass_fds=(theirs,), process_group=0,
            )  # fmt: skip
        finally:
            os.close(theirs)
        with process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError, PermissionError):  # nobody is left in it
                    os.killpg(process.pid, signal.SIGKILL)
    finally:
        os.close(ours)


def run_child(
    script: str, *arguments: str, flags: Sequence[str] = ALONE, limit_s: float | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a script as `child` does, and return its exit code and what it printed.

    Raises:
        subprocess.TimeoutExpired: it took longer than `limit_s`, and was ended.
    """
    pipe = subprocess.PIPE
    with child(script, *arguments, flags=flags, stdout=pipe, stderr=pipe) as process:
        out, err = process.communicate(timeout=limit_s)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def check_room(words: str) -> None:
    """Raise what a script died of once more, where the system had no room for what it wrote.

    Args:
        words: What the script said at last.

    Raises:
        OSError: it was that.

    >>> check_room("OSError: [Errno 28] No space left on device: 'a'")
    Traceback (most recent call last):
        ...
    OSError: [Errno 28] No space left on device
    """
    last = words.strip().rpartition("\n")[2]
    refused = _REFUSED.search(last)
    if refused and (number := int(refused[1])) in _NO_ROOM:
        raise OSError(number, os.strerror(number))
