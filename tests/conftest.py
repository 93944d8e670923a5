"""Fixtures shared by all tests."""

import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekws.core.contract import Contract, Normalization
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd
from tests.warm import Program, keep_exports, keep_operator_table

pytest_plugins = ("tests.skips",)

# In the background of a shell, or under nohup, what tests start would ignore these signals too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


LONG = (
    "test_guide.py", "test_compress.py", "test_crash.py", "test_operators.py", "test_builders.py",
    "test_drivers.py", "test_run.py", "test_continuous.py", "test_cases.py", "test_ray_crew.py",
    "test_examples.py", "test_kill.py", "test_c.py", "test_reading.py", "test_api.py",
    "test_docs.py", "test_planted.py", "test_silence.py",
)  # fmt: skip
"""Files that take long: begun first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first, the others in the order in which they were found."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_collection_finish() -> None:
    """Make exports cheaper, where tests may export."""
    if "torch" in sys.modules:
        keep_operator_table()
        keep_exports()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Return the command line, with the large libraries imported once for all its runs."""
    waiting = Program(tmp_path_factory.mktemp("program"))
    yield waiting
    waiting.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EDGEKWS_TEST_DATA", beside))
    if not (folder / "asc" / "train.csv").is_file():
        pytest.skip(f"no recordings under {folder}; point EDGEKWS_TEST_DATA at them")
    return folder


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with random weights and Cyrillic labels; not to be changed."""
    import torch

    from edgekws.bundle import pack
    from edgekws.lowering import checkpoint, export, onnx_file

    folder = tmp_path_factory.mktemp("связка")
    contract = Contract(
        FrontEnd(),
        Normalization((-6.0,) * 40, (3.0,) * 40),
        ("да", "нет", "_unknown_", "_silence_"),
        (40, FrontEnd().n_frames),
        {"kind": "inverted_bottleneck"},
    )
    torch.manual_seed(0)
    model = export.export_lowered(checkpoint.build(contract).eval(), contract)
    onnx_file.save(model, contract, folder / "model.onnx")
    bundle = folder / "bundle"
    bundle.mkdir()
    noise = np.random.default_rng(3).standard_normal((4, 16_000)) * np.hanning(16_000) * 3_000
    origin = {"recipe": "проба"}
    pack.pack(bundle, folder / "model.onnx", contract, noise.astype(np.int16), origin)
    pack.seal(bundle, "# card\n")
    return bundle


@pytest.fixture(scope="session")
def micro_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streaming INT8 bundle with random weights and the micro front end; not to be changed."""
    from edgekws.audio.front_ends import fixed_normalization
    from tests.int8_bundle import pack_bundle, write_model

    folder = tmp_path_factory.mktemp("micro")
    front_end = FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS)
    normalization = fixed_normalization(front_end)
    assert normalization is not None
    write_model(folder, front_end, normalization, scale=4.0)
    return pack_bundle(folder, folder / "bundle", streaming=True)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A device of this test's own that swallows everything, as /dev/null."""
    folder = tmp_path / "devices"
    folder.mkdir()
    try:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (folder / "null").write_bytes(b"x")
    except OSError:
        pytest.skip("devices cannot be made here")
    return folder / "null"


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A folder in which nobody, not even root, can make a file."""
    if os.geteuid() == 0:
        return Path("/proc/self")
    (tmp_path / "closed").mkdir(mode=0o500)
    return tmp_path / "closed"


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may spoil."""
    return Path(shutil.copytree(packed, tmp_path / "bundle"))


@pytest.fixture(scope="session", params=["windowed", "streaming"])
def tone_bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose keywords are tones, with and without a streaming form; not to be changed."""
    from tests.tone_bundle import make

    folder = tmp_path_factory.mktemp("тоны")
    return make(folder, streaming=request.param == "streaming")
