"""3-D → 2-D: the exact conversion, where no frequency extent is left after the first layer."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from edgekws.core import family
from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering import checkpoint


def exact(network: nn.Module, contract: Contract) -> tuple[nn.Module, Contract]:
    """Return the 2-D network that computes the same as a 3-D one, and its contract.

    The rewrite exists where the first convolution spans all mels, so that one band is left behind
    it, and the backbone tells its 2-D twin. Weights are the same numbers in the twin's shapes.

    Raises:
        UnsupportedError: the network is 2-D already, or a layer leaves more than one band (the
            message names it), or the backbone has no twin.
    """
    refuse_2d(contract)
    layer = first_layer_with_bands(network, contract)
    if layer is not None:
        raise UnsupportedError(
            f"{layer}, so that no 2-D network computes exactly the same; name a backbone for to2d "
            'to become, e.g. backbone = { kind = "inverted_bottleneck" }'
        )
    architecture = twin(contract)
    if architecture is None:
        raise UnsupportedError(
            f"backbone {contract.architecture['kind']} has one band left behind its first layer "
            "but tells no 2-D twin; name a backbone for to2d to become"
        )
    converted = replace(contract, input_shape=contract.input_shape[1:], architecture=architecture)
    result = checkpoint.build(converted)
    result.load_state_dict(_reshaped(network.state_dict(), result.state_dict()))
    return result.eval(), converted


def twin(contract: Contract) -> dict[str, Any] | None:
    """Return the recipe table of the backbone's 2-D twin, `None` where it tells none."""
    member = family.load("Backbone", str(contract.architecture["kind"]))
    tell = getattr(member.model_validate(contract.architecture), "twin", None)
    if tell is None:
        return None
    table = tell()
    table = family.load("Backbone", table["kind"]).model_validate(table)
    dumped: dict[str, Any] = table.model_dump(mode="json")
    return dumped


def refuse_2d(contract: Contract) -> None:
    """Raise UnsupportedError where the network is 2-D already."""
    if contract.representation == "2d":
        raise UnsupportedError(
            f"backbone {contract.architecture['kind']} is in the 2-D representation already "
            f"(input {contract.input_shape}); take out the step to2d"
        )


def first_layer_with_bands(network: nn.Module, contract: Contract) -> str | None:
    """Say which convolution is the first to leave more than one band; `None` where none does.

    Read off a forward pass, not off the network's name.
    """
    found: list[str] = []
    handles = []

    def note(path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            before, after = inputs[0].shape[2], output.shape[2]
            if after > 1:
                found.append(f"layer {path} (Conv2d) leaves {after} of {before} bands")

        return hook

    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(note(path)))
    device = next(network.parameters()).device
    with torch.inference_mode():
        network(torch.zeros(1, *contract.input_shape, device=device))
    for handle in handles:
        handle.remove()
    return found[0] if found else None


def _reshaped(weights: dict[str, Tensor], into: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in the shapes of `into`, axes of length 1 left out or put in."""
    for name in sorted(weights.keys() | into.keys()):
        shapes = [
            tuple(n for n in state[name].shape if n != 1) if name in state else None
            for state in (weights, into)
        ]
        if shapes[0] != shapes[1]:
            raise UnsupportedError(
                f"weight {name} does not fit the 2-D twin: {shapes[0]} against {shapes[1]}; the "
                "backbone and its twin have to have the same modules under the same names"
            )
    return {name: weights[name].detach().cpu().reshape(into[name].shape) for name in into}
