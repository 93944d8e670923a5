"""An ESP-IDF component: the C of the spotter, and a project that listens to a microphone."""

from pathlib import Path
from typing import Literal

from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.exporters import _c_library
from edgekws.runtime.boards import framework_files


class Exporter(Fields):
    """The C of the spotter as a component of ESP-IDF 5 and later.

    The example reads an I2S microphone. Float where the chip has an FPU (ESP32, S3, P4),
    otherwise integers.
    """

    kind: Literal["esp_idf"] = "esp_idf"

    def check_output(self, output: Path) -> None:
        """Reject a folder with other content than such a library.

        Raises:
            UsageError: it has other content.
        """
        _c_library.check_output(output, framework_files(self.kind))

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the library.

        Raises:
            UsageError, UnsupportedError, ParityError: as the exporter `c`.
        """
        return _c_library.write(folder, scratch, framework_files(self.kind))

    def prove(self, written: Path, folder: Path) -> Verified:
        """Compile the sources and compare the golden clips, bit for bit from the features on.

        Raises:
            ParityError: a bit or a label differs.
        """
        return _c_library.prove(written, folder)
