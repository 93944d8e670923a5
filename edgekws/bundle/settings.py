"""A bundle with other settings of detection: nothing else of it changes."""

import json
from pathlib import Path
from typing import Any

from edgekws.bundle.archive import unpacked
from edgekws.bundle.declared import read_json
from edgekws.bundle.delivery import copy_files
from edgekws.bundle.export import check_output, place
from edgekws.bundle.members import CARD
from edgekws.bundle.pack import seal
from edgekws.bundle.verify import named, verify_folder
from edgekws.core.protocols import EXPORTER, Exporter
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified

_HEADING = "\n## Detection in continuous audio\n"

_CARD_NOTE = """
Smoothing, thresholds and refractory time were chosen on recordings, which `manifest.json` tells of
under `detection`. Nothing else was changed: the figures above are those of the bundle that came
before, {sha256}.
"""


def write_settings(bundle: Path, detection: dict[str, Any], output: Path) -> Verified:
    """Write a bundle, a folder or a zip, to `output` with other settings; sealed and verified.

    `output` becomes a zip where its name ends in `.zip`, otherwise a folder. The same bundle and
    settings give the same bytes.

    Raises:
        UsageError: `output` holds something else, or is the bundle.
        DataError: the bundle is damaged, or the settings cannot be.
        MachineError: `output` cannot be written.
    """
    exporter = exporter_for(output)
    check_output(bundle, exporter, output)
    with unpacked(bundle) as folder, scratch_folder("detect") as made:
        with named(bundle):
            before = verify_folder(folder)
        fresh = made / "bundle"
        copy_files(folder, fresh)
        _change(fresh, detection, before)
        with named(output):
            after = verify_folder(fresh)
        scratch = made / "written"
        scratch.mkdir()
        place(exporter.write(fresh, scratch), output)
    return after


def exporter_for(output: Path) -> Exporter:
    """Return what writes the form that a path asks for by its name: a zip or a folder."""
    kind = "zip" if output.suffix.lower() == ".zip" else "folder"
    return EXPORTER.validate_python({"kind": kind})


def _change(folder: Path, detection: dict[str, Any], before: Verified) -> None:
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    manifest["detection"] = detection
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    card = (folder / CARD).read_text("utf-8", "replace")
    if _HEADING not in card:  # otherwise the note is of the first change, whose figures they are
        card += _HEADING + _CARD_NOTE.format(sha256=before.sha256)
    seal(folder, card)
