"""A connection through the system's OpenSSH: files and a task out, an answer back.

The remote shell only ever sees Python with a fixed program, which reads everything else from stdin,
so that no name of a file or a model can be taken for a command.
"""

import json
import math
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from edgekws.errors import MachineError, MissingPartError
from edgekws.targets import _ssh_agent

_BOOT = (
    "import sys;sys.path=[p for p in sys.path if p];"
    "b=sys.stdin.buffer;exec(b.read(int(b.readline())))"
)
"""It is single-quoted, which sh, bash, zsh, fish and csh treat alike, and contains no quotes."""
_SSH_FAILED = 255
_NOT_FOUND = (126, 127)
_ALIVE_S = 10


@dataclass(frozen=True)
class Login:
    """How to reach a machine; `python` has no character that is special to a shell."""

    host: str
    port: int | None
    identity_file: Path | None
    known_hosts: Path | None
    python: str
    connect_timeout_s: float

    def command(self) -> list[str]:
        """Return the command line of `ssh`, which never prompts.

        Host keys are checked according to the user's configuration.
        """
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": f"{math.ceil(self.connect_timeout_s)}",
            "ServerAliveInterval": f"{_ALIVE_S}",
            "ServerAliveCountMax": "3",
            "ClearAllForwardings": "yes",
            "RemoteCommand": "none",
            "LogLevel": "ERROR",
        }
        if self.known_hosts is not None:
            options["UserKnownHostsFile"] = _quoted(self.known_hosts)
        if self.identity_file is not None:
            options |= {"IdentityFile": _quoted(self.identity_file), "IdentitiesOnly": "yes"}
        port = [] if self.port is None else ["-p", str(self.port)]
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        remote = f"{self.python} -c '{_BOOT}'"
        return ["ssh", "-T", "-a", "-x", *port, *settings, "--", self.host, remote]


def _quoted(path: Path) -> str:
    return f'"{path.expanduser().absolute()}"'


@dataclass(frozen=True)
class Answer:
    """Output and exit status of a remote task."""

    code: int
    out: str
    err: str


_ANSWER = TypeAdapter(Answer)


def ask(login: Login, files: Mapping[str, bytes], task: Sequence[str], limit_s: float) -> Answer:
    """Run `python TASK` in a folder with `files` on the other machine, and return the output.

    Files and task are removed there when this returns or raises, or soon after.

    Raises:
        MissingPartError: the machine cannot be reached, takes longer than `limit_s` or has no such
            Python; the message says what to do.
    """
    sizes = [[name, len(content)] for name, content in files.items()]
    request = {"files": sizes, "task": task, "limit_s": limit_s + _ALIVE_S}
    agent = Path(_ssh_agent.__file__).read_bytes()
    message = b"%d\n%b%b\n" % (len(agent), agent, json.dumps(request).encode())
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _talk(login, b"".join([message, *files.values()]), out, err, limit_s)
        out.seek(0)
        err.seek(0)
        stdout = out.read().decode(errors="replace")
        stderr = err.read().decode(errors="replace").strip()
    lines = [line for line in stdout.splitlines() if line.startswith(_ssh_agent.MARK)]
    if code is not None and lines:
        return _parsed(login, lines[-1].removeprefix(_ssh_agent.MARK))
    raise _failure(login, code, stderr, limit_s)


def _parsed(login: Login, line: str) -> Answer:
    try:
        return _ANSWER.validate_json(line)
    except ValidationError as error:
        raise MachineError(f"{login.host} sent an invalid answer: {error}") from error


def _talk(
    login: Login, message: bytes, out: IO[bytes], err: IO[bytes], limit_s: float
) -> int | None:
    """Return ssh's exit status, or `None` if it was ended at the limit.

    Output goes to files, because a shared connection (ControlMaster) would keep pipes open.
    """
    try:
        process = subprocess.Popen(login.command(), stdin=subprocess.PIPE, stdout=out, stderr=err)
    except OSError as error:
        text = f"ssh cannot be started here ({error.strerror}); install openssh-client"
        raise MissingPartError(text) from error
    late = threading.Event()

    def end() -> None:
        late.set()
        process.terminate()

    clock = threading.Timer(limit_s, end)
    clock.start()
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):  # the exit status says why
            process.stdin.write(message)
            process.stdin.flush()
        code = process.wait()
    finally:
        clock.cancel()
        process.terminate()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    return None if late.is_set() else code


def _failure(login: Login, code: int | None, stderr: str, limit_s: float) -> MissingPartError:
    last = (stderr.splitlines() or [f"it ended with {code}"])[-1].strip()
    if code is None:
        return MissingPartError(
            f"{login.host} did not finish within {limit_s:g} s; check whether it is busy or the"
            " connection is slow, or raise target.timeout_s"
        )
    if code == _SSH_FAILED:
        return MissingPartError(f"{login.host} cannot be reached: {_reason(login, stderr, last)}")
    if code in _NOT_FOUND:
        return MissingPartError(
            f"{login.host} has no {login.python} ({last}); install Python there, or set"
            " target.python to its path"
        )
    return MissingPartError(
        f"{login.host} did not answer: {last}; check the output of:"
        f" ssh {login.host} {login.python} --version"
    )


def _reason(login: Login, stderr: str, last: str) -> str:
    """Return the meaning of ssh's error, and what to do."""
    port = "" if login.port is None else f"-p {login.port} "
    by_hand = f"ssh {port}{login.host}"
    known = {
        "IDENTIFICATION HAS CHANGED": "its host key is not the one in known_hosts; if that is right"
        " (it was reinstalled), remove the old key with ssh-keygen -R",
        "Host key verification failed": "its host key is not known here; connect once by hand and"
        f" compare the key ({by_hand}), or name a file of host keys with target.known_hosts",
        "Permission denied": "it accepts none of the keys offered; add the public key there"
        f" (ssh-copy-id), unlock the key with ssh-add, or set target.identity_file ({last})",
        "Could not resolve": "no machine has that name; check target.host",
        "Connection refused": "nothing listens there; start sshd on it, or check target.port",
        "timed out": "it does not answer; check that it is on and in the same network, or raise"
        " target.connect_timeout_s",
    }
    meaning = next((meaning for sign, meaning in known.items() if sign in stderr), None)
    return meaning or f"{last}; try it by hand: {by_hand}"
