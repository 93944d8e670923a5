"""A network in parts: each layer as a graph of its own."""

from collections.abc import Iterator

from edgekws.tflite.graph import Graph, Layer, Operator


def parts(network: Graph) -> Iterator[tuple[Layer, Graph]]:
    """Yield each layer and what computes it from the outputs of the layers before it.

    Layers that only keep frames for the next hop are left out.
    """
    makers = {name: operator for operator in network.operators for name in operator.outputs}
    known = set(network.inputs)
    for layer in network.layers:
        if layer.tensor in known:
            continue
        operators, inputs = _needed(layer.tensor, makers, known)
        known.add(layer.tensor)
        if any(operator.code == "READ_VARIABLE" for operator in operators):
            continue
        names = dict.fromkeys(name for op in operators for name in (*op.inputs, *op.outputs))
        tensors = {name: network.tensors[name] for name in names}
        yield layer, Graph(tensors, tuple(operators), (), tuple(inputs), layer.tensor)


def _needed(
    tensor: str, makers: dict[str, Operator], known: set[str]
) -> tuple[list[Operator], list[str]]:
    """Return the operators from known tensors to `tensor`, in order, and those tensors."""
    if tensor in known:
        return [], [tensor]
    if tensor not in makers:
        return [], []  # a constant
    operators: list[Operator] = []
    inputs: list[str] = []
    for name in makers[tensor].inputs:
        before, ends = _needed(name, makers, known)
        operators += [operator for operator in before if operator not in operators]
        inputs += [end for end in ends if end not in inputs]
    return [*operators, makers[tensor]], inputs
