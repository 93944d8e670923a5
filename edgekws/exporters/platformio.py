"""A PlatformIO library: the C of the spotter, and projects that listen to a microphone."""

from pathlib import Path
from typing import Literal

from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.exporters import _c_library
from edgekws.runtime.boards import framework_files


class Exporter(Fields):
    """The C of the spotter as a PlatformIO library.

    Projects for the Nano 33 BLE Sense (framework arduino) and the ESP32-S3 (framework espidf),
    with the programs of the exporters `arduino` and `esp_idf`. Float where the CPU has an FPU for
    it, otherwise integers.
    """

    kind: Literal["platformio"] = "platformio"

    def check_output(self, output: Path) -> None:
        """Reject a folder with other content than such a library.

        Raises:
            UsageError: it has other content.
        """
        _c_library.check_output(output, _files())

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the library.

        Raises:
            UsageError, UnsupportedError, ParityError: as the exporter `c`.
        """
        return _c_library.write(folder, scratch, _files())

    def prove(self, written: Path, folder: Path) -> Verified:
        """Compile the sources and compare the golden clips, bit for bit from the features on.

        Raises:
            ParityError: a bit or a label differs.
        """
        return _c_library.prove(written, folder)


def _files() -> dict[str, Path]:
    sketch = framework_files("arduino")["examples/PDM_microphone/PDM_microphone.ino"]
    program = framework_files("esp_idf")["examples/microphone/main/main.c"]
    return {
        **framework_files("platformio"),
        "examples/nano33ble/src/main.cpp": sketch,
        "examples/esp32/src/main.c": program,
    }
