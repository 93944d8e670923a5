"""The machine: what is well, what can be lived with, what is missing."""

import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from edgekws.core import environment
from edgekws.engine import doctor
from edgekws.engine.doctor import Check, examine, int8, library


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEKWS_CACHE", str(folder))
    return folder


def checks() -> dict[str, Check]:
    return {check.name: check for check in examine()}


def test_nothing_is_missing_here_and_every_complaint_has_an_advice(cache: Path) -> None:
    result = checks()
    names = {"CPU", "INT8", "cores", "memory", "GPU", "Python", "onnxruntime runs", "cache", "disk"}
    assert names | {"torch", "onnxsim", "espeak-ng speaks"} <= set(result)
    assert [c for c in result.values() if c.status == "missing"] == []
    assert [c.name for c in result.values() if (c.status == "ok") == bool(c.advice)] == []
    assert float(result["onnxruntime runs"].detail.split()[-2]) > 0
    assert not list(cache.iterdir())


@pytest.mark.parametrize(
    ("flags", "machine", "status", "told"),
    [
        ({"avx2", "avx512_vnni"}, "x86_64", "ok", "avx512_vnni"),
        ({"avx2", "avx_vnni"}, "x86_64", "ok", "avx_vnni"),
        ({"asimd", "asimddp"}, "aarch64", "ok", "asimddp"),
        ({"avx2"}, "x86_64", "ok", "weights get 7 bits"),
        ({"asimd"}, "aarch64", "warn", "hardly faster"),
    ],
)
def test_the_features_of_a_cpu_are_told_for_int8(
    flags: set[str], machine: str, status: str, told: str
) -> None:
    check = int8(flags, machine)
    assert check.status == status
    assert told in check.detail
    assert bool(check.advice) == (status == "warn")


def test_what_web_pages_need_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.web_pages()
    assert (check.status, check.detail) == ("warn", "no clang and wasm-ld (optional)")
    assert check.advice.endswith("on Debian: apt install clang lld")
    for name in ("clang", "wasm-ld"):
        (tmp_path / name).touch(mode=0o755)
    assert doctor.web_pages().advice.endswith("on Debian: apt install nodejs")
    (tmp_path / "nodejs").touch(mode=0o755)
    assert doctor.web_pages().status == "ok"


def test_the_speaker_encoder_and_the_microphone_are_optional(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "weights", lambda: None)
    assert doctor.speaker_encoder().advice == "pip install --no-deps resemblyzer==0.1.4"
    monkeypatch.setattr(doctor, "weights", lambda: Path("pretrained.pt"))
    assert doctor.speaker_encoder().status == "ok"
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    check = doctor.sound_input()
    assert check.detail == "the microphone needs the package sounddevice (optional)"
    assert check.advice == "pip install 'edgekws[microphone]'"
    monkeypatch.setitem(sys.modules, "sounddevice", ModuleType("sounddevice"))
    assert doctor.sound_input().status == "ok"


def test_a_library_is_held_against_its_range() -> None:
    assert library(Requirement("numpy>=2")).status == "ok"
    outside = library(Requirement("numpy<2"))
    assert (outside.status, outside.advice) == ("warn", "pip install 'numpy<2'")
    assert "is outside of <2" in outside.detail
    absent = library(Requirement("no-such-package>=1"))
    assert (absent.status, absent.detail) == ("missing", "not installed")
    assert absent.advice == "pip install 'no-such-package>=1'"


def test_a_cache_that_cannot_be_written_is_missing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file")
    result = checks()
    assert result["cache"].status == "missing"
    assert "cannot be written: File exists" in result["cache"].detail
    assert result["cache"].advice == "point EDGEKWS_CACHE at another folder"
    assert "disk" not in result


def test_a_home_that_cannot_be_written_is_told_by_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EDGEKWS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null/home")
    check = checks()["cache"]
    assert check.status == "missing"
    assert check.detail.startswith("/dev/null/home/.cache/edgekws cannot be written")


def test_a_tmpdir_that_cannot_be_written_is_a_warning(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert checks()["temporary files"].status == "ok"
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "/dev/null/tmp")
    check = checks()["temporary files"]
    assert check.status == "warn"
    assert "TMPDIR, /dev/null/tmp, cannot be written" in check.detail


def test_folders_of_results_that_cannot_be_written_are_warnings(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = checks()
    assert result["runs/"].status == result["dist/"].status == "ok"
    monkeypatch.chdir("/proc")
    check = checks()["runs/"]
    assert (check.status, check.advice.split()[-2]) == ("warn", "--runs")
    assert check.detail.startswith("/proc/runs cannot be written")


def test_the_size_of_the_cache_is_that_of_its_files(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "steps").mkdir(parents=True)
    (cache / "steps" / "sparse").touch()
    with (cache / "steps" / "sparse").open("r+b") as file:
        file.truncate(3 * 2**30)
    assert checks()["cache"].detail == f"{cache}, 3.00 GiB"


def test_an_onnxruntime_that_dies_is_missing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TINY_MODEL", "import os; os.kill(os.getpid(), 4)")
    check = checks()["onnxruntime runs"]
    assert (check.status, check.detail) == ("missing", "it died with -4")
    assert "pip install --force-reinstall 'onnx>=" in check.advice


def test_without_espeak_the_line_says_how_to_get_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    check = checks()["espeak-ng speaks"]
    assert check.status == "missing"
    assert check.advice == "pip install espeakng-loader"


def test_too_little_room_and_memory_are_warnings(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_DISK_GIB", 1e9)
    monkeypatch.setattr(doctor, "ENOUGH_MEMORY_GIB", 1e9)
    result = checks()
    assert result["disk"].status == result["memory"].status == "warn"
    assert "EDGEKWS_CACHE" in result["disk"].advice


def test_a_gpu_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(doctor)["device_kind"] is environment.device_kind
    monkeypatch.setattr(doctor, "device_kind", lambda: "cuda")
    assert checks()["GPU"].detail == "CUDA; training runs on it"
