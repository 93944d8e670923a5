"""How the counters treat each ONNX operator: which multiply, and which inputs are weights."""

CONVOLUTIONS = {
    "Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3,
}  # fmt: skip
"""Convolutions, and the index of the weight among their inputs."""

PRODUCTS = {
    "Gemm": (0, 1), "FusedGemm": (0, 1), "QGemm": (0, 3), "MatMul": (0, 1), "FusedMatMul": (0, 1),
    "MatMulInteger": (0, 1), "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1),
    "QLinearMatMul": (0, 3),
}  # fmt: skip
"""Matrix products, and the indices of their two factors."""

RECURRENT = ("GRU", "LSTM", "RNN")

INTEGER = frozenset({
    "ConvInteger", "QLinearConv", "QGemm", "MatMulInteger", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "QLinearMatMul",
})  # fmt: skip
"""Operators that multiply 8-bit integers themselves. A float Conv between DequantizeLinear and
QuantizeLinear does not count until the runtime has fused them."""

NO_MACS = frozenset({
    # element by element: an addition or a product per output value, no multiply-accumulate
    "Abs", "Add", "Ceil", "Clip", "Cos", "Div", "Elu", "Erf", "Exp", "FastGelu", "Floor", "Gelu",
    "BiasGelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mod", "Mul",
    "Neg", "PRelu", "Pow", "QLinearAdd", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid",
    "QuickGelu", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus",
    "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu",
    # comparisons
    "And", "ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "IsNaN", "Less",
    "LessOrEqual", "Not", "Or", "TopK", "Where", "Xor",
    # reductions, pooling and normalization
    "AveragePool", "BatchNormalization", "CumSum", "GlobalAveragePool", "GlobalMaxPool",
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LogSoftmax",
    "LpNormalization", "MaxPool", "MeanVarianceNormalization", "NhwcMaxPool",
    "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean", "QLinearSoftmax",
    "RMSNormalization", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    "SimplifiedLayerNormalization", "Softmax",
    # quantization
    "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear",
    # moving data, shapes and constants
    "Cast", "CastLike", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Dropout",
    "Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad",
    "QLinearConcat", "QLinearWhere", "Range", "Reshape", "Resize", "ScatterElements", "ScatterND",
    "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Trilu",
    "Unsqueeze",
})  # fmt: skip
"""Operators counted as zero MACs. Any operator listed neither here nor above is rejected."""

PASSES = frozenset({
    "Cast", "Clip", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape",
    "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators through which a weight reaches the layer that uses it, by their first input."""

WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {
    # layers: a weight and its bias, of any size and type
    "Conv": (1, 2), "ConvTranspose": (1, 2), "FusedConv": (1, 2), "ConvInteger": (0, 1),
    "QLinearConv": (3, 8), "QLinearAdd": (0, 3), "QLinearMul": (0, 3),
    "Gemm": (0, 1, 2), "FusedGemm": (0, 1, 2), "QGemm": (0, 3, 6), "MatMul": (0, 1),
    "FusedMatMul": (0, 1), "MatMulInteger": (0, 1), "MatMulIntegerToFloat": (0, 1, 6),
    "DynamicQuantizeMatMul": (1, 4), "QLinearMatMul": (0, 3), "GRU": (1, 2, 3),
    "LSTM": (1, 2, 3, 7), "RNN": (1, 2, 3), "PRelu": (1,),
    # scale and shift; the running mean and variance of a BatchNorm fold into them
    "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2),
    "LayerNormalization": (1, 2), "SimplifiedLayerNormalization": (1,), "RMSNormalization": (1,),
}  # fmt: skip
"""Inputs that hold weights or biases, by operator; the other inputs hold none.

For any other operator, a float constant with more than one value is a weight (an embedding, an
added bias); a single value (the 0.5 of a GELU) or an integer (a shape) is not.
"""

QUANTIZATION = frozenset({"QuantizeLinear", "DequantizeLinear"})
