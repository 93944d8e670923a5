"""Canonical JSON and sha256: the identity of data and files."""

import hashlib
import json
from pathlib import Path


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys, no spaces, no NaN: equal values give equal text.

    >>> canonical_json({"b": 1, "a": (1.5, None)})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256_of(value: object) -> str:
    """Return the sha256 of the canonical JSON of `value`."""
    # file names may hold bytes that are not UTF-8, which Python represents as surrogates
    text = canonical_json(value).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()


def file_state(path: Path) -> tuple[str, int, int]:
    """Return path, size and time of a file, by which it is known unread; -1 where it is missing."""
    try:
        state = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), state.st_size, state.st_mtime_ns


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
