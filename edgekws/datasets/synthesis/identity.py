"""The identity of code that speaks: its source and its libraries."""

from importlib.metadata import PackageNotFoundError

from edgekws.core.source_code import fingerprint
from edgekws.errors import MissingPartError
from edgekws.synthesizers.speaking.espeak_ng import INSTALL


def speech_code(module: str) -> str:
    """Return the fingerprint of a module that speaks and writes audio.

    Raises:
        MissingPartError: espeak-ng is not installed.
    """
    try:
        return fingerprint(module, ("espeakng-loader", "numpy", "soxr", "soundfile"))
    except PackageNotFoundError as error:
        raise MissingPartError(f"{error.name} is not installed; {INSTALL}") from error
