"""The reference page of all commands, written from the command line itself."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from edgekws.cli.app import app

INTRO = """# Commands

Every command with its arguments and options. `--help` on any of them shows the same text.
`--json` prints JSON lines on standard output and everything else on standard error. Put `--debug`
before the command to see the traceback of an error: `edgekws --debug compress recipe.toml`.

Exit codes have [a page of their own](exit-codes.md), and so have
[environment variables](environment.md).
"""
_TYPES = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def commands_page() -> str:
    """Return the page of every command as Markdown."""
    parts = [INTRO, "| command | does |", "|---|---|"]
    found = list(every_command())
    for name, command in found:
        anchor = f"edgekws-{name.replace(' ', '-')}"
        parts.append(f"| [`{name}`](#{anchor}) | {_first_sentence(command)} |")
    for name, command in found:
        parts.append(_section(name, command))
    return "\n".join(parts) + "\n"


def every_command() -> Iterator[tuple[str, Any]]:
    """Yield the name of every command as it is typed, and the command."""
    yield from _below("", typer.main.get_command(app))


def _below(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "invoke_without_command", True):
            yield f"{prefix}{name}", command
        if hasattr(command, "commands"):
            yield from _below(f"{prefix}{name} ", command)


def _first_sentence(command: Any) -> str:
    return " ".join(command.help.split("\n\n")[0].split())


def _section(name: str, command: Any) -> str:
    text, _, examples = command.help.partition("Examples:")
    parts = [f"\n## edgekws {name}\n", text.replace("\b", "").strip() + "\n"]
    usage = [_shown(p) for p in _arguments(command)]
    parts.append(f"```text\nedgekws {' '.join([name, '[OPTIONS]', *usage])}\n```\n")
    if _arguments(command):
        parts += ["| argument | meaning |", "|---|---|"]
        parts += [f"| `{_escaped(_shown(p))}` | {_escaped(p.help)} |" for p in _arguments(command)]
        parts.append("")
    parts += ["| option | default | meaning |", "|---|---|---|"]
    parts += [_row(p) for p in command.params if p not in _arguments(command)]
    if examples:
        lines = [line.removeprefix("  ") for line in examples.strip("\n").splitlines()]
        parts.append("\n```text\n" + "\n".join(lines).strip() + "\n```")
    return "\n".join(parts)


def _arguments(command: Any) -> list[Any]:
    return [p for p in command.params if not p.opts[0].startswith("-")]


def _shown(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name = f"{name}…" if argument.nargs == -1 and "…" not in name else name
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _row(option: Any) -> str:
    default = "required" if option.required else "–"
    if not option.is_flag and option.default is not None and not option.required:
        value = option.default.value if isinstance(option.default, Enum) else option.default
        default = f"`{value}`"
    value = _value(option)
    names = ", ".join(f"`{_escaped(f'{name} {value}'.strip())}`" for name in option.opts)
    return f"| {names} | {default} | {_escaped(option.help)}{_bounds(option)} |"


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return str(option.metavar)
    kind = option.type_descriptor.annotation
    kind = next((one for one in get_args(kind) if one is not type(None)), kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return _TYPES[kind]


def _bounds(option: Any) -> str:
    signs = {"≥": option.min, "≤": option.max}
    bounds = [f"{sign} {_number(bound)}" for sign, bound in signs.items() if bound is not None]
    return f" ({', '.join(bounds)})" if bounds else ""


def _number(bound: float) -> str:
    return f"{bound:,.0f}" if float(bound).is_integer() else f"{bound:g}"


def _escaped(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"(?<![`\w])(_[a-z]+_|<\w+>(?:/<\w+>)*)(?![\w`])", r"`\1`", line)
