"""Folders for the time of a computation, where the system has its temporary files."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.errors import MachineError, reason

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
        except OSError as error:  # numpy's has no name
            if error.filename and not str(error.filename).startswith(name):
                raise
            raise MachineError(f"{name}: cannot be written ({reason(error)}); {_ADVICE}") from error
