"""An FP32 ONNX network as LiteRT models, FP32 and INT8, through Google's own converters.

    python tools/litert_convert.py naive_fp32.onnx features.npy FOLDER

writes FOLDER/fp32.tflite and FOLDER/int8.tflite. `features.npy` holds `(N, *input shape)`, which
calibrates the INT8 form (static, 8-bit weights and activations). Needs `pip install .[bench]`.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def convert(model: Path, features: NDArray[np.float32], folder: Path) -> None:
    """Write both forms.

    Raises:
        NotImplementedError: an operator that has no torch form here.
    """
    import litert_torch
    import onnx
    import torch
    from onnx_in_torch import OnnxModule

    module = OnnxModule(onnx.load(str(model))).eval()
    converted = litert_torch.convert(module, (torch.from_numpy(features[:1]),))
    converted.export(str(folder / "fp32.tflite"))
    quantize(folder / "fp32.tflite", features, folder / "int8.tflite")


def quantize(model: Path, features: NDArray[np.float32], output: Path) -> None:
    """Write the INT8 form of a LiteRT model, calibrated with `features`; its ends stay float32."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe

    signatures = Interpreter(model_path=str(model)).get_signature_list()
    (name, signature), *_ = signatures.items()
    batches = [{signature["inputs"][0]: one[None]} for one in features]
    made = quantizer.Quantizer(str(model), recipe.static_wi8_ai8())
    as_it_is = algorithm_manager.AlgorithmName.NO_QUANTIZE
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        made.update_quantization_recipe(".*", end, algorithm_key=as_it_is)
    made.quantize(made.calibrate({name: batches})).export_model(str(output), overwrite=True)


def main() -> None:
    """Convert what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    convert(options.model, np.load(options.features), options.folder)


if __name__ == "__main__":
    main()
