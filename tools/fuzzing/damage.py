"""Damage that any input may have: to bytes, to cells, to values."""

from pathlib import Path
from random import Random
from typing import Any

NUMBERS = (
    "0", "-0", "-1", "1", "0.0", "-0.5", "nan", "inf", "-inf", "1e308", "1e999", "1e-320", "NaN",
    "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1_000",
    "0x10", "1e400", "１２", "٣", "½", "1,5", " 1 ", "+1", "--1", "1" * 400, "1" * 5000, ".5", "5.",
)  # fmt: skip
TEXTS = (
    "", " ", "\t", "\n", "a\nb", "\r", "\0", "a\0b", "\x1b[31mred", "\x1b]0;title\x07", "\x7f",
    "\x9b31m", "\u202e", "\ufeff", "\u200b", "\U0001f600", "да", "e\u0301", "é", "ﬁ", "_unknown_",
    "_silence_", ".", "..", "../..", "../../escaped", "/", "/dev/zero", "/dev/null", "/dev/stdin",
    "/proc/self/mem", "~", "~nobody/x", "~root", "$HOME", "%s%n", "{0}", "{x}", "[bold]x[/bold]",
    "[/]", "<script>", "'", '"', "\\", "a" * 300, "a" * 5000, "я" * 140, "a/" * 2100,
    "x" * 140_000, "true", "null", "None", "-", "--help", "=", "con", "file:///etc/passwd",
    "http://localhost:9/", "a;b", "a,b", "#", "\ud800", "\udcff", "𝟙",
)  # fmt: skip
_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def is_plain(path: Path) -> bool:
    """Return whether there is a regular file: writing to it changes nothing elsewhere."""
    return path.is_file() and not path.is_symlink()


def damaged(rng: Random, data: bytes, most: int = 6) -> bytes:
    """Return `data` after one to `most` changes; every byte of it may be hit."""
    content = bytearray(data)
    for _ in range(rng.randint(1, most)):
        rng.choice(_CHANGES)(rng, content)
    return bytes(content)


def _place(rng: Random, data: bytearray) -> int:
    """Return an offset: as often in a header as anywhere else."""
    most = len(data) if rng.random() < 0.5 else min(len(data), 64)
    return rng.randrange(most + 1)


def _flip(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    if at < len(data):
        data[at] ^= 1 << rng.randrange(8)


def _overwrite(rng: Random, data: bytearray) -> None:
    at, width = _place(rng, data), rng.choice((1, 2, 4, 8))
    value = rng.choice(_INTEGERS) if rng.random() < 0.7 else rng.getrandbits(8 * width)
    value &= (1 << 8 * width) - 1
    little = value.to_bytes(width, "little")
    data[at : at + width] = rng.choice((little, little[::-1]))


def _insert(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 16, 300)))


def _remove(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 2, 4, 64, 1000))]


def _repeat(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    part = data[at : at + rng.choice((1, 8, 64, 1000))]
    data[at:at] = part * rng.choice((1, 2, 20))


def _truncate(rng: Random, data: bytearray) -> None:
    del data[_place(rng, data) :]


def _append(rng: Random, data: bytearray) -> None:
    data += rng.randbytes(rng.choice((1, 7, 1000)))


def _move(rng: Random, data: bytearray) -> None:
    start = _place(rng, data)
    part = data[start : start + rng.choice((4, 32, 256))]
    del data[start : start + len(part)]
    at = _place(rng, data)
    data[at:at] = part


_CHANGES = (
    _flip, _flip, _flip, _overwrite, _overwrite, _insert, _remove, _repeat, _truncate, _append,
    _move
)  # fmt: skip


def recoded(rng: Random, text: str) -> bytes:
    """Return `text` in an encoding, nearly always UTF-8 without anything before it."""
    if rng.random() < 0.85:
        return text.encode("utf-8", "surrogatepass" if rng.random() < 0.5 else "replace")
    name = rng.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1251", "utf-7"))
    return text.encode(name, "replace")


def value(rng: Random, depth: int = 2) -> Any:
    """Return a value of any type that JSON and TOML know."""
    if depth and rng.random() < 0.2:
        inside = [value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return inside if rng.random() < 0.5 else {rng.choice(TEXTS)[:50]: v for v in inside}
    return rng.choice((
        True, False, 0, 1, -1, 2, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 0.0, -0.0, 0.5,
        1.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"), [], {}, [[]], [0, 1],
        ["a", "a"], rng.choice(TEXTS), rng.choice(NUMBERS), rng.randrange(100), rng.random(),
    ))  # fmt: skip


def replaced(rng: Random, tree: Any) -> None:
    """Change one value somewhere in nested tables and lists: another, gone, or twice."""
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(tree[key], dict | list) and tree[key] and rng.random() < 0.75:
        replaced(rng, tree[key])
        return
    change = rng.randrange(5)
    if change == 0:
        del tree[key]
    elif change == 1 and isinstance(tree, list):
        tree.insert(rng.randrange(len(tree) + 1), tree[key])
    elif change == 1:
        tree[rng.choice(TEXTS)[:50]] = tree.pop(key)
    elif change == 2 and isinstance(tree[key], int | float):
        number = tree[key]
        tree[key] = rng.choice((-number, number + 1, number * 2, number * 1000, number // 2, 0))
    else:
        tree[key] = value(rng)
