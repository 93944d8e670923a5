"""A Zephyr module: the C of the spotter, and a sample that listens to a microphone."""

from typing import Literal

from edgekws.exporters._c_library import Library


class Exporter(Library):
    """The C of the spotter as a Zephyr module with Kconfig options.

    The sample reads a digital microphone through the DMIC API. Float with `CONFIG_FPU`, which the
    module switches on where the CPU has one, otherwise integers.
    """

    kind: Literal["zephyr"] = "zephyr"
