"""An ESP-IDF component: the C of the spotter, and a project that listens to a microphone."""

from typing import Literal

from edgekws.exporters._c_library import Library


class Exporter(Library):
    """The C of the spotter as a component of ESP-IDF 5 and later.

    The example reads an I2S microphone. Float where the chip has an FPU (ESP32, S3, P4),
    otherwise integers.
    """

    kind: Literal["esp_idf"] = "esp_idf"
