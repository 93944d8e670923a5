"""Checkpoints: the weights of a torch network in one safetensors file, with the contract."""

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from edgekws.core.contract import Contract
from edgekws.core.output import OTHER_CACHE, write_bytes
from edgekws.core.protocols import BACKBONE
from edgekws.errors import UsageError


def build(contract: Contract) -> nn.Module:
    """Return the network of `contract.architecture`, with random weights.

    Raises:
        pydantic.ValidationError: no backbone has this architecture.
    """
    backbone = BACKBONE.validate_python(contract.architecture)
    return backbone.build(n_mels=contract.input_shape[-2], n_labels=len(contract.labels))


def untrained(contract: Contract) -> nn.Module:
    """Return the network of `contract.architecture` in eval mode, for figures before training.

    Biases are drawn at random: zero ones would be folded away with their parameters.
    """
    network = build(contract).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return network


def save(network: nn.Module, contract: Contract, path: Path) -> None:
    """Write the weights, with the contract as JSON in the metadata under `contract`.

    The same weights and contract give the same bytes; the file is written atomically.
    """
    write_bytes(path, _content(network, contract), OTHER_CACHE)


def sha256(network: nn.Module, contract: Contract) -> str:
    """Return the hash of the file that `save` writes."""
    return hashlib.sha256(_content(network, contract)).hexdigest()


def _content(network: nn.Module, contract: Contract) -> bytes:
    state = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    return to_bytes(state, {"contract": contract.to_json()})


def load(path: Path) -> tuple[nn.Module, Contract]:
    """Return the network, in eval mode on the CPU, and its contract.

    Raises:
        UsageError: the file is no checkpoint, or its weights do not fit its architecture.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: expected a checkpoint (safetensors): {error}") from error
    if "contract" not in metadata:
        raise UsageError(f"{path}: holds no contract; expected a checkpoint written by edgekws")
    contract = Contract.from_json(metadata["contract"])
    network = build(contract)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"{path}: the weights do not fit the architecture: {error}") from error
    return network.eval(), contract
