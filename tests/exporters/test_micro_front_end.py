"""A bundle with the micro front end: numpy, ONNX and C give the same features, clips and events."""

import ctypes
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.audio.decoding import to_float32
from edgekws.audio.front_ends import features
from edgekws.bundle.export import export
from edgekws.bundle.verify import verify
from edgekws.codegen.front_end_interface import InputQuantization
from edgekws.codegen.micro_front_end import micro_front_end_header, micro_front_end_source
from edgekws.core.events import quiet
from edgekws.core.protocols import EXPORTER
from edgekws.runtime import detect
from edgekws.runtime.c import MICRO_FRONT_END, kernel_paths
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd
from edgekws.runtime.micro_front_end import SCALE, MicroFrontEnd, clip_features
from edgekws.spotting import c_detector
from tests.codegen.compiling import compile_library
from tests.int8_bundle import noise

FRONT_END = FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS)
SIZE = """
#include "kws_front_end.h"
int32_t scratch_size(void);
int32_t scratch_size(void) { return (int32_t)sizeof(kws_front_end_scratch); }
"""
Samples = NDArray[np.int16]


@pytest.fixture(scope="module")
def clips(shared_data: Path) -> list[Samples]:
    """Real speech, and sounds at the ends of the range."""
    paths = sorted((shared_data / "asc").rglob("*.flac"))[::2_400]
    spoken = [np.resize(soundfile.read(path, dtype="int16")[0], 16_000) for path in paths]
    loud = np.random.default_rng(0).standard_normal(16_000) * 60_000
    clipped = np.clip(loud, -32_768, 32_767).astype(np.int16)
    return [*spoken, clipped, np.full(16_000, -32_768, np.int16), np.zeros(16_000, np.int16)]


def test_a_clip_has_the_same_integers_in_onnx(micro_bundle: Path, clips: list[Samples]) -> None:
    classifier = detect.Classifier(micro_bundle)
    for clip in clips:
        expected = (clip_features(clip).T * SCALE).astype(np.float32)
        np.testing.assert_array_equal(classifier.features(clip), expected)
        wave = to_float32(clip)[None]
        np.testing.assert_array_equal(features(wave, FRONT_END)[0], expected)


def test_a_stream_in_pieces_has_the_same_integers_in_onnx(
    micro_bundle: Path, clips: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = np.concatenate(clips[:3])
    detector = detect.Detector(micro_bundle)
    heard: list[NDArray[np.float32]] = []
    decide = detector._decide

    def listen(frames: NDArray[np.float32]) -> NDArray[np.float32]:
        heard.append(frames.copy())
        return decide(frames)

    monkeypatch.setattr(detector, "_decide", listen)
    for _ in range(2):  # reset forgets the noise
        detector.reset()
        heard.clear()
        for start, end in pairwise([0, 1, 479, 5_000, 5_001, 20_000, len(stream)]):
            detector.feed(stream[start:end])
        samples = np.concatenate([np.zeros(8_000, np.int16), stream])
        expected = (MicroFrontEnd().feed(samples).T * SCALE).astype(np.float32)
        computed = np.concatenate(heard, axis=1)
        np.testing.assert_array_equal(computed[:, 49:], expected[:, 49 : computed.shape[1]])
        assert computed.shape[1] > 300


def test_clips_and_streams_have_the_same_integers_in_c(
    clips: list[Samples], tmp_path: Path
) -> None:
    quantization = InputQuantization(0.1, 3, signed=False)
    generated = {
        "kws_front_end.h": micro_front_end_header(FRONT_END),
        "kws_front_end.c": micro_front_end_source(quantization),
        "size.c": SIZE,
    }
    c = compile_library(tmp_path, kernel_paths(MICRO_FRONT_END), generated, "gcc", ["-O2"])
    scratch = ctypes.create_string_buffer(c.scratch_size())

    def run(samples: Samples, lone: bool) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        frames = 1 + (len(samples) - 480) // 160
        floats, codes = np.zeros((frames, 40), np.float32), np.zeros((frames, 40), np.uint8)
        for function, output in ((c.kws_front_end_float, floats), (c.kws_front_end, codes)):
            if lone:
                c.kws_front_end_run_in(place(samples), scratch)
            else:
                c.kws_front_end_reset(scratch)
            function(place(samples), ctypes.c_int32(frames), place(output), scratch)
        return floats, codes

    def place(array: NDArray[Any]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    for clip in clips:
        expected = (clip_features(clip) * SCALE).astype(np.float32)
        floats, codes = run(clip, lone=True)
        np.testing.assert_array_equal(floats, expected)
        quantized = np.clip(np.rint(expected / np.float32(0.1)) + 3, 0, 255)
        np.testing.assert_array_equal(codes, quantized)
    stream = np.concatenate(clips)
    expected = (MicroFrontEnd().feed(stream) * SCALE).astype(np.float32)
    np.testing.assert_array_equal(run(stream, lone=False)[0], expected)


def test_the_bundle_is_verified_and_has_all_its_forms(micro_bundle: Path, tmp_path: Path) -> None:
    assert verify(micro_bundle).clips == 4
    for kind, output in (("waveform", "x.onnx"), ("c", "c")):
        if kind == "c" and shutil.which("gcc") is None:
            pytest.skip("gcc is not installed")
        exporter = EXPORTER.validate_python({"kind": kind})
        exported = export(micro_bundle, exporter, tmp_path / output)
        assert exported.verified.notes == ()
    header = (tmp_path / "c" / "kws_front_end.h").read_text("utf-8")
    assert "micro_front_end.h" in header
    assert not (tmp_path / "c" / "front_end_fft.c").exists()


def test_c_finds_what_python_finds(micro_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_detector, "_FLAGS", ("-O0",))  # tests/spotting compiles with -O3
    samples = noise(20).ravel()
    detector = detect.Detector(micro_bundle)
    expected = [*detector.feed(samples), *detector.flush()]
    with c_detector.c_detector(micro_bundle, quiet) as compiled:
        events = [*compiled.feed(samples), *compiled.flush()]
    assert [(e.keyword, round(e.end_s, 6)) for e in events] == [
        (e.keyword, round(e.end_s, 6)) for e in expected
    ]
    assert len(expected) > 3
