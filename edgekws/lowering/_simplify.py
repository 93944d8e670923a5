"""Run onnxsim in a separate process: `python -P _simplify.py SOURCE TARGET INPUT.npy ATOL`.

A standalone script, so that the process loads only onnx and onnxsim. Writes TARGET only if
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
    # Constant folding would turn INT8 weights before DequantizeLinear back into FP32.
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
    # onnxsim imports torch where it is installed, which takes longer than all the rest.
    sys.modules["torch"] = None  # type: ignore[assignment]
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
