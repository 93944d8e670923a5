"""What is read off a graph: an inference is that of one window, MACs are those of a second."""

from pathlib import Path

import pytest

from edgekws.core.contract import Normalization
from edgekws.engine.measure import count
from edgekws.engine.whole import whole_counts
from edgekws.runtime.front_end import FrontEnd
from tests.engine.conftest import Linear

FLAT = Normalization((0.0,) * 40, (1.0,) * 40)


def macs(model: Path, window_s: float) -> float:
    return next(m.value for m in count(model, window_s) if m.metric == "macs")


@pytest.mark.parametrize("window_s", [0.5, 1.0, 2.0])
def test_macs_are_those_of_a_second_whatever_the_window(linear: Linear, window_s: float) -> None:
    made = linear("m.onnx", FrontEnd(window_s=window_s), FLAT)
    assert macs(made.path, window_s) == 40 * 2 / window_s  # a matrix a window, 40 mels, 2 labels


@pytest.mark.parametrize("window_s", [0.5, 2.0])
def test_so_are_those_of_a_front_end_and_of_both(packed: Path, window_s: float) -> None:
    def found(seconds: float) -> dict[str, float]:
        network = count(packed / "model.onnx", seconds)
        return {m.metric: m.value for m in whole_counts(packed, network, seconds)}

    for metric in ("front_end_macs", "total_macs"):
        assert found(window_s)[metric] == pytest.approx(found(1.0)[metric] / window_s)
