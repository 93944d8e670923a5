"""The bundle as a zip archive."""

from pathlib import Path
from typing import Literal
from zipfile import is_zipfile

from edgekws.bundle.archive import unpacked, write_zip
from edgekws.bundle.members import SUMS
from edgekws.bundle.pack import members
from edgekws.bundle.verify import verify_folder
from edgekws.core.fields import Fields
from edgekws.core.output import is_stream
from edgekws.core.verified import Verified
from edgekws.errors import UsageError


class Exporter(Fields):
    """All files in one archive; the same bundle gives the same bytes."""

    kind: Literal["zip"] = "zip"

    def check_output(self, output: Path) -> None:
        """Reject a file that is not a zip archive.

        Raises:
            UsageError: `output` has other content.
        """
        if not is_stream(output) and output.resolve().exists() and not is_zipfile(output):
            raise UsageError(f"{output} exists and is not a zip archive; name another --output")

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the archive."""
        write_zip(folder, [*members(folder), SUMS], scratch / "bundle.zip")
        return scratch / "bundle.zip"

    def prove(self, written: Path, folder: Path) -> Verified:
        """Unpack the archive and verify the bundle.

        Raises:
            DataError, ParityError: as `bundle.verify.verify_folder`.
        """
        with unpacked(written) as unzipped:
            return verify_folder(unzipped)
