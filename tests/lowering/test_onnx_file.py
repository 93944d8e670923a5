from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgekws.core.contract import Contract
from edgekws.errors import UsageError
from edgekws.lowering import onnx_file
from edgekws.lowering.export import export_naive
from edgekws.lowering.parity import check, logits, torch_logits
from tests.lowering.conftest import NetworkOf


def test_round_trip_without_traces_of_its_origin(
    network_of: NetworkOf,
    contract_of: Callable[[str], Contract],
    features: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    network, contract = network_of("plain"), contract_of("plain")
    model = export_naive(network, contract)
    model.doc_string = model.graph.doc_string = "/home/someone"
    model.graph.node[0].doc_string = "/home/someone"
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "stack_trace", "/home/someone/net.py"
    path = tmp_path / "new" / "model.onnx"
    onnx_file.save(model, contract, path)
    loaded, again = onnx_file.load(path)
    assert again == contract
    assert b"someone" not in path.read_bytes()
    assert [p.key for p in loaded.metadata_props] == ["contract"]
    check(torch_logits(network, features, contract), logits(path, features), 1e-5)
    onnx_file.save(loaded, again, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    assert {p.name for p in tmp_path.rglob("*.onnx*")} == {"model.onnx", "again.onnx"}


def test_what_is_not_a_model(
    tmp_path: Path, network_of: NetworkOf, contract_of: Callable[[str], Contract]
) -> None:
    (tmp_path / "text.onnx").write_text("no model" * 9)
    with pytest.raises(UsageError, match=r"text\.onnx: expected an ONNX model"):
        onnx_file.load(tmp_path / "text.onnx")
    with pytest.raises(UsageError, match=r"none\.onnx: expected an ONNX model"):
        onnx_file.load(tmp_path / "none.onnx")
    onnx.save(export_naive(network_of("plain"), contract_of("plain")), tmp_path / "bare.onnx")
    with pytest.raises(UsageError, match=r"bare\.onnx: holds no contract; expected a model"):
        onnx_file.load(tmp_path / "bare.onnx")
