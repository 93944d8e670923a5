"""Where a server listens: `tcp://HOST:PORT` or `unix://PATH`."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgekws.core.paths import user_path
from edgekws.errors import UsageError

LOCAL = "tcp://127.0.0.1:10400"
"""This machine alone, at the port where Home Assistant expects wake words."""

OPEN = "tcp://0.0.0.0:10400"


@dataclass(frozen=True)
class TcpAddress:
    """A name or number of this machine, and a port; 0 stands for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the URI."""
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_private(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True)
class UnixAddress:
    """A socket in the file system, which only its owner may use."""

    path: Path

    is_private = True

    def __str__(self) -> str:
        """Return the URI."""
        return f"unix://{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(uri: str) -> Address:
    """Return the address of a URI.

    Raises:
        UsageError: it is neither `tcp://HOST:PORT` nor `unix://PATH`.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"--uri {uri}: {error}") from error
    if parts.scheme == "tcp" and host and port is not None and not parts.path.strip("/"):
        return TcpAddress(host, port)
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return UnixAddress(user_path(unquote(parts.path)))
    raise UsageError(f"--uri {uri}: expected {LOCAL}, {OPEN} or unix:///PATH")
