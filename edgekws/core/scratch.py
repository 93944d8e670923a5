"""Temporary folders, in the system's folder for temporary files."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.errors import MachineError, reason

_FULL = frozenset({None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Numbers of write errors without a file name; numpy's errors have no number either."""

_ADVICE = "free some space there, or point TMPDIR at a folder that can be written"


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield a temporary folder named `edgekws-PREFIX-…`, removed afterwards.

    Raises:
        MachineError: it cannot be created or is full; the message names it and TMPDIR.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"edgekws-{prefix}-")
    except OSError as error:
        raise MachineError(f"no temporary folder: {reason(error)}; {_ADVICE}") from error
    with folder as name:
        try:
            yield Path(name)
        except OSError as error:
            if not _concerns(error, name):
                raise
            raise MachineError(f"{name}: cannot be written ({reason(error)}); {_ADVICE}") from error


def _concerns(error: OSError, folder: str) -> bool:
    """Return whether an error concerns a file in the folder, or is a full disk without a name."""
    if error.filename:
        return str(error.filename).startswith(folder)
    return error.errno in _FULL
