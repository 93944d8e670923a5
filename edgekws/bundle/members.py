"""The names of the files of a bundle."""

import re
from collections.abc import Iterator
from pathlib import Path

SUMS = "SHA256SUMS"
CARD = "MODEL_CARD.md"
MANIFEST = "manifest.json"

REQUIRED = (CARD, "detect.py", "golden/golden.json", "labels.txt", MANIFEST)

MODELS = ("frontend", "model")
STREAMING = ("frontend_stream", "stream")
"""Optional further models."""

_NAME = re.compile(
    rf"{re.escape(SUMS)}|{'|'.join(map(re.escape, REQUIRED))}"
    rf"|({'|'.join((*MODELS, *STREAMING))})\.(onnx|ort)|golden/\d{{2,4}}\.wav"
)
FOLDERS = ("golden",)


def is_member(name: str) -> bool:
    """Return whether a relative path with `/` names a file of a bundle.

    >>> is_member("golden/07.wav"), is_member("json.py")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


def foreign_paths(folder: Path) -> Iterator[str]:
    """Yield, sorted, the paths in a folder that are not plain files of a bundle."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield name
        elif path.is_dir():
            if name not in FOLDERS:
                yield name
        elif not (is_member(name) and path.is_file()):
            yield name
