"""Programs for a board: a spotter that listens, and a network and a front end to be proven."""

import shutil
from pathlib import Path
from typing import Any

from edgekws.codegen import (
    detector,
    front_ends,
    ir,
    memory_plan,
    network,
    spotter,
)
from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.runtime.c import (
    BOARD,
    BOARD_LISTENS,
    BOARD_PROVES,
    DETECTOR,
    SECONDS,
    kernel_paths,
)


def write_proof(read: ir.Network, contract: Contract, folder: Path, *, integer: bool) -> None:
    """Write the program that runs a front end and a network on request, `board_prove.c`.

    Raises:
        UnsupportedError: the front end has no form in C; the message says why.
    """
    texts, kernels = _sources(read, contract, integer)
    _write(texts, (*BOARD, *BOARD_PROVES, *kernels), folder)


def write_listener(
    read: ir.Network, contract: Contract, manifest: dict[str, Any], folder: Path, *, integer: bool
) -> None:
    """Write the program that turns samples into events, `board_listen.c`.

    `manifest` is the bundle's, with the settings for detection.

    Raises:
        UnsupportedError: the front end or a setting has no form in C; the message says why.
    """
    try:
        settings = detector.detector_settings(manifest)
    except ValueError as error:
        raise UnsupportedError(f"the detector has no form in C: {error}") from error
    texts, kernels = _sources(read, contract, integer)
    texts |= {
        "kws_detector.h": detector.detector_header(settings),
        "kws_detector.c": detector.detector_source(settings),
        "kws.h": spotter.spotter_header("", "", read, contract.labels, {}),
    }
    parts = (*BOARD, *BOARD_LISTENS, *DETECTOR, *kernels)
    _write(texts, tuple(part for part in parts if not (integer and part == SECONDS)), folder)


def _sources(
    read: ir.Network, contract: Contract, integer: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the generated files of a network and its front end, and the names of their kernels."""
    source = network.write_network(read, memory_plan.plan(read), "")
    files = front_ends.files(contract, read, integer=integer)
    texts = {"kws_network.h": source.header, "kws_network.c": source.source, **files}
    return texts, (*source.files, *front_ends.kernels(contract, integer=integer))


def _write(texts: dict[str, str], parts: tuple[str, ...], folder: Path) -> None:
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in kernel_paths(tuple(dict.fromkeys(parts))):
        shutil.copy(path, folder)
