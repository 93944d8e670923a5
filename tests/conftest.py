"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EDGEKWS_TEST_DATA", beside))
    if not (folder / "asc" / "train.csv").is_file():
        pytest.skip(f"no recordings under {folder}; point EDGEKWS_TEST_DATA at them")
    return folder
