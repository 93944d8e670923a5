"""The program that the `ssh` target runs on the other machine: files and a task in, JSON out.

Its source is passed to `python -c`, so it uses only the standard library. Stdin carries a line of
JSON, `{"files": [[name, bytes], …], "task": …, "limit_s": …}`, and then the files. The names are
chosen by the sender, never by a user. The output of the task is sent as one line that begins with
`MARK`, because a login shell may print other lines.

Stdin stays open while the task runs. When it ends, the sender is gone and the task is killed. The
files lie in a temporary folder, which is always removed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

MARK = "edgekws-agent: "
OLDEST = (3, 10)
"""The Python that `latency.py` needs."""
TOO_OLD = 5
"""Exit status for an older Python."""
FINGERPRINT = """
import json, sys
sys.path.insert(0, "")
try:
    import numpy, onnxruntime
    import latency
except ImportError as error:
    sys.exit(print(error, file=sys.stderr) or 6)
print(json.dumps(latency.fingerprint(int(sys.argv[1]))))
"""


class SenderGoneError(Exception):
    """The sender no longer waits for the answer."""


def main() -> None:
    """Run the task from stdin and print the answer."""
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, _end)
    source = sys.stdin.buffer
    try:
        request = json.loads(source.readline() or b"null")
        if request is None:
            raise SenderGoneError
        with tempfile.TemporaryDirectory(prefix="edgekws-latency-") as folder:
            for name, size in request["files"]:
                Path(folder, name).write_bytes(_exactly(source, size))
            answer = _refusal() or _run(request["task"], folder, request["limit_s"])
    except SenderGoneError:
        return
    sys.stdout.write(MARK + json.dumps(answer) + "\n")
    sys.stdout.flush()


def _end(number: int, frame: object) -> NoReturn:
    raise SenderGoneError


def _exactly(source: BinaryIO, size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise SenderGoneError
    return content


def _refusal() -> dict[str, Any] | None:
    if sys.version_info >= OLDEST:
        return None
    actual, required = (f"{major}.{minor}" for major, minor in (sys.version_info[:2], OLDEST))
    return {"code": TOO_OLD, "out": "", "err": f"Python is {actual}, but {required} is required"}


def _run(task: list[str], folder: str, limit_s: float) -> dict[str, Any]:
    """Run `python TASK` in the folder, and return its exit status and output."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, *task],
            cwd=folder,
            # onnxruntime sends telemetry by default, and leaves a file behind.
            env={"ORT_DISABLE_TELEMETRY": "1", **os.environ, "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert child.stdout is not None
        try:
            out = _read_output(child.stdout.fileno(), time.monotonic() + limit_s)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        errors.seek(0)
        err = errors.read()[-4000:]
    streams = {"out": out, "err": err}
    return {"code": code, **{key: text.decode("utf-8", "replace") for key, text in streams.items()}}


def _read_output(output: int, deadline: float) -> bytes:
    """Return all of the task's output; sleep while there is none, so as not to disturb the task.

    Raises:
        SenderGoneError: stdin has ended, or the deadline has passed.
    """
    parts: list[bytes] = []
    while True:
        remaining = deadline - time.monotonic()
        ready, _, _ = select.select([output, 0], [], [], max(remaining, 0))
        if not ready or (0 in ready and not os.read(0, 1)):
            raise SenderGoneError
        if output in ready:
            part = os.read(output, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)


if __name__ == "__main__":
    main()
