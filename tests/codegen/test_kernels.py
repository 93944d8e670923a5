"""Every kernel of a network against the slow arithmetic, in every build."""

from pathlib import Path

import numpy as np
import pytest

from edgekws.codegen.oracle import Oracle
from edgekws.runtime.c import NETWORK
from tests.codegen.network_program import BUILDS, Build, build_program
from tests.codegen.random_operators import SIZE, random_network


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_every_kernel_equals_the_slow_arithmetic(build: Build, tmp_path: Path) -> None:
    network = random_network(seed=3, n=12)
    operators = {type(operator).__name__ for operator in network.operators}
    assert operators >= NETWORK.keys() - {"Dequantize"}
    generator = np.random.default_rng(0)
    clips = [
        (generator.normal(size=(64, SIZE // 64)) * spread).astype(np.float32)
        for spread in (0.5, 1, 3)
    ]
    clips[2][:3, :2] = [[np.nan, np.inf], [-np.inf, 1e30], [-1e30, -0.0]]
    oracle = Oracle(network)
    for clip, (logits, memory) in zip(
        clips, build_program(network, build, tmp_path).run(clips), strict=True
    ):
        assert oracle.run(clip).tobytes() == logits
        wrong = np.flatnonzero(np.frombuffer(memory, np.uint8) != oracle.memory)
        assert _buffers_at(oracle, wrong) == []


def _buffers_at(oracle: Oracle, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    """Return the names of the buffers that hold any of the places."""
    offsets = oracle.plan.offsets.items()
    return [name for name, start in offsets if ((places >= start) & (places < start + SIZE)).any()]
