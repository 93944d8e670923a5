from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgekws.core.contract import Contract, Normalization
from edgekws.errors import UsageError
from edgekws.lowering import checkpoint
from edgekws.runtime.front_end import FrontEnd


@pytest.fixture
def contract() -> Contract:
    return Contract(
        FrontEnd(n_mels=20),
        Normalization((0.0,) * 20, (1.0,) * 20),
        ("yes", "نعم"),
        (20, 97),
        {"kind": "plain", "variant": "nanocnn"},
    )


def test_round_trip(contract: Contract, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = checkpoint.build(contract)
    network(torch.randn(8, 20, 97))  # moves the running statistics
    checkpoint.save(network, contract, tmp_path / "new" / "a.safetensors")
    loaded, again = checkpoint.load(tmp_path / "new" / "a.safetensors")
    assert again == contract
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    checkpoint.save(loaded, again, tmp_path / "b.safetensors")
    first = (tmp_path / "new" / "a.safetensors").read_bytes()
    assert (tmp_path / "b.safetensors").read_bytes() == first
    assert not list(tmp_path.rglob("*.partial"))


def test_what_is_no_checkpoint(contract: Contract, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(UsageError, match=r"a\.safetensors: expected a checkpoint"):
        checkpoint.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match=r"a\.safetensors: expected a checkpoint"):
        checkpoint.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"a\.safetensors: holds no contract"):
        checkpoint.load(path)


def test_weights_of_another_architecture(contract: Contract, tmp_path: Path) -> None:
    other = replace(contract, architecture={"kind": "plain", "variant": "microcnn"})
    checkpoint.save(checkpoint.build(contract), other, tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"a\.safetensors: the weights do not fit"):
        checkpoint.load(tmp_path / "a.safetensors")
