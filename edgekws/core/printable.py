"""Untrusted text for a terminal: control characters are shown as escapes."""

import re

_CONTROL = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # control characters but tab and line feed
    "\\u2028\\u2029"  # line and paragraph separators
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # change the text direction
    "\\ud800-\\udfff]"  # bytes of a file name that are not UTF-8
)

NOT_PLAIN = "holds characters that cannot be shown, or are not UTF-8; rename it"


def printable(text: str) -> str:
    r"""Return `text` with control characters, and bytes that are not UTF-8, as escapes.

    >>> printable("\x1b[2J да\udcff")
    '\\x1b[2J да\\udcff'
    """
    return _CONTROL.sub(lambda match: _escape(match[0]), text)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with line feeds and tabs as escapes too.

    >>> one_line("a\nb.wav\t\x1b[2J")
    'a\\x0ab.wav\\x09\\x1b[2J'
    """
    return printable(text).replace("\n", "\\x0a").replace("\t", "\\x09")


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def is_plain(text: str) -> bool:
    """Return whether a label or a name can be shown unchanged, on one line."""
    return one_line(text) == text
