"""The front end in C, called from tests."""

import ctypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.front_end import front_end_header, front_end_source
from edgekws.codegen.front_end_interface import InputQuantization
from edgekws.core.contract import Normalization
from edgekws.runtime.c import FRONT_END, kernel_paths
from edgekws.runtime.front_end import FrontEnd
from tests.codegen.compiling import compile_library

QUANTIZATION = InputQuantization(0.037, -5, signed=True)

SIZES = """
#include "kws_front_end.h"
int32_t scratch_size(void);
int32_t scratch_size(void) { return (int32_t)sizeof(kws_front_end_scratch); }
int32_t lanes(void);
int32_t lanes(void) { return KWS_LANES; }
void reset(kws_front_end_scratch *scratch);
void reset(kws_front_end_scratch *scratch) { kws_front_end_reset(scratch); }
"""


def plain(n_mels: int) -> Normalization:
    """Return the normalization that changes nothing."""
    return Normalization((0.0,) * n_mels, (1.0,) * n_mels)


class FrontEndLibrary:
    """A compiled front end."""

    def __init__(
        self,
        folder: Path,
        front_end: FrontEnd,
        normalization: Normalization | None = None,
        quantization: InputQuantization = QUANTIZATION,
        compiler: str = "gcc",
        flags: Iterable[str] = ("-O2",),
    ) -> None:
        normalization = normalization or plain(front_end.n_mels)
        generated = {
            "kws_front_end.h": front_end_header(front_end),
            "kws_front_end.c": front_end_source(front_end, normalization, quantization),
            "sizes.c": SIZES,
        }
        kernels = kernel_paths(FRONT_END)
        self.compiled = compile_library(folder, kernels, generated, compiler, flags)
        self.front_end = front_end
        self._scratch = ctypes.create_string_buffer(self.compiled.scratch_size())
        self._dtype = np.int8 if quantization.signed else np.uint8

    def features(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """Return the normalised log-mel `(T, n_mels)` of all frames."""
        self.compiled.reset(self._scratch)
        return self.next_features(pcm)

    def next_features(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """Return the features of the next frames of a stream."""
        return self._call(self.compiled.kws_front_end_float, pcm, np.dtype(np.float32))

    def codes(self, pcm: NDArray[np.int16]) -> NDArray[Any]:
        """Return the quantized features `(T, n_mels)`."""
        self.compiled.reset(self._scratch)
        return self._call(self.compiled.kws_front_end, pcm, np.dtype(self._dtype))

    def _call(self, function: Any, pcm: NDArray[np.int16], dtype: np.dtype[Any]) -> NDArray[Any]:
        pcm = np.ascontiguousarray(pcm)
        frames = 1 + (len(pcm) - self.front_end.n_fft) // self.front_end.hop_length
        result = np.zeros((frames, self.front_end.n_mels), dtype)
        given, output = (ctypes.c_void_p(array.ctypes.data) for array in (pcm, result))
        function(given, ctypes.c_int32(frames), output, self._scratch)
        return result
