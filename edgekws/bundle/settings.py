"""Write a bundle with other detection settings, otherwise unchanged."""

import json
from pathlib import Path
from typing import Any

from edgekws.bundle.archive import unpacked
from edgekws.bundle.declared import read_json
from edgekws.bundle.delivery import copy_files
from edgekws.bundle.export import check_output, place
from edgekws.bundle.members import CARD
from edgekws.bundle.pack import seal
from edgekws.bundle.verify import errors_named, verify_folder
from edgekws.core.protocols import EXPORTER, Exporter
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified

_HEADING = "\n## Detection in continuous audio\n"

_CARD_NOTE = """
Smoothing, thresholds and refractory time were calibrated on recordings; see `detection` in
`manifest.json`. Nothing else was changed: the figures above are those of the original bundle,
{sha256}.
"""


def write_settings(bundle: Path, detection: dict[str, Any], output: Path) -> Verified:
    """Write a bundle, a folder or a zip, to `output` with other settings; seal and verify it.

    `output` becomes a zip if its name ends with `.zip`, otherwise a folder. The same bundle and
    settings give the same bytes.

    Raises:
        UsageError: `output` has other content, or is the bundle.
        DataError: the bundle is damaged, or the settings are invalid.
        MachineError: `output` cannot be written.
    """
    exporter = exporter_for(output)
    check_output(bundle, exporter, output)
    with unpacked(bundle) as folder, scratch_folder("detect") as scratch:
        with errors_named(bundle):
            before = verify_folder(folder)
        changed = scratch / "bundle"
        copy_files(folder, changed)
        _change(changed, detection, before)
        with errors_named(output):
            after = verify_folder(changed)
        written = scratch / "written"
        written.mkdir()
        place(exporter.write(changed, written), output)
    return after


def exporter_for(output: Path) -> Exporter:
    """Return the exporter for the suffix of a path: zip or folder."""
    kind = "zip" if output.suffix.lower() == ".zip" else "folder"
    return EXPORTER.validate_python({"kind": kind})


def _change(folder: Path, detection: dict[str, Any], before: Verified) -> None:
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    manifest["detection"] = detection
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    card = (folder / CARD).read_text("utf-8", "replace")
    if _HEADING not in card:  # otherwise the note already names the bundle of the figures
        card += _HEADING + _CARD_NOTE.format(sha256=before.sha256)
    seal(folder, card)
