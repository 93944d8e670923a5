"""A TFLite file in the interpreter of TFLM, and what it needs of memory."""

import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tflite_micro import runtime

from edgekws.codegen import arithmetic
from edgekws.tflite.builder import SIGNED
from edgekws.tflite.graph import Graph
from edgekws.tflite.writing import write

_SPARE = 1 << 20
"""Bytes for what TFLM keeps beside tensors."""

_MEASURE = """
import os, re, sys, tempfile
from tflite_micro import runtime
content = sys.stdin.buffer.read()
log = tempfile.TemporaryFile()
os.dup2(log.fileno(), 2)
interpreter = runtime.Interpreter.from_bytes(content, arena_size=1 << 24)
interpreter.print_allocations()
log.seek(0)
size = int(re.findall(rb"Arena allocation total (\\d+) bytes", log.read())[0])
while True:
    try:
        runtime.Interpreter.from_bytes(content, arena_size=size)
        break
    except RuntimeError:
        size += 256
print(size)
"""
"""Beside what stays, which TFLM prints, its planning needs memory for a while."""


class Interpreter:
    """A graph that runs in TFLM, with the values of all its tensors."""

    def __init__(self, graph: Graph) -> None:
        """Write and load it; what is kept between runs is as a stream begins."""
        self.graph = graph
        self._numbers = {name: number for number, name in enumerate(graph.tensors)}
        size = sum(tensor.size for tensor in graph.tensors.values())
        self._interpreter = runtime.Interpreter.from_bytes(
            write(graph, ""),
            arena_size=_SPARE + 16 * size,
            intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
        )

    def run(self, *inputs: NDArray[np.int8]) -> NDArray[Any]:
        """Return the output of a run, as integers."""
        for number, values in enumerate(inputs):
            self._interpreter.set_input(values, number)
        self._interpreter.invoke()
        output: NDArray[Any] = self._interpreter.get_output(0)
        return output

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logits `(n_labels,)` of features `(n_mels, frames)`."""
        output = self.run(quantized(self.graph, features))[0]
        scales = self.graph.tensors[self.graph.output].scales
        assert scales is not None
        real: NDArray[np.float64] = (output.astype(np.float64) - scales.zero) * scales.values[0]
        return real

    def tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor after a run."""
        value: NDArray[Any] = self._interpreter.GetTensor(self._numbers[name], 0)["tensor_data"]
        return value


def quantized(graph: Graph, features: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return features `(n_mels, frames)` as the input of a graph, `(1, frames, n_mels)`."""
    scales = graph.tensors[graph.inputs[0]].scales
    assert scales is not None
    unsigned = arithmetic.quantize(features.T, np.float32(scales.values[0]), scales.zero + SIGNED)
    return (unsigned[None].astype(np.int16) - SIGNED).astype(np.int8)


def arena_bytes(content: bytes) -> int:
    """Return the arena that TFLM's own kernels need here, up to 255 bytes more.

    With 32 bits they need less; kernels made for a chip may need more.
    """
    command = [sys.executable, "-c", _MEASURE]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    return int(done.stdout)
