"""The bundle as a folder."""

from pathlib import Path
from typing import Literal

from edgekws.bundle.delivery import copy_files
from edgekws.bundle.export import check_folder
from edgekws.bundle.verify import verify_folder
from edgekws.core.fields import Fields
from edgekws.core.verified import Verified


class Exporter(Fields):
    """A copy of every file; the same bundle gives the same bytes."""

    kind: Literal["folder"] = "folder"

    def check_output(self, output: Path) -> None:
        """Reject a folder that is not a bundle.

        Raises:
            UsageError: `output` has other content.
        """
        check_folder(output)

    def write(self, folder: Path, scratch: Path) -> Path:
        """Copy the bundle."""
        copy_files(folder, scratch / "bundle")
        return scratch / "bundle"

    def prove(self, written: Path, folder: Path) -> Verified:
        """Verify the copy.

        Raises:
            DataError, ParityError: as `bundle.verify.verify_folder`.
        """
        return verify_folder(written)
