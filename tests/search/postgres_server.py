"""A PostgreSQL server of one's own, on the loopback and gone with the test."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

START_S = 30


def binary(name: str) -> Path | None:
    """Find a program of the server: on the path, or where Debian puts it."""
    result = shutil.which(name)
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return Path(result) if result else (beside[-1] if beside else None)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _user() -> dict[str, Any]:
    """Return whom it runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a server in `folder`, and yield its URL: a user `probe`, whose password is `geheim`."""
    user = _user()
    if user:
        os.chown(folder, user["user"], user["group"])
    secret = folder / "secret"
    secret.write_text("geheim\n", encoding="utf-8")
    initdb, server, port = binary("initdb"), binary("postgres"), free_port()
    assert initdb is not None
    assert server is not None
    built: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, **user}
    init: list[str | Path] = [
        initdb,
        "-D",
        folder / "data",
        "-U",
        "probe",
        "-A",
        "scram-sha-256",
        "--no-sync",
    ]
    init += ["--pwfile", secret, "-E", "UTF8", "--locale", "C"]
    subprocess.run(init, check=True, capture_output=True, **built)
    run: list[str | Path] = [server, "-D", folder / "data", "-p", str(port), "-k", "", "-F"]
    run += ["-c", "listen_addresses=127.0.0.1"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(run, stdout=log, stderr=log, **built)
    try:
        _wait(process, port, folder / "server.log")
        yield f"postgresql://probe:geheim@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        try:
            process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if "ready to accept" in log.read_text(encoding="utf-8", errors="replace"):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))
