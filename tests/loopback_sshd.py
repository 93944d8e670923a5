"""A real sshd on the loopback interface, with keys of its own, for tests."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Loopback:
    """Where the server listens, and what a client needs; `temp` is the server's TMPDIR."""

    port: int
    folder: Path
    temp: Path

    @property
    def fields(self) -> dict[str, object]:
        """Return the fields of a target that reaches it."""
        return {
            "host": f"{getpass.getuser()}@127.0.0.1",
            "port": self.port,
            "identity_file": self.folder / "user key",
            "known_hosts": self.folder / "known hosts",
        }

    def logins(self) -> int:
        """Return how often somebody has logged in."""
        return (self.folder / "log").read_text().count("Accepted publickey")


def key(path: Path) -> str:
    """Make a key pair and return the public one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def sshd(folder: Path) -> Iterator[Loopback]:
    """Run the server until the block ends."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs sshd and ssh: apt-get install openssh-server openssh-client")
    if os.geteuid() == 0:  # what the service's own start-up does
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port, temp = free_port(), folder / "temp"
    temp.mkdir()
    public = key(folder / "host_key")
    (folder / "authorized_keys").write_text(key(folder / "user key"))
    (folder / "known hosts").write_text(f"[127.0.0.1]:{port} {public}")
    config = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",  # the folder above may be anybody's
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "SetEnv": f"TMPDIR={temp}",
    }
    text = "".join(f"{name} {value}\n" for name, value in config.items())
    (folder / "sshd_config").write_text(text)
    command: list[str | Path] = [SSHD, "-D", "-f", folder / "sshd_config", "-E", folder / "log"]
    server = subprocess.Popen(command)
    try:
        _wait(server, port, folder / "log")
        yield Loopback(port, folder, temp)
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(100):
        if server.poll() is not None:
            pytest.skip(f"sshd does not start here: {log.read_text()}")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"sshd does not listen: {log.read_text()}")
