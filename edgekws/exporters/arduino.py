"""An Arduino library: the C of the spotter, and sketches that listen to a microphone."""

from typing import Literal

from edgekws.exporters._c_library import Library


class Exporter(Library):
    """The C of the spotter as an Arduino library.

    Sketches for PDM microphones (Nano 33 BLE Sense and others) and, on an ESP32, for I2S ones.
    Float where the CPU has an FPU for it, otherwise integers.
    """

    kind: Literal["arduino"] = "arduino"
