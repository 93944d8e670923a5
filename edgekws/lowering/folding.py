"""Fold a multi-branch network into an equivalent single-branch one."""

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from edgekws.backbones.blocks.branches import Branches
from edgekws.core import family
from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering import checkpoint


def folded(network: nn.Module, contract: Contract) -> tuple[nn.Module, Contract]:
    """Return the network with every sum of branches as one convolution, and its contract.

    The new architecture is the result of the backbone's `folded()`. Without one, the network is
    returned unchanged; otherwise the result is a new network on the CPU in eval mode, the only
    mode in which it is equivalent.

    Raises:
        UnsupportedError: the weights do not fit the folded architecture.
    """
    table = single_branch(contract)
    if table is None:
        return network, contract
    new = replace(contract, architecture=table)
    result = checkpoint.build(new)
    try:
        result.load_state_dict(_folded_state(network))
    except RuntimeError as error:
        raise UnsupportedError(
            f"backbone {contract.architecture['kind']}: its folded weights do not fit the folded "
            f"backbone: {error}; both must have the same modules under the same names"
        ) from error
    return result.eval(), new


def single_branch(contract: Contract) -> dict[str, Any] | None:
    """Return the recipe table of the folded backbone, `None` if there is nothing to fold."""
    member = family.load("Backbone", str(contract.architecture["kind"]))
    fold = getattr(member.model_validate(contract.architecture), "folded", None)
    table = None if fold is None else fold()
    if table is None:
        return None
    dumped: dict[str, Any] = member.model_validate(table).model_dump(mode="json")
    return dumped


def _folded_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of the network, with each sum of branches folded."""
    state = dict(network.state_dict())
    for path, module in network.named_modules():
        if isinstance(module, Branches):
            for name in module.state_dict():
                del state[f"{path}.{name}"]
            state |= {f"{path}.{name}": t for name, t in module.folded().state_dict().items()}
    return {name: tensor.detach().cpu() for name, tensor in state.items()}
