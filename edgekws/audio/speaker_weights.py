"""Where the weights of the speaker encoder are: in an optional package, which is not imported."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

INSTALL = "pip install --no-deps resemblyzer==0.1.4"
"""Its dependencies are not needed, and one of them has to be compiled."""


def weights() -> Path | None:
    """Return the file of the encoder's weights, `None` if the package is not installed."""
    try:
        package = distribution("resemblyzer")
    except PackageNotFoundError:
        return None
    file = Path(str(package.locate_file("resemblyzer/pretrained.pt")))
    return file if file.is_file() else None
