"""A unit of systemd that runs a server."""

import sys
from collections.abc import Sequence
from pathlib import Path

_UNIT = """\
# Write this to /etc/systemd/system/edgekws.service, then: systemctl enable --now edgekws
[Unit]
Description=edgekws wake-word server ({name})
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Restart=on-failure
SuccessExitStatus=130
DynamicUser=yes
RuntimeDirectory=edgekws
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def unit(bundle: Path, options: Sequence[str]) -> str:
    """Return the unit of `edgekws serve BUNDLE OPTIONS…` with this interpreter."""
    command = [sys.executable, "-m", "edgekws", "serve", str(bundle.resolve()), *options]
    name = bundle.name.replace("%", "%%")
    return _UNIT.format(name=name, command=" ".join(map(_quoted, command)))


def _quoted(word: str) -> str:
    r"""Quote a word as systemd reads it.

    >>> _quoted("/home/anna/100% mine"), _quoted("--clients")
    ('"/home/anna/100%% mine"', '--clients')
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = escaped == word and word and not any(c.isspace() or c in "'\";" for c in word)
    return word if plain else f'"{escaped}"'
