"""The command line in forks of one process that has imported the large libraries once.

Most commands that tests run end sooner than Python has imported torch and its exporter. What is
run is `python -m edgekws` all the same, in its own process with its own folder, environment and
streams: the process that waits has imported no module of the package. A module that the command's
folder or `PYTHONPATH` has too is imported from there.

    program = warm.Program(folder)          # starts the process that waits
    program.run("doctor", cwd=home, env=environment)
    program.executable                      # a script that passes its command line on
"""

import collections
import functools
import gc
import importlib
import io
import json
import os
import pickle
import runpy
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

LARGE = (
    "matplotlib.pyplot", "onnxruntime", "pydantic", "rich.console", "safetensors.torch",
    "scipy.stats", "sklearn.metrics", "soundfile", "soxr",
)  # fmt: skip
"""What commands import besides torch and its exporter."""

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as waiting:
    waiting.connect({address!r})
    request = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(waiting, [b"."], [0, 1, 2])
    waiting.sendall(json.dumps(request).encode())
    waiting.shutdown(socket.SHUT_WR)
    code = int(waiting.recv(16) or 1)
sys.exit(code if code >= 0 else 128 - code)
"""


def keep_operator_table() -> None:
    """Have torch's exporter build its table of operators, the same every time, once a process."""
    apis: Any = importlib.import_module("torch.onnx._internal._lazy_import").onnxscript_apis

    @functools.cache
    def table() -> Any:
        return type(apis).__getattr__(apis, "get_torchlib_ops")()

    apis.get_torchlib_ops = table


KEPT_EXPORTS = 32
"""So many programs are kept: networks of tests are small."""


def keep_exports() -> None:
    """Have torch export a network that it has exported in this process only once.

    The same network is one of the same classes, attributes and weights; what cannot be compared so,
    such as a class within a function, is exported every time. Other processes export on their own.
    """
    onnx: Any = importlib.import_module("torch.onnx")
    graph: Any = importlib.import_module("torch.fx").GraphModule
    export = onnx.export
    programs: collections.OrderedDict[bytes, Any] = collections.OrderedDict()

    @functools.wraps(export)
    def kept(network: Any, *arguments: Any, **options: Any) -> Any:
        writes = len(arguments) > 1  # to a file, every time
        if writes or isinstance(network, graph):  # a graph may be more than its code says
            return export(network, *arguments, **options)
        try:
            key = _content((network, arguments, sorted(map(str, options.items()))))
        except (AttributeError, TypeError, ValueError, pickle.PicklingError):
            return export(network, *arguments, **options)
        if key not in programs:
            programs[key] = export(network, *arguments, **options)
        programs.move_to_end(key)
        while len(programs) > KEPT_EXPORTS:
            programs.popitem(last=False)
        return programs[key]

    onnx.export = kept


def _content(value: Any) -> bytes:
    """Return the same bytes for the same objects and tensors, wherever in memory they are."""
    tensor: Any = importlib.import_module("torch").Tensor

    class Content(pickle.Pickler):
        def reducer_override(self, part: Any) -> Any:
            if not isinstance(part, tensor):
                return NotImplemented
            values = part.detach().contiguous().numpy()
            return (tuple, ((str(part.dtype), values.shape, values.tobytes()),))

    written = io.BytesIO()
    pickler = Content(written)
    pickler.fast = True  # no references to what was written before, which depend on identity
    pickler.dump(value)
    return written.getvalue()


class Program:
    """A process that waits for command lines, and ends with the process that started it."""

    def __init__(self, folder: Path) -> None:
        address = folder / "socket"
        self.executable = folder / "edgekws"
        text = CLIENT.format(python=sys.executable, address=str(address))
        self.executable.write_text(text, encoding="utf-8")
        self.executable.chmod(stat.S_IRWXU)
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(address)],
            env=clean | {"ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def run(
        self, *arguments: str | Path, cwd: Path, env: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command line to its end."""
        return subprocess.run(
            [self.executable, *map(str, arguments)],
            cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip

    def close(self) -> None:
        """End the process that waits."""
        self._process.terminate()
        self._process.communicate()


def _import() -> None:
    """Import what commands need, the exporter's tables too, which a first export fills."""
    for name in LARGE:
        importlib.import_module(name)
    import torch

    keep_operator_table()
    keep_exports()
    output, sys.stdout = sys.stdout, sys.stderr
    torch.onnx.export(
        torch.nn.Conv1d(1, 1, 1).eval(), (torch.zeros(2, 1, 4),), dynamo=True, verbose=False
    )
    sys.stdout = output
    gc.collect()
    gc.freeze()  # no fork looks through these modules again, which would copy their memory


def _forget(folders: list[str]) -> None:
    """Have modules that are also in one of `folders` imported from there."""
    places = [Path(folder) for folder in folders]
    own = {file.stem for place in places for file in place.glob("*.py")}
    own |= {file.parent.name for place in places for file in place.glob("*/__init__.py")}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        del sys.modules[name]


def _serve(address: str) -> None:
    """Fork for every command line while this process has its parent; return in each fork."""
    _import()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that answer
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(address)
        waiting.listen(64)
        print("ready", flush=True)
        parent = os.getppid()
        waiting.settimeout(1)
        while os.getppid() == parent:
            try:
                connection, _ = waiting.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                waiting.close()
                return _answer(connection)
            connection.close()
    raise SystemExit


def _answer(connection: socket.socket) -> None:
    """Fork for the command line, tell its client how it ended; return in the fork."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.settimeout(None)
    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    request = b"".join(iter(lambda: connection.recv(65536), b""))
    command = os.fork()
    if command:
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(command, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    arguments, folder, environment = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [folder, *paths, *sys.path[1:]]
    _forget([folder, *paths])
    tempfile.tempdir = None  # chosen by the environment again
    sys.argv = ["edgekws", *arguments]


if __name__ == "__main__":
    _serve(sys.argv[1])
    runpy.run_module("edgekws", run_name="__main__", alter_sys=True)
