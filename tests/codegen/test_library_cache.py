"""Compiled libraries are kept, and compiled again when anything that shapes them is another."""

import ctypes
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgekws.codegen import library_cache
from edgekws.codegen.compiler import Compiler, required
from edgekws.core.events import Event, quiet


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))


def gcc() -> Compiler:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return required("gcc")


def test_a_library_is_compiled_once_and_again_when_it_was_damaged(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.c").write_text("int answer(void) { return 42; }\n")
    writes, events = list[int](), list[Event]()

    def write() -> Path:
        writes.append(1)
        return tmp_path / "c"

    def compiled() -> Path:
        sources = library_cache.files_of(tmp_path / "c")
        return library_cache.cached_library(sources, write, gcc(), ["-O1"], events.append)

    library = compiled()
    assert ctypes.CDLL(str(library)).answer() == 42
    assert compiled() == library
    assert len(writes) == 1
    shutil.copy(library, tmp_path / "changed.so")
    library.unlink()  # the loaded one stays as it is
    library.write_bytes((tmp_path / "changed.so").read_bytes()[:-1])
    assert compiled() == library
    assert library.read_bytes() == (tmp_path / "changed.so").read_bytes()
    assert (len(writes), [event.kind for event in events]) == (2, ["warning"])
    (tmp_path / "c" / "a.c").write_text("int answer(void) { return 43; }\n")
    assert compiled() != library


def test_what_shapes_a_library_is_in_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(self: Compiler, folder: Path, output: Path, options: object = ()) -> None:
        output.write_bytes(b"library")

    monkeypatch.setattr(Compiler, "library", fake)
    monkeypatch.delenv("CPATH", raising=False)
    program, cpuinfo = tmp_path / "compiler", tmp_path / "cpuinfo"
    program.write_text("1")
    cpuinfo.write_text("processor : 0\nflags : sse2\n")
    monkeypatch.setattr("edgekws.codegen.compiler._CPUINFO", cpuinfo)
    compiler = Compiler((str(program),), "version 1")
    paths = list[Path]()

    def compile_with(compiler: Compiler, sources: object = "a", *options: str) -> None:
        paths.append(
            library_cache.cached_library(sources, lambda: tmp_path, compiler, options, quiet)
        )

    compile_with(compiler)
    compile_with(compiler, "b")
    compile_with(compiler, "a", "-O3")
    compile_with(replace(compiler, version="version 2"))
    compile_with(replace(compiler, command=(str(program), "-m32")))
    monkeypatch.setenv("CPATH", "headers")
    compile_with(compiler)
    monkeypatch.delenv("CPATH")
    cpuinfo.write_text("processor : 0\nflags : sse2 avx2\n")
    compile_with(compiler)
    program.write_text("other")
    compile_with(compiler)
    assert len(set(paths)) == len(paths) == 8
    compile_with(compiler)
    assert paths[-1] == paths[-2]
