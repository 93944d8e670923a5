from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering.height1 import height1
from edgekws.lowering.parity import check, torch_logits
from tests.lowering.conftest import NetworkOf


@pytest.mark.parametrize("name", ["plain", "inverted", "relu_first", "relu_first_padded"])
def test_same_logits(
    name: str,
    network_of: NetworkOf,
    contract_of: Callable[[str], Contract],
    features: NDArray[np.float32],
) -> None:
    network = network_of(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    twin = height1(network)
    contract = contract_of(name)
    ours = torch_logits(twin, features, contract)
    check(torch_logits(network, features, contract), ours, 1e-5)
    assert not any(isinstance(m, nn.Conv1d | nn.BatchNorm1d) for m in twin.modules())
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_copy_is_independent(
    network_of: NetworkOf, contract_of: Callable[[str], Contract], features: NDArray[np.float32]
) -> None:
    network = network_of("plain")
    before = torch_logits(network, features, contract_of("plain"))
    with torch.no_grad():
        for parameter in height1(network).parameters():
            parameter.zero_()
    assert (torch_logits(network, features, contract_of("plain")) == before).all()


def test_a_module_used_twice_stays_one() -> None:
    shared = nn.Conv1d(4, 4, 3)
    twin = height1(nn.Sequential(shared, nn.ReLU(), shared))
    assert len(list(twin.parameters())) == 2


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LSTM(4, 4), r"layer 1\.0 \(LSTM\) has no form of height 1; .* Conv1d"),
        (nn.Conv2d(1, 4, 3), r"layer 1\.0 \(Conv2d\) has no form of height 1"),
        (nn.Flatten(0), r"layer 1\.0 \(Flatten\) has no form of height 1"),
        (nn.MaxPool1d(2, return_indices=True), r"layer 1\.0 \(MaxPool1d\) returns indices"),
    ],
)
def test_an_unknown_layer_is_named(layer: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        height1(nn.Sequential(nn.ReLU(), nn.Sequential(layer)))
