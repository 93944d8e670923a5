"""Another machine, reached through the system's OpenSSH, measured with the same harness."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from edgekws.core.latency_run import Files, LatencyRun, chain, parse_latency_run
from edgekws.errors import MachineError, MissingPartError
from edgekws.runtime import latency
from edgekws.targets._fields import Harness
from edgekws.targets._ssh_agent import FINGERPRINT, TOO_OLD
from edgekws.targets._ssh_connection import Answer, Login, ask

_HOST = re.compile(r"([A-Za-z0-9_.][A-Za-z0-9_.+-]*@)?[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*")
_PYTHON = re.compile(r"(~/)?[A-Za-z0-9_./+][A-Za-z0-9_./+-]*")


def _host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a host; expected a name, an address or an alias of ~/.ssh/config,"
            " optionally with user@ before it"
        )
    return name


def _python(command: str) -> str:
    if not _PYTHON.fullmatch(command):
        raise ValueError(
            f"{command!r} is not a valid command; expected a name or a path of letters, digits and"
            " ./_+-, optionally with ~/ before it"
        )
    return command


def _plain_path(path: Path) -> Path:
    if any(char in '"\\$%' or not char.isprintable() for char in str(path)):
        raise ValueError(
            f'{str(path)!r}: ssh accepts no path with a quote, "\\", "$", "%" or a newline'
        )
    return path


OptionPath = Annotated[Path | None, AfterValidator(lambda p: p if p is None else _plain_path(p))]


class Target(Harness):
    """Latency on another machine; it needs sshd, and Python ≥ 3.10 with numpy and onnxruntime.

    Models and harness are copied to a temporary folder there, which is removed afterwards.
    """

    kind: Literal["ssh"] = "ssh"
    host: Annotated[str, AfterValidator(_host)] = Field(
        description="name, address or alias of ~/.ssh/config, as in pi@192.168.1.7"
    )
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="of its sshd; default as ssh is configured"
    )
    identity_file: OptionPath = Field(
        default=None, description="private key to log in with; default as ssh is configured"
    )
    known_hosts: OptionPath = Field(
        default=None, description="file of trusted host keys; default as ssh is configured"
    )
    python: Annotated[str, AfterValidator(_python)] = Field(
        default="python3", description="Python there, as in ~/venv/bin/python"
    )
    connect_timeout_s: float = Field(
        default=10.0, gt=0, le=3600, description="seconds to wait for the connection"
    )
    timeout_s: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="seconds for everything done there, without the measuring time",
    )

    def fingerprint(self) -> dict[str, Any]:
        """Return what a latency there depends on: its CPU, kernel, versions and the fields.

        The machine is queried once per process.

        Raises:
            MissingPartError: it cannot be reached, or lacks Python, numpy or onnxruntime.
            MachineError: Python failed there.
        """
        machine: dict[str, Any] = json.loads(
            _fingerprint(self._login(), self.threads, self.timeout_s)
        )
        return machine | {"target": self.model_dump(mode="json")}

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        """Measure `models` interleaved, against the one named `control`.

        Raises:
            MissingPartError: it cannot be reached, or lacks Python, numpy or onnxruntime.
            MachineError: a model cannot be read, or the harness failed there; the message ends
                with its error.
        """
        fingerprint = self.fingerprint()  # raises if a part is missing there
        paths = {path: f"model-{i}.onnx" for i, path in enumerate(_all(models))}
        names = {name: [paths[path] for path in chain(models[name])] for name in models}
        spec = {"models": names, "control": control} | self.harness_settings()
        files = {"latency.py": _HARNESS, "spec.json": json.dumps(spec).encode()}
        files |= {name: _content(path) for path, name in paths.items()}
        limit_s = self.timeout_s + 6 * self.seconds * (1 + len(models))
        answer = ask(self._login(), files, ["latency.py", "--spec", "spec.json"], limit_s)
        local_names = {name: str(path) for path, name in paths.items()}
        run = parse_latency_run(_checked(answer, self._login(), local_names).encode())
        return LatencyRun(**{**vars(run), "fingerprint": fingerprint})

    def _login(self) -> Login:
        names = ("host", "port", "identity_file", "known_hosts", "python", "connect_timeout_s")
        return Login(**{name: getattr(self, name) for name in names})


_HARNESS = Path(latency.__file__).read_bytes()


@cache
def _fingerprint(login: Login, threads: int, limit_s: float) -> str:
    task = ["-c", FINGERPRINT, str(threads)]
    return _checked(ask(login, {"latency.py": _HARNESS}, task, limit_s), login, {})


def _all(models: Mapping[str, Files]) -> tuple[Path, ...]:
    """Return every file of all models, each once."""
    return tuple(dict.fromkeys(path for files in models.values() for path in chain(files)))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MachineError(f"latency cannot be measured: {path}: {error.strerror}") from error


def _checked(answer: Answer, login: Login, paths: Mapping[str, str]) -> str:
    """Return the output of a task, or raise the error of its exit status."""
    message = answer.err.strip()[-600:]
    for name, path in paths.items():
        message = message.replace(name, path)
    if answer.code == TOO_OLD:
        raise MissingPartError(f"{login.host}: {message}; set target.python to a newer one")
    if answer.code == 6:
        raise MissingPartError(
            f"{login.host}: {message}; install what is missing there:"
            f" {login.python} -m pip install numpy onnxruntime, or set target.python to a Python"
            " that has it"
        )
    if answer.code:
        reason = message or f"it died with {answer.code}"
        raise MachineError(f"latency cannot be measured on {login.host}: {reason}")
    return answer.out
