"""An FP32 keyword spotter's ONNX graph as a torch module, for converters that start from torch.

Only the operators that a plain export of such a network has; another one is an error that names it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

Attributes = Mapping[str, Any]


class OnnxModule(nn.Module):
    """Runs a graph of one input and one output, batch 1, node by node.

    Raises:
        NotImplementedError: an operator that is not known here.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = model.graph
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._constants = {one.name: _tensor(one) for one in graph.initializer}
        for i, value in enumerate(self._constants.values()):
            self.register_buffer(f"constant_{i}", value)
        self._nodes = []
        for node in graph.node:
            made = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self._constants[node.output[0]] = _tensor(made["value"])
            elif node.op_type not in _OPERATORS:
                raise NotImplementedError(f"operator {node.op_type} of {node.name}")
            else:
                self._nodes.append((node.op_type, tuple(node.input), node.output[0], made))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits `(1, n_labels)` of features `(1, n_mels, T)` or `(1, 1, n_mels, T)`."""
        known = {self._input: features, **self._constants}
        for kind, inputs, output, attributes in self._nodes:
            values = [known[name] if name else None for name in inputs]
            known[output] = _OPERATORS[kind](values, attributes)
        return known[self._output]


def _tensor(one: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(one).copy())


def _conv(values: Sequence[Tensor], a: Attributes) -> Tensor:
    x, weight, *bias = values
    rank = weight.dim() - 2
    pads = list(a.get("pads", [0] * 2 * rank))
    begin, end = pads[:rank], pads[rank:]
    if begin != end:  # (begin, end) of the last axis first
        x = F.pad(x, [n for pair in zip(begin[::-1], end[::-1], strict=True) for n in pair])
        begin = [0] * rank
    run: Callable[..., Tensor] = F.conv1d if rank == 1 else F.conv2d
    ones = [1] * rank
    kept = {"stride": a.get("strides", ones), "dilation": a.get("dilations", ones)}
    bias_or_none = bias[0] if bias else None
    return run(x, weight, bias_or_none, padding=begin, groups=a.get("group", 1), **kept)


def _batch_norm(values: Sequence[Tensor], a: Attributes) -> Tensor:
    x, scale, bias, mean, variance = values
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def _gemm(values: Sequence[Tensor], a: Attributes) -> Tensor:
    x, weight, bias = values
    return F.linear(x, weight if a.get("transB") else weight.t(), bias)


def _mean(values: Sequence[Tensor], a: Attributes) -> Tensor:
    axes = values[1].tolist() if len(values) > 1 else list(a["axes"])
    return values[0].mean(axes, keepdim=bool(a.get("keepdims", 1)))


def _global_mean(values: Sequence[Tensor], a: Attributes) -> Tensor:
    return values[0].mean(list(range(2, values[0].dim())), keepdim=True)


def _reshape(values: Sequence[Tensor], a: Attributes) -> Tensor:
    return values[0].reshape(values[1].tolist())


def _squeeze(values: Sequence[Tensor], a: Attributes) -> Tensor:
    return values[0].squeeze(values[1].tolist())


def _unsqueeze(values: Sequence[Tensor], a: Attributes) -> Tensor:
    x = values[0]
    for axis in sorted(values[1].tolist()):
        x = x.unsqueeze(axis)
    return x


def _clip(values: Sequence[Tensor | None], a: Attributes) -> Tensor:
    x, low, high = (*values, None, None)[:3]
    assert x is not None
    return x.clamp(low, high)


def _slice(values: Sequence[Tensor], a: Attributes) -> Tensor:
    x, starts, ends, *rest = values
    axes = rest[0].tolist() if rest else list(range(len(starts)))
    steps = rest[1].tolist() if len(rest) > 1 else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        size = x.shape[axis]
        first, last = (min(max(n + size * (n < 0), 0), size) for n in (start, end))
        x = x.narrow(axis, first, last - first)
        x = x if step == 1 else x[(slice(None),) * (axis % x.dim()) + (slice(None, None, step),)]
    return x


_OPERATORS: dict[str, Callable[[Sequence[Any], Attributes], Tensor]] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "ReduceMean": _mean,
    "GlobalAveragePool": _global_mean,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Clip": _clip,
    "Relu": lambda v, a: torch.relu(v[0]),
    "Sigmoid": lambda v, a: torch.sigmoid(v[0]),
    "HardSwish": lambda v, a: F.hardswish(v[0]),
    "HardSigmoid": lambda v, a: F.hardsigmoid(v[0]),
    "Add": lambda v, a: v[0] + v[1],
    "Mul": lambda v, a: v[0] * v[1],
    "MatMul": lambda v, a: v[0] @ v[1],
    "Flatten": lambda v, a: v[0].flatten(a.get("axis", 1)),
    "Transpose": lambda v, a: v[0].permute(list(a["perm"])),
    "Concat": lambda v, a: torch.cat(list(v), a["axis"]),
    "Gather": lambda v, a: v[0].index_select(a.get("axis", 0), v[1]),
    "Slice": _slice,
    "Identity": lambda v, a: v[0],
}
