"""Gates that are a clamp run in INT8 without an extra float operator, in both backends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from edgekws.core.protocols import BACKBONE, QUANTIZER
from edgekws.metrics import execution, graph
from tests.quantizers.conftest import Case


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "tenet", "stages": 1, "blocks": 1, "squeeze": 4, "kernels": [9]},
        {"kind": "sparknet", "kernels": [5]},
    ],
    ids=["squeeze-excitation", "sparknet"],
)
def test_every_layer_and_gate_runs_in_int8(
    backend: str, case_of: Callable[..., Case], table: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = BACKBONE.validate_python(table).build(20, 5)
    case = case_of("gates", network)
    quantizer = QUANTIZER.validate_python({"kind": backend})
    model = quantizer.quantize(case.source(backend), case.clips, "minmax")
    assert graph.int8_coverage(model) == 1
    assert graph.float_weights(model) == ()
    executed = {node.op_type for node in execution.optimized(model).graph.node}
    integer = {op for op in executed if op.startswith("Q")}
    assert executed - integer <= {"Unsqueeze", "Reshape", "Flatten"}
    assert ("QLinearMul" in executed) == (table["kind"] == "tenet")
    assert np.isfinite(case.logits).all()
