"""Flash, RAM and instructions of a bundle on its target, cached."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from edgekws.bundle.pack import identity
from edgekws.core.canonical import sha256_of
from edgekws.core.events import Emit, Event, working
from edgekws.core.footprint import Footprint
from edgekws.core.measurement import Measurement
from edgekws.core.protocols import Target
from edgekws.core.source_code import closure
from edgekws.core.store import build_folder
from edgekws.errors import UnsupportedError

_FOOTPRINT = TypeAdapter(Footprint)


def counted_footprint(
    bundle: Path, target: Target, cache: Path, emit: Emit
) -> tuple[Measurement, ...]:
    """Return the metrics of a bundle's footprint; none if the target does not count them.

    A bundle without a form in C has none either, and a warning says why.

    Raises:
        EdgekwsError: as `Target.footprint`, except `UnsupportedError`.
    """
    if not target.has_footprint:
        return ()
    try:
        return footprint(bundle, target, cache, emit).measurements()
    except UnsupportedError as error:
        emit(Event("warning", f"flash, RAM and instructions are not counted: {error}"))
        return ()


def footprint(bundle: Path, target: Target, cache: Path, emit: Emit) -> Footprint:
    """Return what the C of a bundle takes and computes on the target, from the cache if possible.

    Raises:
        EdgekwsError: as `Target.footprint`.
    """
    host = target.fingerprint()
    key = {
        "bundle": identity(bundle),
        "host": host,
        "source": closure([type(target).__module__]),
    }

    def build(folder: Path) -> None:
        working(emit, f"counting flash, RAM and instructions: {host['cpu']}")
        record = asdict(target.footprint(bundle))
        (folder / "footprint.json").write_text(json.dumps(record), encoding="utf-8")

    folder = build_folder(cache / "footprints" / sha256_of(key), build, emit)
    return _FOOTPRINT.validate_json((folder / "footprint.json").read_bytes())
