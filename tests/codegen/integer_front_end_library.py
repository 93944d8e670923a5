"""The integer front end in C, called from tests."""

import ctypes
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.front_end_interface import InputQuantization
from edgekws.codegen.integer_front_end import (
    integer_front_end_header,
    integer_front_end_source,
    mel_units,
)
from edgekws.core.contract import Normalization
from edgekws.runtime.c import INTEGER_FRONT_END, kernel_paths
from edgekws.runtime.front_end import FrontEnd
from tests.codegen.compiling import compile_library
from tests.codegen.front_end_library import QUANTIZATION, plain

DRIVER = """
#include "kws_front_end.h"
#include <string.h>
void features_and_logs(const int16_t *pcm, int32_t frames, uint8_t *features, int32_t *logs);
void features_and_logs(const int16_t *pcm, int32_t frames, uint8_t *features, int32_t *logs)
{
    static kws_front_end_scratch scratch;
    kws_front_end_reset(&scratch);
    for (int32_t t = 0; t < frames; t++) {
        kws_front_end(pcm + t * KWS_FRAME_STEP, 1, features + t * KWS_MEL_BANDS, &scratch);
        memcpy(logs + t * KWS_MEL_BANDS, scratch.logs, sizeof scratch.logs);
    }
}
"""


class IntegerFrontEndLibrary:
    """A compiled front end without floating point."""

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
            "kws_front_end.h": integer_front_end_header(front_end),
            "kws_front_end.c": integer_front_end_source(front_end, normalization, quantization),
            "driver.c": DRIVER,
        }
        kernels = kernel_paths(INTEGER_FRONT_END)
        self.compiled = compile_library(folder, kernels, generated, compiler, flags)
        self.front_end = front_end
        self._dtype = np.int8 if quantization.signed else np.uint8

    def codes_and_log_mel(self, pcm: NDArray[np.int16]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Return the quantized features and the log-mel they are made of, `(T, n_mels)` each."""
        pcm = np.ascontiguousarray(pcm)
        frames = 1 + (len(pcm) - self.front_end.n_fft) // self.front_end.hop_length
        codes = np.zeros((frames, self.front_end.n_mels), self._dtype)
        logs = np.zeros(codes.shape, np.int32)
        given, *outputs = (ctypes.c_void_p(array.ctypes.data) for array in (pcm, codes, logs))
        self.compiled.features_and_logs(given, ctypes.c_int32(frames), *outputs)
        exponent = mel_units(self.front_end.n_fft).exponent
        return codes, (logs / 65536 - exponent) * math.log(2)
