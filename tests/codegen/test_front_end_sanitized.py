"""The front end and the detector under the sanitizers, on noise of every level and any lengths."""

import subprocess
from pathlib import Path

import pytest

from edgekws.codegen.detector import detector_header, detector_settings, detector_source
from edgekws.codegen.front_end import front_end_header, front_end_source
from edgekws.runtime.c import DETECTOR, FRONT_END, kernel_paths
from edgekws.runtime.front_end import FrontEnd
from tests.codegen.compiling import compile_program
from tests.codegen.front_end_library import QUANTIZATION, plain
from tests.codegen.test_detector import MANIFEST

FUZZ = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front_end_hop.h"
#include "kws_detector.h"
#include "kws_front_end.h"

static uint32_t seed = 1;

static uint32_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* Memory of exactly the size needed, so that a byte too far is seen. */
static void *block(size_t size)
{
    void *result = malloc(size ? size : 1);
    if (!result)
        exit(3);
    return result;
}

static void fill(int16_t *pcm, int32_t n)
{
    const int32_t kind = (int32_t)(next() % 4);
    for (int32_t i = 0; i < n; i++) {
        const int32_t noise = (int32_t)(next() & 0xffff) - 32768;
        pcm[i] = (int16_t)(kind == 0 ? noise : kind == 1 ? noise / 4096 : kind == 2 ? -32768 : 0);
    }
}

static void one_window(int32_t frames)
{
    const int32_t n = KWS_FRAME_SAMPLES + (frames - 1) * KWS_FRAME_STEP;
    int16_t *pcm = block((size_t)n * sizeof *pcm);
    uint8_t *codes = block((size_t)frames * KWS_MEL_BANDS);
    float *features = block((size_t)frames * KWS_MEL_BANDS * sizeof *features);
    kws_front_end_scratch *scratch = block(sizeof *scratch);
    fill(pcm, n);
    memset(scratch, 0xff, sizeof *scratch);
    kws_front_end(pcm, frames, codes, scratch);
    kws_front_end_float(pcm, frames, features, scratch);
    for (int32_t i = 0; i < frames * KWS_MEL_BANDS; i++) {
        if (!(features[i] > -20.0f && features[i] < 30.0f))
            exit(4);
    }
    free(scratch);
    free(features);
    free(codes);
    free(pcm);
}

static void one_stream(int32_t hops)
{
    enum { size = KWS_FRAME_SAMPLES + KWS_FRAME_STEP };
    int16_t *buffer = block(size * sizeof *buffer);
    kws_hop hop = {0};
    while (hops > 0) {
        int32_t left = (int32_t)(next() % 1000);
        int16_t *piece = block((size_t)left * sizeof *piece), *rest = piece;
        fill(piece, left);
        while (left > 0) {
            const int32_t taken = kws_hop_take(&hop, buffer, size, rest, left);
            rest += taken;
            left -= taken;
            if (hop.filled == size) {
                kws_hop_advance(&hop, buffer, 2 * KWS_FRAME_STEP);
                hops--;
            }
        }
        free(piece);
    }
    free(buffer);
}

static void one_track(int32_t hops)
{
    kws_detector *detector = block(sizeof *detector);
    float *logits = block(KWS_LABELS * sizeof *logits);
    kws_event *events = block(KWS_KEYWORDS * sizeof *events);
    kws_detector_init(detector);
    for (int32_t hop = 0; hop < hops; hop++) {
        const uint32_t kind = next() % 16;
        for (int32_t i = 0; i < KWS_LABELS; i++) {
            uint32_t bits = next(); /* any float: infinities, no numbers, subnormals */
            if (kind)
                logits[i] = (float)(bits % 1000) * 0.01f;
            else
                memcpy(&logits[i], &bits, sizeof bits);
        }
        if (next() % 50 == 0)
            kws_detector_switch(detector, (int32_t)(next() % KWS_KEYWORDS), next() % 2);
        if (!kws_detector_hop(detector))
            continue;
        const int32_t n = kws_detector_decide(detector, logits, events);
        for (int32_t i = 0; i < n; i++) {
            if (kws_event_end_s(&kws_detector_timing, &events[i]) < 0.0)
                exit(5);
            if (kws_event_end_sample(&kws_detector_timing, &events[i]) < 0)
                exit(6);
        }
    }
    kws_detector_flush(detector, hops * KWS_HOP_SAMPLES, events);
    free(events);
    free(logits);
    free(detector);
}

int main(void)
{
    for (int32_t i = 0; i < 60; i++) {
        one_window(1 + (int32_t)(next() % 40));
        one_stream(20);
        one_track((int32_t)(next() % 2000));
    }
    puts("no finding");
    return 0;
}
"""

SANITIZERS = (
    *("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "-fno-omit-frame-pointer",
)


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize(
    "front_end",
    [FrontEnd(), FrontEnd(n_fft=495, win_length=480, hop_length=320), FrontEnd(n_fft=400,
     win_length=400, hop_length=177)],
    ids=["default", "odd", "radix 5"],
)  # fmt: skip
def test_no_finding(front_end: FrontEnd, lanes: int, tmp_path: Path) -> None:
    settings = detector_settings(MANIFEST)
    generated = {
        "kws_front_end.h": front_end_header(front_end),
        "kws_front_end.c": front_end_source(front_end, plain(front_end.n_mels), QUANTIZATION),
        "kws_detector.h": detector_header(settings),
        "kws_detector.c": detector_source(settings),
        "main.c": FUZZ,
    }
    kernels = kernel_paths((*FRONT_END, *DETECTOR))
    flags = (*SANITIZERS, f"-DKWS_LANES={lanes}")
    program = compile_program(tmp_path, kernels, generated, "gcc", flags)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no finding\n", "")
