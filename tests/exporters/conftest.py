"""A bundle that several forms are written from."""

from pathlib import Path

import pytest

from edgekws.audio.front_ends import fixed_normalization
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd
from tests.int8_bundle import pack_bundle, write_model


@pytest.fixture(scope="session")
def streaming_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 bundle with random weights that has a streaming form; not to be changed."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return pack_bundle(folder, folder / "bundle", streaming=True)


@pytest.fixture(scope="session")
def micro_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streaming INT8 bundle with random weights and the micro front end; not to be changed."""
    folder = tmp_path_factory.mktemp("micro")
    front_end = FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS)
    normalization = fixed_normalization(front_end)
    assert normalization is not None
    write_model(folder, front_end, normalization, scale=4.0)
    return pack_bundle(folder, folder / "bundle", streaming=True)
