"""An export to C on Linux: `make install`, and the service that listens."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edgekws.core.protocols import EXPORTER
from tests.int8_bundle import noise

ARECORD = """#!/bin/sh
echo "$@" > {folder}/arguments
cat {folder}/samples
"""


@pytest.fixture(scope="module")
def written(streaming_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of a streaming bundle, compiled."""
    if not all(map(shutil.which, ("make", "gcc"))):
        pytest.skip("make or gcc is not installed")
    scratch = tmp_path_factory.mktemp("service")
    written = EXPORTER.validate_python({"kind": "c"}).write(streaming_bundle, scratch)
    subprocess.run(["make", "-s", "CC=gcc", "CFLAGS=-O1"], cwd=written, check=True)
    return written


def make(folder: Path, *arguments: str) -> None:
    subprocess.run(["make", "-s", *arguments], cwd=folder, check=True)


def lines(unit: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_is_installed_under_a_prefix_and_removed(written: Path, tmp_path: Path) -> None:
    make(written, "install", f"DESTDIR={tmp_path}", "PREFIX=/usr", "NAME=lights")
    program, unit = "usr/bin/lights", "usr/lib/systemd/system/lights.service"
    assert files(tmp_path) == {program, unit}
    assert os.access(tmp_path / program, os.X_OK)
    text = (tmp_path / unit).read_text()
    assert "@" not in text
    assert "-r 16000 -t raw | exec /usr/bin/lights -" in text
    assert (tmp_path / unit).stat().st_mode & 0o777 == 0o644
    make(written, "uninstall", f"DESTDIR={tmp_path}", "PREFIX=/usr", "NAME=lights")
    assert files(tmp_path) == set()


def test_the_service_reports_what_the_microphone_hears(written: Path, tmp_path: Path) -> None:
    make(written, "install", f"PREFIX={tmp_path}")
    service = lines(tmp_path / "lib/systemd/system/kws.service")
    (tmp_path / "samples").write_bytes(noise(10).tobytes())
    (tmp_path / "bin/arecord").write_text(ARECORD.format(folder=tmp_path))
    (tmp_path / "bin/arecord").chmod(0o755)
    command = shlex.split(service["ExecStart"].replace("$$", "$"))  # as systemd reads it
    name, _, device = service["Environment"].partition("=")
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", name: device}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    given = (tmp_path / "arguments").read_text()
    assert given == "-q -D default -f S16_LE -c 1 -r 16000 -t raw\n"
    samples = (tmp_path / "samples").read_bytes()
    direct = subprocess.run([written / "kws", "-"], input=samples, capture_output=True, check=True)
    assert done.stdout == direct.stdout.decode()
    assert len(done.stdout.splitlines()) > 2


def test_the_unit_is_one_that_systemd_accepts(written: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    make(written, "install", f"PREFIX={tmp_path}")
    unit = tmp_path / "lib/systemd/system/kws.service"
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "kws.service" in line] == []
