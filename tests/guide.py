"""The commands and the files that the pages show, read as a shell and a person would read them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from edgekws.cli.app import app

ROOT = Path(__file__).parents[1]
SHELLS = ("sh", "bash", "console")
FILES = ("toml", "python", "yaml", "c")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(edgekws [^`\n]+)`(?!`)")
_NAMED = re.compile(r"(?:#|/\*) ([\w./-]+\.\w+)(?: \*/)?\n")
_OPERATORS = set("|&;<>()")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name in its first line, `# budget.toml`: what a reader saves it as."""
        named = _NAMED.match(self.text) if self.language in FILES else None
        return named[1] if named else None

    @property
    def commands(self) -> tuple[str, ...]:
        """What a reader types, a command each, on one line."""
        if self.language not in SHELLS:
            return ()
        joined = re.sub(r"\\\n\s*", "", self.text)
        return tuple(line.strip() for line in joined.splitlines() if line.strip())


def pages() -> list[Path]:
    """Return every page that a person reads, but those written from the code."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [page for page in found if page.parent.name != "reference"]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[str]:
    """Return the commands of a page in their order."""
    return [command for block in blocks(page) for command in block.commands]


def inline(page: Path) -> list[list[str]]:
    """Return the words of every `edgekws …` within a sentence."""
    found = _INLINE.findall(page.read_text(encoding="utf-8"))
    return [text.replace("…", "").split()[1:] for text in found]


def programs(command: str) -> Iterator[list[str]]:
    """Yield program and arguments of each part of a command line; of ssh's own command too."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    part: list[str] = []
    to_a_file = False
    for word in lexer:
        if set(word) <= _OPERATORS:
            to_a_file = set(word) <= set("<>")
            if not to_a_file:
                yield part
                part = []
        elif to_a_file:
            to_a_file = False
        else:
            part.append(word)
    yield part
    if part[0] == "ssh" and len(part) > 2:
        yield from programs(part[-1])


def parse(arguments: list[str]) -> Any:
    """Have the command line read its arguments, and run nothing.

    Raises:
        Exception: of typer, where there is no such command or option.
    """
    command: Any = typer.main.get_command(app)
    name, *rest = arguments
    command = command.commands[name]
    if hasattr(command, "commands"):
        name, *rest = rest
        command = command.commands[name]
    return command.make_context(name, rest)


def options_of(words: list[str]) -> set[str] | None:
    """Return the options of the command that `words` begin with; `None` where there is none."""
    command: Any = typer.main.get_command(app)
    found = {"--help", *(option for p in command.params for option in p.opts)}
    for word in words:
        if word.startswith("-"):
            continue
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return None
        if not hasattr(command, "commands"):
            return found | {option for p in command.params for option in p.opts}
    return found
