from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekws.core.contract import Contract, Normalization
from edgekws.errors import UnsupportedError
from edgekws.lowering import checkpoint, to2d
from edgekws.lowering.parity import check, torch_logits
from edgekws.runtime.front_end import FrontEnd

SPANNING = {"kind": "mel_spanning", "channels": 6, "blocks": 2, "strided_blocks": [2]}


def built(
    architecture: dict[str, Any], shape: tuple[int, ...] = (1, 20, 41)
) -> tuple[nn.Module, Contract]:
    contract = Contract(
        FrontEnd(n_mels=20),
        Normalization((0.0,) * 20, (1.0,) * 20),
        ("yes", "no", "_silence_"),
        shape,
        architecture,
    )
    torch.manual_seed(0)
    network = checkpoint.build(contract)
    network(torch.randn(32, *shape))  # moves the running statistics
    return network.eval(), contract


def test_exact() -> None:
    network, contract = built(SPANNING)
    result, new = to2d.exact(network, contract)
    assert new.input_shape == (20, 41)
    assert new.architecture["kind"] == "inverted_bottleneck"
    assert new.labels == contract.labels
    features = np.random.default_rng(0).standard_normal((9, 20, 41)).astype(np.float32)
    a, b = torch_logits(network, features, contract), torch_logits(result, features, new)
    assert np.abs(a).max() > 0.1
    check(a, b, 1e-5)


def test_a_layer_with_bands_is_named() -> None:
    network, contract = built({"kind": "plain", "representation": "3d"})
    message = r"layer 0\.0 \(Conv2d\) leaves 20 of 20 bands, .* name a 2-D backbone in the step"
    with pytest.raises(UnsupportedError, match=message):
        to2d.exact(network, contract)


def test_exactness_depends_on_the_network_not_on_its_name() -> None:
    network, contract = built({"kind": "plain", "representation": "3d"})
    with pytest.raises(UnsupportedError, match="leaves 20 of 20 bands"):
        to2d.exact(network, replace(contract, architecture=SPANNING))
    spanning, _ = built(SPANNING)
    with pytest.raises(UnsupportedError, match=r"plain has one band left .* but no 2-D twin"):
        to2d.exact(spanning, contract)


def test_2d_is_refused() -> None:
    network, contract = built({"kind": "plain"}, (20, 41))
    with pytest.raises(UnsupportedError, match="plain is already in the 2-D representation"):
        to2d.exact(network, contract)


def test_a_twin_that_does_not_fit() -> None:
    network, contract = built(SPANNING)
    other = replace(contract, architecture={**SPANNING, "channels": 8})
    with pytest.raises(UnsupportedError, match=r"weight blocks\.0\.body\.0\.weight does not fit"):
        to2d.exact(network, other)
