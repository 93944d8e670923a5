"""What bundles take and compute on a microcontroller."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit
from edgekws.core.footprint import Footprint
from edgekws.core.protocols import Target
from edgekws.engine.footprint import footprint
from edgekws.errors import UsageError
from edgekws.evaluation.models import verified


@dataclass(frozen=True)
class BundleFootprint:
    """A bundle, and its footprint."""

    bundle: str
    footprint: Footprint


def footprints(paths: Sequence[Path], target: Target, emit: Emit) -> tuple[BundleFootprint, ...]:
    """Return the footprint of each bundle, a folder or a zip; cached.

    Raises:
        UsageError: no path, or a path that is no bundle: flash and RAM are those of a whole one.
        DataError: a bundle is missing or damaged.
        UnsupportedError: a bundle has no form in C.
        MissingPartError: the cross compiler or the emulator is not installed.
    """
    if not paths:
        raise UsageError("profile needs a bundle")
    rows = []
    with ExitStack() as stack:
        for path in paths:
            folder = stack.enter_context(verified(path))
            if not (folder / "manifest.json").is_file():
                raise UsageError(
                    f"{path} is no bundle; flash, RAM and instructions are those of a whole one: "
                    "name its folder"
                )
            made = footprint(folder, target, cache_folder(), emit)
            rows.append(BundleFootprint(str(path), made))
    return tuple(rows)
