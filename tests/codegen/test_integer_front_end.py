import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.codegen.front_end_interface import InputQuantization
from edgekws.codegen.integer_front_end import (
    integer_front_end_header,
    integer_front_end_source,
    mel_units,
)
from edgekws.core.contract import Normalization
from edgekws.runtime.c import INTEGER_FRONT_END, kernel_paths
from edgekws.runtime.front_end import FrontEnd, analysis_window, mel_filterbank
from tests.codegen.compiling import COMPILERS, compile_program
from tests.codegen.front_end_library import QUANTIZATION, plain
from tests.codegen.integer_front_end_library import IntegerFrontEndLibrary
from tests.codegen.test_front_end import DEFAULT, FRONT_ENDS, reference, sounds

RMS_LIMIT = 0.001
"""Of log-mel. Speech has 0.0006, with which 1 of 4,800 labels is another than from floats."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> IntegerFrontEndLibrary:
    return IntegerFrontEndLibrary(tmp_path_factory.mktemp("c"), DEFAULT)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_log_mel_is_close_to_double_precision(name: str, tmp_path: Path) -> None:
    front_end = FRONT_ENDS[name]
    library = IntegerFrontEndLibrary(tmp_path, front_end)
    for pcm in sounds(front_end):
        error = library.codes_and_log_mel(pcm)[1] - reference(pcm, front_end)
        assert np.square(error).mean() ** 0.5 < RMS_LIMIT
        assert np.abs(error).max() < 0.02


def test_real_speech_is_within_the_limit(
    library: IntegerFrontEndLibrary, shared_data: Path
) -> None:
    paths = sorted((shared_data / "asc").rglob("*.flac"))[::100]
    assert len(paths) >= 90
    clips = [soundfile.read(path, dtype="int16")[0] for path in paths]
    errors = [library.codes_and_log_mel(pcm)[1] - reference(pcm, DEFAULT) for pcm in clips]
    assert np.square(np.concatenate(errors)).mean() ** 0.5 < RMS_LIMIT


@pytest.mark.parametrize("quantization", [QUANTIZATION, InputQuantization(0.013, 0, signed=False)])
def test_codes_are_normalised_and_quantized(
    quantization: InputQuantization, tmp_path: Path
) -> None:
    mean, std = np.linspace(-9, -3, 40), np.linspace(0.5, 4, 40)
    normalization = Normalization(tuple(mean), tuple(std))
    library = IntegerFrontEndLibrary(tmp_path, DEFAULT, normalization, quantization)
    for pcm in sounds(DEFAULT):
        codes, log_mel = library.codes_and_log_mel(pcm)
        exact = (log_mel - mean) / std / quantization.scale + quantization.zero_point
        near_a_tie = np.abs(exact - np.floor(exact) - 0.5) < 2e-3
        expected = np.clip(np.rint(exact), *quantization.bounds)
        assert near_a_tie.mean() < 0.01
        np.testing.assert_array_equal(codes[~near_a_tie], expected[~near_a_tie])


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_build_gives_the_same_bits(
    compiler: str, tmp_path: Path, library: IntegerFrontEndLibrary
) -> None:
    narrow = "-D__ARM_ARCH_6M__"  # products of 32 bits
    for number, flags in enumerate((("-O0",), ("-O3", "-march=native"), ("-O1", narrow))):
        build = IntegerFrontEndLibrary(
            tmp_path / str(number), DEFAULT, compiler=compiler, flags=flags
        )
        for pcm in sounds(DEFAULT):
            np.testing.assert_array_equal(
                build.codes_and_log_mel(pcm)[1], library.codes_and_log_mel(pcm)[1]
            )


def test_silence_is_the_floor(library: IntegerFrontEndLibrary) -> None:
    silence = library.codes_and_log_mel(np.zeros(DEFAULT.window_samples, np.int16))[1]
    np.testing.assert_allclose(silence, np.log(1e-6), rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_mels_of_the_loudest_sounds_stay_below_63_bits(name: str) -> None:
    front_end = FRONT_ENDS[name]
    loudest = front_end.n_fft * np.square(analysis_window(front_end)).sum()  # Parseval
    assert loudest * mel_filterbank(front_end).max() * 2.0 ** mel_units(
        front_end.n_fft
    ).exponent < (1 << 63)


def test_a_band_that_hardly_varies_is_refused() -> None:
    normalization = Normalization((0.0,) * 40, (1e-8,) * 40)
    with pytest.raises(ValueError, match="varies so little that its features leave 32 bits"):
        integer_front_end_source(DEFAULT, normalization, QUANTIZATION)


LOUDEST = """
#include <stdio.h>
#include <stdlib.h>

#include "kws_front_end.h"

/* The loudest signals: squares of every period, noise, constants. */
static int16_t sample(int32_t kind, int32_t i)
{
    if (kind == 0)
        return rand() % 2 ? 32767 : -32768;
    if (kind == 1)
        return -32768;
    return i / (kind - 1) % 2 ? 32767 : -32768;
}

int main(void)
{
    for (int32_t kind = 0; kind < 200; kind++) {
        const int32_t frames = 1 + kind % 3;
        const int32_t n = KWS_FRAME_SAMPLES + (frames - 1) * KWS_FRAME_STEP;
        int16_t *pcm = malloc((size_t)n * sizeof *pcm);
        uint8_t *codes = malloc((size_t)frames * KWS_MEL_BANDS);
        kws_front_end_scratch *scratch = malloc(sizeof *scratch);
        if (!pcm || !codes || !scratch)
            return 3;
        for (int32_t i = 0; i < n; i++)
            pcm[i] = sample(kind, i);
        kws_front_end(pcm, frames, codes, scratch);
        free(scratch);
        free(codes);
        free(pcm);
    }
    puts("no finding");
    return 0;
}
"""


@pytest.mark.parametrize("front_end", [*FRONT_ENDS.values(), FrontEnd(n_fft=1021)], ids=str)
def test_no_sum_overflows(front_end: FrontEnd, tmp_path: Path) -> None:
    generated = {
        "kws_front_end.h": integer_front_end_header(front_end),
        "kws_front_end.c": integer_front_end_source(
            front_end, plain(front_end.n_mels), QUANTIZATION
        ),
        "main.c": LOUDEST,
    }
    flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    kernels = kernel_paths(INTEGER_FRONT_END)
    program = compile_program(tmp_path, kernels, generated, "gcc", flags)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no finding\n", "")
