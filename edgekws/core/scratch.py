"""Folders for the time of a computation, where the system has its temporary files."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.errors import MachineError, reason

_FULL = frozenset({None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What an error of writing without a file's name says; numpy's has no number either."""

_ADVICE = "free some space there, or point TMPDIR at a folder that can be written"


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield a folder that is gone afterwards, named after `edgekws-` and `prefix`.

    Raises:
        MachineError: it cannot be made, or is full; the message names it, and TMPDIR.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"edgekws-{prefix}-")
    except OSError as error:
        raise MachineError(f"no temporary folder: {reason(error)}; {_ADVICE}") from error
    with folder as name:
        try:
            yield Path(name)
        except OSError as error:
            if not _is_of(error, name):
                raise
            raise MachineError(f"{name}: cannot be written ({reason(error)}); {_ADVICE}") from error


def _is_of(error: OSError, folder: str) -> bool:
    """Say whether an error is that of a file in the folder, or of any file that had no room."""
    if error.filename:
        return str(error.filename).startswith(folder)
    return error.errno in _FULL
