"""A PlatformIO library: the C of the spotter, and projects that listen to a microphone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from edgekws.exporters._c_library import Library
from edgekws.runtime.boards import framework_files


class Exporter(Library):
    """The C of the spotter as a PlatformIO library.

    Projects for the Nano 33 BLE Sense (framework arduino) and the ESP32-S3 (framework espidf),
    with the programs of the exporters `arduino` and `esp_idf`. Float where the CPU has an FPU for
    it, otherwise integers.
    """

    kind: Literal["platformio"] = "platformio"

    def files(self) -> Mapping[str, Path]:
        """Return the library's files, and the programs of `arduino` and `esp_idf`."""
        sketch = framework_files("arduino")["examples/PDM_microphone/PDM_microphone.ino"]
        program = framework_files("esp_idf")["examples/microphone/main/main.c"]
        return {
            **super().files(),
            "examples/nano33ble/src/main.cpp": sketch,
            "examples/esp32/src/main.c": program,
        }
