"""A random network as C, windowed and streaming; `tools/bit_exact.py` tries hundreds."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cpu import needs_exact_sums
from tools import bit_exact

STREAMING = 17
"""A seed whose network is small and has a streaming form."""


@pytest.fixture(scope="module")
def case() -> bit_exact.Case:
    return bit_exact.drawn("inverted_bottleneck", STREAMING)


@needs_exact_sums
def test_bits_that_differ_are_counted_and_no_others_do(
    case: bit_exact.Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    builds = ["gcc", "gcc, integer"]
    for build in builds:
        bit_exact.kernels(build, tmp_path / build)
    exact = bit_exact.expected

    def planted(model: Any, streaming: bool, clips: Any) -> NDArray[np.float32]:
        logits = exact(model, streaming, clips)
        if not streaming:
            logits[2, 0] = np.nextafter(logits[2, 0], np.float32(np.inf))
        return logits

    monkeypatch.setattr(bit_exact, "expected", planted)
    result = bit_exact.compared(case, [], 4, tmp_path, builds)
    record = bit_exact.summary([result])
    assert record["networks"] == record["streaming"] == 1
    assert list(record["builds"]) == builds
    assert [row["build"] for row in record["differing"]] == builds
    for numbers in record["builds"].values():
        assert (numbers["windows"], numbers["windows_differing"]) == (4, 1)
        assert numbers["hops"] > 50
        assert numbers["hops_differing"] == 0


@pytest.mark.parametrize("form", bit_exact.FORMS)
def test_the_form_that_is_asked_for_is_compared(
    form: str, case: bit_exact.Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bit_exact, "compare", lambda *given: [("gcc", len(given[1]), 0)])
    monkeypatch.setattr(bit_exact, "differing_together", lambda *_: 0)
    counts = bit_exact.compared(case, [], 4, tmp_path, ["gcc"], [form]).builds["gcc"]
    assert (counts.windows, counts.hops > 50) == {
        "windowed": (4, False),
        "streaming": (0, True),
    }[form]


def test_every_family_is_drawn() -> None:
    folder = Path(__file__).parents[2] / "edgekws" / "backbones"
    assert {path.stem for path in folder.glob("[!_]*.py")} == set(bit_exact.FAMILIES)
