"""Static INT8 quantization with onnxruntime's own tool, from the FP32 ONNX file."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from edgekws.core.contract import Format
from edgekws.core.fields import Fields
from edgekws.core.scratch import scratch_folder

if TYPE_CHECKING:
    import onnx

    from edgekws.quantizers.int8.mixed import QuantizedNetwork


class Quantizer(Fields):
    """INT8 with U8 activations (asymmetric, per tensor) and S8 weights (symmetric)."""

    kind: Literal["onnxruntime"]
    takes: ClassVar[Format] = "onnx"
    reduce_range: bool | None = Field(
        default=None,
        description="weights in 7 bits: for x86 CPUs without VNNI, whose U8 × S8 sums saturate; "
        "the target decides where omitted",
    )
    per_channel: bool = Field(
        default=True,
        description="weights with a step for each output channel instead of one for the layer",
    )
    percentile: float = Field(
        default=99.99,
        gt=50,
        lt=100,
        description="share of the values, in percent, that the calibration `percentile` spans",
    )

    def calibrations(self) -> tuple[str, ...]:
        """Names of the calibrations, the default first, as in onnxruntime's `CalibrationMethod`.

        The ranges of `entropy` are found here: `quantize_static` runs its own with as many bins as
        levels, so that its search has one candidate, the whole range, and gives what `MinMax` does.
        """
        return ("minmax", "percentile", "entropy")

    def quantize(
        self, network: "onnx.ModelProto", clips: np.ndarray, calibration: str
    ) -> "onnx.ModelProto":
        """Return `network` as an ONNX QDQ model with integer constants; see `quantized`."""
        return self.quantized(network, clips, calibration).model()

    def quantized(
        self, network: "onnx.ModelProto", clips: np.ndarray, calibration: str
    ) -> "QuantizedNetwork":
        """Return `network` quantized, so that single layers can be put back to FP32.

        Args:
            network: FP32, BatchNorm folded where it can be, convolutions two-dimensional.
            clips: float32 (N, *input_shape), the features that the ranges are calibrated on.
            calibration: one of `calibrations()`.

        Raises:
            UnsupportedError: a constant of the network stays in FP32; the message names its node.
        """
        from edgekws.lowering.graph_passes import pool_instead_of_mean
        from edgekws.quantizers.int8.batch_norm import without_batch_norms
        from edgekws.quantizers.int8.clamps import with_clamps
        from edgekws.quantizers.int8.logits import with_float_logits
        from edgekws.quantizers.int8.mixed import QuantizedNetwork

        prepared = without_batch_norms(pool_instead_of_mean(network))
        rounded = with_clamps(self._quantize_static(prepared, clips, calibration), prepared)
        return QuantizedNetwork(with_float_logits(rounded), source=prepared)

    def _quantize_static(
        self, model: "onnx.ModelProto", clips: np.ndarray, calibration: str
    ) -> "onnx.ModelProto":
        import onnx

        from edgekws.quantizers._log_capture import captured_log

        printed = redirect_stdout(io.StringIO())  # the calibrators print their progress
        with captured_log(), printed, scratch_folder("quantize") as folder:
            from onnxruntime.quantization import (
                CalibrationMethod,
                QuantFormat,
                QuantType,
                quantize_static,
            )

            known = {method.name.lower(): method for method in CalibrationMethod}
            ranges = _entropy_ranges(model, clips) if calibration == "entropy" else {}
            float_path, int8_path = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
            onnx.save(onnx.shape_inference.infer_shapes(model), float_path)
            quantize_static(
                float_path,
                int8_path,
                _Reader(model.graph.input[0].name, clips),
                quant_format=QuantFormat.QDQ,
                per_channel=self.per_channel,
                reduce_range=bool(self.reduce_range),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=known["minmax" if ranges else calibration],
                extra_options={
                    "CalibPercentile": self.percentile,
                    "TensorQuantOverrides": ranges,
                    # Pooling behind an activation that has no INT8 form is quantized too.
                    "ForceQuantizeNoInputCheck": True,
                    # Biases are rounded here, for both backends alike: see `_integers`.
                    "QuantizeBias": False,
                    "QDQDisableWeightAdjustForInt32Bias": True,
                    # What never moved gets a step so small that `_scales` finds it, not 1.
                    "MinimumRealRange": 1e-9,
                },
            )
            return onnx.load(int8_path)


def _entropy_ranges(
    model: "onnx.ModelProto", clips: np.ndarray
) -> dict[str, list[dict[str, np.ndarray]]]:
    """The ranges as `quantize_static` takes them."""
    from edgekws.quantizers.int8.entropy import ranges

    return {
        name: [{"rmin": np.array(low, np.float32), "rmax": np.array(high, np.float32)}]
        for name, (low, high) in ranges(model, clips).items()
    }


class _Reader:
    """The clips one by one, as onnxruntime's `CalibrationDataReader` gives them out.

    The histogram calibrators stack what they collect, and so fail on batches of unequal size.
    """

    def __init__(self, name: str, clips: np.ndarray) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = ({name: clip[None]} for clip in clips)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)
