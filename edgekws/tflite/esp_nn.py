"""What ESP-NN, Espressif's kernels, take from the arena of TFLM.

On an ESP32-S3 its convolutions copy weights and inputs into scratch memory, in 8 or in 16 bits,
which TFLM's own kernels need none of. How much depends on the version: this is no less than
`esp_nn_get_conv_scratch_size_esp32s3` and `esp_nn_get_depthwise_conv_scratch_size_esp32s3` of
1.1 and 1.2 ask for. Both reuse one place, for they run one after the other.
"""

from edgekws.tflite.graph import Graph, Operator

_CONVOLUTIONS = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D"))
_ALIGNMENT = 16
_SPARE = 96
"""Bytes that the versions add for alignment."""


def scratch_bytes(graph: Graph) -> int:
    """Return the most that a convolution of a graph takes, in bytes; 0 if there is none."""
    convolutions = [
        operator
        for operator in graph.operators
        if operator.code in _CONVOLUTIONS and graph.tensors[operator.inputs[0]].type == "int8"
    ]
    return max((_scratch(graph, operator) for operator in convolutions), default=0)


def _scratch(graph: Graph, operator: Operator) -> int:
    source, kernel = (graph.tensors[name].shape for name in operator.inputs[:2])
    output = graph.tensors[operator.outputs[0]].shape
    height, width, channels = source[1], source[2], _whole(source[3])
    rows, columns, outputs = kernel[1], kernel[2], _whole(output[3])
    rows_read = height + rows + int(operator.options["strideH"]) - 2
    columns_read = width + columns + int(operator.options["strideW"]) - 2
    weights = rows * columns * outputs * (channels if operator.code == "CONV_2D" else 1)
    results = output[1] * output[2] * outputs
    copies = 2 * (weights + rows_read * columns_read * channels)
    return copies + results + 16 * (channels + outputs) + _SPARE


def _whole(channels: int) -> int:
    """Return a number of channels, rounded up to what the kernels process at once."""
    return -(-channels // _ALIGNMENT) * _ALIGNMENT
