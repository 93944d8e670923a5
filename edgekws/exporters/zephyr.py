"""A Zephyr module: the C of the spotter, and a sample that listens to a microphone."""

from pathlib import Path
from typing import Literal

from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.exporters import _c_library
from edgekws.runtime.boards import framework_files


class Exporter(Fields):
    """The C of the spotter as a Zephyr module with Kconfig options.

    The sample reads a digital microphone through the DMIC API. Float with `CONFIG_FPU`, which the
    module switches on where the CPU has one, otherwise integers.
    """

    kind: Literal["zephyr"] = "zephyr"

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
