"""Networks as WebAssembly, with SIMD and without, against the slow arithmetic."""

from pathlib import Path

import numpy as np
import pytest

from edgekws.codegen import wasm
from edgekws.errors import MachineError, MissingPartError
from edgekws.runtime import web
from tests.codegen.random_operators import random_network
from tests.codegen.wasm_program import BUILDS, differences, skip_where_impossible


@pytest.mark.parametrize("build", BUILDS)
def test_every_kernel_equals_the_slow_arithmetic(build: str, tmp_path: Path) -> None:
    assert differences(random_network(seed=5, n=4), build, tmp_path) == []


def test_an_error_of_the_compiler_is_the_message(tmp_path: Path) -> None:
    skip_where_impossible()
    (tmp_path / "x.c").write_text("int f(void) { return y; }\n")
    with pytest.raises(MachineError, match=r"to WebAssembly: x\.c:1:22: error: use"):
        wasm.build(tmp_path, tmp_path / "x.wasm")


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="clang and wasm-ld not found: install clang"):
        wasm.require()


def test_a_pack_holds_the_common_end_once() -> None:
    end = np.random.default_rng(0).bytes(3000)
    packed = wasm.pack(["a { }", "да"], b"one" + end, b"other" + end)
    assert packed.sizes[1:] == (3000, 3003, 5, 4)
    assert len(packed.text) < 1.3 * 3000
    assert not set(packed.text) & set("<'\"\\ \n")
    assert "DIGITS" in web.text("unpack.js")
