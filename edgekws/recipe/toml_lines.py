"""TOML with the line of every key, which the standard library's `tomllib` does not report."""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from edgekws.core.paths import path_problem, read_regular
from edgekws.errors import Problem, RecipeError

KeyPath = tuple[str | int, ...]
"""The path of a value: `("steps", 1, "loss", "temperature")`."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = " (at end of document)"
DEEPEST = 20
_LONG_KEY = re.compile(
    r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){200}"""
)
TOO_DEEP = f"tables and lists are nested more than {DEEPEST} deep"
_INT64 = range(-(2**63), 2**63)


def read_toml(path: Path, shown: str = "") -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Read a TOML file: its data, and the line of every key path.

    A byte order mark at the start is skipped.

    Raises:
        RecipeError: the file cannot be read, is too large, is not TOML, or contains a value that
            no key accepts; the message has `shown` (or the path) and the line.
    """
    shown = shown or str(path)
    if problem := path_problem(path):
        raise _problem(shown, problem)
    try:
        text = read_regular(path).decode("utf-8-sig")
    except OSError as error:
        raise _problem(shown, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _problem(shown, "is not UTF-8 text; save it as UTF-8") from error
    except ValueError as error:
        raise _problem(shown, str(error)) from error
    try:
        data = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _split(str(error), text)
        raise _problem(f"{shown}:{line}", f"not valid TOML: {message}") from error
    lines = locate(text)
    beyond = [
        Problem(f"{shown}:{lines[at]}", ".".join(map(str, at)), message)
        for at, message in unusable(data)
    ]
    if beyond:
        raise RecipeError(beyond)
    return data, lines


def parse_toml(text: str) -> dict[str, Any]:
    """Return the data of a TOML document.

    Raises:
        TOMLDecodeError: it is invalid, or tables and lists are nested too deeply.
    """
    if _LONG_KEY.search(text):  # a parser's work grows with the square of a key's parts
        raise tomllib.TOMLDecodeError(TOO_DEEP)
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError(TOO_DEEP) from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # more digits than Python reads
        raise tomllib.TOMLDecodeError("a number has thousands of digits") from error
    if _is_deep(data):
        raise tomllib.TOMLDecodeError(TOO_DEEP)
    return data


def unusable(data: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield key path and message of every value that no key accepts: 65-bit numbers, and times."""
    for path, value in _values(data, ()):
        if isinstance(value, int) and value not in _INT64:
            yield path, "a whole number has 64 bits at most; write fewer digits"
        elif isinstance(value, date | time):
            yield path, "no key takes a date or a time; write text in quotes"


def _values(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in inside:
            yield from _values(inner, (*path, key))
    else:
        yield path, value


def _is_deep(data: dict[str, Any]) -> bool:
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        inside = [v.values() if isinstance(v, dict) else v for v in level]
        level = [v for values in inside for v in values if isinstance(v, dict | list)]
    return bool(level)


def locate(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every key path of a valid TOML document.

    >>> locate('a = 1\\n[[steps]]\\nloss = { x = "#", y = [1,\\n2] }')[("steps", 0, "loss", "y", 1)]
    4
    """
    return _Scanner(text.replace("\r\n", "\n")).run()


def _problem(where: str, message: str) -> RecipeError:
    return RecipeError([Problem(where, "", message)])


def _split(message: str, text: str) -> tuple[str, int]:
    """Split the message of a `TOMLDecodeError` into text and line."""
    match = _AT_LINE.search(message)
    if match:
        return message[: match.start()], int(match[1])
    return message.removesuffix(_AT_END), text.rstrip().count("\n") + 1


@dataclass
class _Scanner:
    """Scans a document that `tomllib` has accepted, without checking it again."""

    text: str
    position: int = 0
    lines: dict[KeyPath, int] = field(default_factory=dict)
    arrays: dict[KeyPath, int] = field(default_factory=dict)
    """The number of tables in each array of tables so far."""

    def __post_init__(self) -> None:
        self.breaks = [match.start() for match in re.finditer("\n", self.text)]

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.position < len(self.text):
            if self._peek("[["):
                table = self._header("[[", "]]", appends=True)
            elif self._peek("["):
                table = self._header("[", "]", appends=False)
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self.lines

    def _peek(self, token: str) -> bool:
        return self.text.startswith(token, self.position)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match[0]

    def _mark(self, path: KeyPath, start: int) -> None:
        self.lines.setdefault(path, bisect_left(self.breaks, start) + 1)

    def _header(self, opening: str, closing: str, *, appends: bool) -> KeyPath:
        start = self.position
        self.position += len(opening)
        keys = self._keys()
        self.position += len(closing)
        path: KeyPath = ()
        for n, key in enumerate(keys, start=1):
            path += (key,)
            self._mark(path, start)
            if appends and n == len(keys):
                self.arrays[path] = self.arrays.get(path, 0) + 1
            if path in self.arrays:
                path += (self.arrays[path] - 1,)
                self._mark(path, start)
        return path

    def _keys(self) -> list[str]:
        """Read a dotted key, and the space after it."""
        keys = []
        while True:
            self._skip(_SPACE)
            quoted = self.text[self.position] in "\"'"
            token = self._skip(_STRING if quoted else _BARE_KEY)
            keys.append(tomllib.loads(f"key = {token}")["key"] if quoted else token)
            self._skip(_SPACE)
            if not self._peek("."):
                return keys
            self.position += 1

    def _pair(self, table: KeyPath) -> None:
        start = self.position
        path = table
        for key in self._keys():
            path += (key,)
            self._mark(path, start)
        self.position += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self.position += 1
        self._skip(_BLANK)
        index = 0
        while not self._peek("]"):
            self._mark((*path, index), self.position)
            self._value((*path, index))
            index += 1
            self._comma()
        self.position += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.position += 1
        self._skip(_BLANK)
        while not self._peek("}"):
            self._pair(path)
            self._comma()
        self.position += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self._peek(","):
            self.position += 1
        self._skip(_BLANK)
