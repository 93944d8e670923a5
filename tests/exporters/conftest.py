"""A bundle that several forms are written from."""

from pathlib import Path

import pytest

from tests.int8_bundle import pack_bundle, write_model


@pytest.fixture(scope="session")
def streaming_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 bundle with random weights that has a streaming form; not to be changed."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return pack_bundle(folder, folder / "bundle", streaming=True)
