"""The installed version and the folder of the package."""

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
"""The folder of the package."""


def version() -> str:
    """Return the version that was installed: that of the tag, or of the commits since.

    A copy of the source that was never installed has none: `0+unknown`.
    """
    try:
        return metadata("edgekws")["Version"]
    except PackageNotFoundError:
        return "0+unknown"
