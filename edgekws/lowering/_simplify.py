"""onnxsim in a process of its own: `python -P _simplify.py SOURCE TARGET INPUT.npy ATOL`.

Stands alone, so that the process loads nothing but onnx and onnxsim. Writes TARGET only when
onnxsim's numeric check passed; otherwise exits with `CHECK_FAILED`.
"""

import sys

CHECK_FAILED = 20


def main(source: str, target: str, inputs: str, atol: float) -> int:
    """Simplify the ONNX file `source` and return the exit code."""
    import numpy as np
    import onnx
    import onnxsim

    model = onnx.load(source)
    # Folding constants would turn INT8 weights behind DequantizeLinear back into FP32.
    quantized = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    simplified, ok = onnxsim.simplify(
        model,
        check_n=1,
        input_data={model.graph.input[0].name: np.load(inputs)},
        check_atol=atol,
        skip_constant_folding=quantized,
    )
    if not ok:
        return CHECK_FAILED
    onnx.save(simplified, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
