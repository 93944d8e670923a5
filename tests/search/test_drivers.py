"""One sweep in one database: drivers that share it, one that dies, and what a server refuses."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgekws.cli.app import app
from edgekws.core.events import Event, quiet
from edgekws.search.load import LoadedSweep, load_sweep
from edgekws.search.run import sweep
from edgekws.search.storage import Storage, file_url
from edgekws.search.trial import UnitResult
from tests.search.conftest import Pretender, write_sweep
from tests.search.postgres_server import binary, free_port, postgres

HALVING = (
    "\n[pruning]\nrungs = [1, 2]\nkeep = 0.5\n[finalists]\ncount = 2\nseeds = [1, 2, 3]\n"
    "[set]\naugment.time_shift_ms = 0\n"
)
UNIT_S, LIMIT_S = 0.1, 120.0
Write = Callable[..., LoadedSweep]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an empty server."""
    pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    if binary("initdb") is None or binary("postgres") is None:
        pytest.skip("no PostgreSQL server here; apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="edgekws-postgres-"))  # whoever runs it must get there
    try:
        with postgres(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("server")
        return url
    (tmp_path / "shared").mkdir()
    return file_url(tmp_path / "shared")


class Slow(Pretender):
    """Takes its time over every unit, and writes down what it did."""

    log: Path

    def wait(self, timeout_s: float) -> list[UnitResult | Event]:
        time.sleep(UNIT_S)
        if not self.units:
            return []
        reported = super().wait(timeout_s)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.done[-1]) + "\n")
        return reported


def drive(file: Path, runs: Path, url: str | None, log: Path) -> None:
    """Run a sweep as a process of its own."""
    Slow.log = log
    result = sweep(load_sweep(file), runs=runs, workers=2, storage=url, emit=quiet, make_crew=Slow)
    runs.mkdir(exist_ok=True)
    ranking = json.dumps(result.to_dict()["ranking"])
    (runs / "ranking.json").write_text(ranking, encoding="utf-8")


def started(file: Path, runs: Path, url: str, log: Path) -> SpawnProcess:
    process = get_context("spawn").Process(target=drive, args=(file, runs, url, log))
    process.start()
    return process


def units(*logs: Path) -> list[str]:
    """Return what was done, unit by unit."""
    return [line for log in logs if log.is_file() for line in log.read_text("utf-8").splitlines()]


def finished(url: str, name: str) -> dict[str, Any]:
    """Return everything that a storage holds of finished trials, none of which counts twice."""
    store = Storage(url, name)
    ended = [t for t in store.study.trials if t.state.is_finished()]
    store.database.close()
    counted = [t for t in ended if t.user_attrs["key"] is not None]
    result = {t.user_attrs["key"]: (t.state, t.value, t.intermediate_values) for t in counted}
    assert len(result) == len(counted)
    return result


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a sweep file, run by one driver on a file: `whole` and `whole.log`."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKWS_CACHE", str(folder / "cache"))
        more_hops = ("200, 400]", "170, 180, 190, 200]")
        loaded = write_sweep(home, folder, more_hops, more=HALVING)
        drive(loaded.path, folder / "whole", None, folder / "whole.log")
        yield folder


def test_two_drivers_at_once_do_every_unit_once(storage: str, whole: Path, tmp_path: Path) -> None:
    file, logs = whole / "sweep.toml", [tmp_path / "a.log", tmp_path / "b.log"]
    drivers = [started(file, tmp_path / log.stem, storage, log) for log in logs]
    for driver in drivers:
        driver.join(LIMIT_S)
        assert driver.exitcode == 0
    assert all(units(log) for log in logs)  # both took part
    assert sorted(units(*logs)) == sorted(units(whole / "whole.log"))
    alone = finished(file_url(whole / "whole" / "sweeps" / "пробный"), "пробный")
    assert finished(storage, "пробный") == alone
    assert len(alone) == 15 + 2 * 2  # one seed of the finalists was there
    runs = (tmp_path / "a", tmp_path / "b", whole / "whole")
    reported = {(folder / "ranking.json").read_text("utf-8") for folder in runs}
    assert len(reported) == 1


def test_a_driver_that_is_killed_leaves_nothing_undone(
    storage: str, whole: Path, tmp_path: Path
) -> None:
    text = (whole / "sweep.toml").read_text("utf-8").replace("пробный", "убитый")
    file = tmp_path / "killed.toml"
    file.write_text(text, encoding="utf-8")
    logs = [tmp_path / name for name in ("killed.log", "left.log", "again.log")]
    killed, left = (started(file, tmp_path / log.stem, storage, log) for log in logs[:2])
    deadline = time.monotonic() + LIMIT_S
    while len(units(logs[0])) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    left.join(LIMIT_S)
    assert left.exitcode == 0
    before = finished(storage, "убитый")
    drive(file, tmp_path / "again", storage, logs[2])
    assert units(logs[2]) == []
    assert finished(storage, "убитый") == before
    assert before == finished(file_url(whole / "whole" / "sweeps" / "пробный"), "пробный")
    assert len(units(*logs)) - len(units(whole / "whole.log")) in (0, 1)


def test_what_a_server_refuses_is_told_without_the_password(
    server: str, write: Write, tmp_path: Path
) -> None:
    file = str(write().path)
    cases = [
        (server.replace("geheim", "wr0ng"), 6, "password authentication failed"),
        (server.replace("/postgres", "/nowhere"), 6, 'database "nowhere" does not exist'),
        (f"postgresql://probe:geheim@127.0.0.1:{free_port()}/x", 6, "refused"),
        (f"postgresql://127.0.0.1:{free_port()}/x?password=geheim", 6, "cannot be used"),
        ("postgresql://probe:geheim@127.0.0.1:port/x", 2, "not the URL of a database"),
        ("mysql+nodriver://probe:geheim@host/x", 2, "not the URL of a database"),
    ]
    for url, code, message in cases:
        done = CliRunner().invoke(
            app, ["sweep", file, "--runs", str(tmp_path / "runs"), "--storage", url]
        )
        reported = " ".join(done.output.split())
        assert (done.exit_code, message in reported) == (code, True), reported
        assert "geheim" not in reported
        assert "wr0ng" not in reported
        assert "Traceback" not in reported


@pytest.mark.parametrize(
    ("url", "module", "install"),
    [
        ("postgresql://host/x", "psycopg", "pip install 'edgekws[postgresql]'"),
        ("postgresql+psycopg2://host/x", "psycopg2", "pip install psycopg2"),
    ],
)
def test_a_missing_driver_is_named(
    url: str, module: str, install: str, write: Write, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    arguments = ["sweep", str(write().path), "--runs", str(tmp_path), "--storage", url]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 6
    reported = " ".join(done.output.split())
    assert f"its driver {module} is not installed; install it with: {install}" in reported
