import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgekws.audio.front_end_graph import front_end_model
from edgekws.audio.front_end_problems import problems
from edgekws.codegen.fft import n_points, passes, places
from edgekws.codegen.front_end import front_end_header, front_end_source
from edgekws.codegen.front_end_interface import InputQuantization
from edgekws.core.contract import Normalization
from edgekws.runtime.front_end import FrontEnd, analysis_window, log_mel, mel_filterbank
from tests.codegen.compiling import COMPILERS
from tests.codegen.front_end_library import QUANTIZATION, FrontEndLibrary

DEFAULT = FrontEnd()
FRONT_ENDS = {
    "default": DEFAULT,
    "radix 2 and 5": FrontEnd(n_fft=400, win_length=400),
    "radix 3": FrontEnd(n_fft=486, win_length=480, n_mels=32),
    "radix 4 and 2": FrontEnd(n_fft=1024, win_length=480, hop_length=177),
    "prime": FrontEnd(n_fft=509, win_length=480),
    "odd": FrontEnd(n_fft=495, win_length=480, hop_length=320),
    "twice a prime": FrontEnd(n_fft=502, win_length=480),
    "short frames": FrontEnd(8_000, 0.5, 64, 50, 33, 8, 0.0, 4_000.0),
    "one point": FrontEnd(8_000, 0.5, 3, 3, 2, 1, 0.0, 8_000.0),
    "gap before the end": FrontEnd(window_s=0.53, n_fft=640, win_length=400, hop_length=400),
}
LOUD_AND_QUIET = (1.0, 0.3, 1e-2, 1e-3, 3e-5)


def reference(pcm: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float64]:
    """Return the log-mel `(T, n_mels)` in double precision."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm / 32768, front_end.n_fft)
    spectrum = np.fft.rfft(frames[:: front_end.hop_length] * analysis_window(front_end))
    return np.log(np.abs(spectrum) ** 2 @ mel_filterbank(front_end).T + 1e-6)


def sounds(front_end: FrontEnd) -> list[NDArray[np.int16]]:
    """Return windows of noise under gliding tones, from full scale down to a bit."""
    rng, size = np.random.default_rng(0), front_end.window_samples
    time = np.arange(size) / front_end.sample_rate
    result = []
    for level in LOUD_AND_QUIET:
        tone = np.sin(2 * np.pi * (200 + 1500 * time) * time)
        wave = level * (0.7 * tone + 0.01 * rng.standard_normal(size))
        result.append(np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16))
    return result


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> FrontEndLibrary:
    return FrontEndLibrary(tmp_path_factory.mktemp("c"), DEFAULT)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_log_mel_is_close_to_double_precision(name: str, tmp_path: Path) -> None:
    front_end = FRONT_ENDS[name]
    library = FrontEndLibrary(tmp_path, front_end)
    for pcm in sounds(front_end):
        features = library.features(pcm)
        assert features.shape == (front_end.n_frames, front_end.n_mels)
        np.testing.assert_allclose(features, reference(pcm, front_end), rtol=0, atol=1e-3)


def test_real_speech_is_as_close_as_the_graph(library: FrontEndLibrary, shared_data: Path) -> None:
    paths = sorted((shared_data / "asc").rglob("*.flac"))[::160]
    assert len(paths) >= 50
    clips = [soundfile.read(path, dtype="int16")[0] for path in paths]
    identity = Normalization((0.0,) * DEFAULT.n_mels, (1.0,) * DEFAULT.n_mels)
    graph = front_end_model(DEFAULT, identity).SerializeToString()
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for pcm in clips:
        features, wave = library.features(pcm), (pcm / 32768).astype(np.float32)
        by_graph = session.run(None, {"waveform": wave[None]})[0][0].T
        np.testing.assert_allclose(features, reference(pcm, DEFAULT), rtol=0, atol=8e-4)
        np.testing.assert_allclose(features, log_mel(wave, DEFAULT).T, rtol=0, atol=8e-4)
        np.testing.assert_allclose(features, by_graph, rtol=0, atol=1.6e-3)
        assert np.square(features - by_graph).mean() ** 0.5 < 5e-5


BUILDS: tuple[tuple[str, ...], ...] = (
    ("-O0", "-DKWS_LANES=1"),
    ("-O3", "-march=native", "-DKWS_LANES=1"),
    ("-O2", "-DKWS_LANES=3"),
    ("-O3", "-march=native", "-std=gnu99", "-DKWS_LANES=8"),
    ("-O3", "-march=native", "-std=gnu99", "-DKWS_LANES=16"),
)
CONTRACTION = {"gcc": "-ffp-contract=fast", "clang": "-ffp-contract=on"}
"""What a compiler may be told, or does by itself: to fuse multiplications and additions."""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_build_gives_the_same_bits(
    compiler: str, tmp_path: Path, library: FrontEndLibrary
) -> None:
    clips = sounds(DEFAULT)
    expected = [library.features(pcm).tobytes() for pcm in clips]
    for number, flags in enumerate(BUILDS):
        flags = (*flags, CONTRACTION[compiler])
        build = FrontEndLibrary(tmp_path / str(number), DEFAULT, compiler=compiler, flags=flags)
        assert [build.features(pcm).tobytes() for pcm in clips] == expected, flags


@pytest.mark.parametrize("name", ["odd", "radix 2 and 5", "radix 4 and 2"])
def test_every_radix_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    front_end = FRONT_ENDS[name]
    flags = ("-O3", "-march=native", "-ffp-contract=fast")
    by_gcc = FrontEndLibrary(tmp_path / "gcc", front_end, flags=("-O1", "-DKWS_LANES=1"))
    vectors = FrontEndLibrary(tmp_path / "vectors", front_end, flags=flags)
    by_clang = FrontEndLibrary(tmp_path / "clang", front_end, compiler="clang")
    for pcm in sounds(front_end):
        expected = by_gcc.features(pcm).tobytes()
        assert vectors.features(pcm).tobytes() == expected
        assert by_clang.features(pcm).tobytes() == expected


def test_silence_and_the_loudest_sounds(library: FrontEndLibrary) -> None:
    size = DEFAULT.window_samples
    silence = library.features(np.zeros(size, np.int16))
    np.testing.assert_allclose(silence, np.log(1e-6), rtol=0, atol=1e-6)
    square = np.where(np.arange(size) // 8 % 2, -32768, 32767).astype(np.int16)
    impulses = np.where(np.arange(size) % 1000, 0, -32768).astype(np.int16)
    for pcm in (square, impulses, np.full(size, -32768, np.int16)):
        np.testing.assert_allclose(
            library.features(pcm), reference(pcm, DEFAULT), rtol=0, atol=1e-3
        )


def test_bands_are_normalised(tmp_path: Path, library: FrontEndLibrary) -> None:
    mean, std = np.linspace(-9, -3, 40), np.linspace(0.5, 4, 40)
    normalization = Normalization(tuple(mean), tuple(std))
    normalised = FrontEndLibrary(tmp_path, DEFAULT, normalization)
    pcm = sounds(DEFAULT)[1]
    scale, shift = (1 / std).astype(np.float32), (-mean / std).astype(np.float32)
    np.testing.assert_array_equal(normalised.features(pcm), library.features(pcm) * scale + shift)


def quantize_linear(quantization: InputQuantization) -> Callable[[NDArray[np.float32]], object]:
    """Return what onnxruntime's QuantizeLinear computes."""
    kind = TensorProto.INT8 if quantization.signed else TensorProto.UINT8
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [quantization.scale]),
        helper.make_tensor("zero", kind, [], [quantization.zero_point]),
    ]
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        "quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b"])],
        [helper.make_tensor_value_info("y", kind, ["a", "b"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda features: session.run(None, {"x": features})[0]


@pytest.mark.parametrize(
    "quantization",
    [
        QUANTIZATION,
        InputQuantization(0.0571, 200, signed=False),
        InputQuantization(0.013, 0, signed=False),  # saturates at both ends
        InputQuantization(0.25, 17, signed=True),
    ],
)
def test_codes_are_those_of_quantize_linear(
    quantization: InputQuantization, tmp_path: Path
) -> None:
    normalization = Normalization((-6.0,) * 40, (3.0,) * 40)
    library = FrontEndLibrary(tmp_path, DEFAULT, normalization, quantization)
    quantize = quantize_linear(quantization)
    for pcm in sounds(DEFAULT):
        np.testing.assert_array_equal(library.codes(pcm), quantize(library.features(pcm)))


def test_ties_are_rounded_to_even(library: FrontEndLibrary) -> None:
    values = np.arange(-140, 140, 0.5, dtype=np.float32)
    quantize = library.compiled.kws_quantize_features
    quantize.argtypes = [
        *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_float),
        *(ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p),
    ]
    lanes = library.compiled.lanes()
    mels, codes = np.repeat(values[:, None], lanes, axis=1), np.zeros(len(values), np.int8)
    quantize(mels.ctypes.data, 1, len(values), 1.0, -3, -128, 127, codes.ctypes.data)
    np.testing.assert_array_equal(codes, np.clip(np.rint(values) - 3, -128, 127))


def test_the_logarithm_is_within_its_bound(library: FrontEndLibrary) -> None:
    lanes = library.compiled.lanes()
    rng = np.random.default_rng(0)
    mels = np.exp(rng.uniform(np.log(1e-9), np.log(1e9), (40 * 2_000, lanes))).astype(np.float32)
    mels[0] = 0
    expected = np.log((mels + np.float32(1e-6)).astype(np.float64))
    ones, zeros = np.ones(len(mels), np.float32), np.zeros(len(mels), np.float32)
    data = (ctypes.c_void_p(array.ctypes.data) for array in (mels, ones, zeros))
    library.compiled.kws_log_normalise(*data, ctypes.c_int32(len(mels)))
    assert np.abs(mels - expected).max() < 1.5e-6


@given(pieces=st.lists(st.integers(1, 2_000), max_size=40), hop_frames=st.integers(1, 3))
def test_a_stream_gives_the_bits_of_the_window(
    library: FrontEndLibrary, pieces: list[int], hop_frames: int
) -> None:
    pcm = np.concatenate(sounds(DEFAULT))[: sum(pieces)]
    size = DEFAULT.n_fft + (hop_frames - 1) * DEFAULT.hop_length
    step = hop_frames * DEFAULT.hop_length
    buffer, filled = np.zeros(size, np.int16), ctypes.c_int32(0)
    take, advance = library.compiled.kws_hop_take, library.compiled.kws_hop_advance
    address, features = ctypes.c_void_p(buffer.ctypes.data), []
    for piece in np.split(pcm, np.cumsum(pieces)[:-1]):
        rest = piece.copy()
        while len(rest):
            given_address = ctypes.c_void_p(rest.ctypes.data)
            taken = take(ctypes.byref(filled), address, size, given_address, len(rest))
            assert 0 < taken <= len(rest)
            rest = rest[taken:].copy()
            if filled.value == size:
                features.append(library.features(buffer))
                advance(ctypes.byref(filled), address, step)
    if len(pcm) < size:
        assert not features
    else:
        hops = 1 + (len(pcm) - size) // step
        assert len(features) == hops
        whole = library.features(pcm)[: hops * hop_frames]
        assert np.concatenate(features).tobytes() == whole.tobytes()


@given(st.integers(2, 3_000))
def test_points_are_stored_where_the_passes_read_them(n_fft: int) -> None:
    rng = np.random.default_rng(n_fft)
    size = n_points(n_fft)
    values = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    points = np.zeros(size, complex)
    points[places(n_fft)] = values
    for fft_pass in passes(n_fft):
        radix, length = fft_pass.radix, fft_pass.length
        assert fft_pass.stride * radix * length == n_fft
        blocks = points.reshape(-1, radix, length)
        turns = np.exp(-2j * np.pi * np.outer(np.arange(radix), np.arange(length)) * fft_pass.stride
                       / n_fft)  # fmt: skip
        points = np.fft.fft(blocks * turns, axis=1).reshape(-1)
    np.testing.assert_allclose(points, np.fft.fft(values), rtol=0, atol=1e-9)


def test_front_ends_of_the_tests_are_valid_where_they_may_be() -> None:
    invalid = [name for name, front_end in FRONT_ENDS.items() if problems(front_end)]
    assert invalid == ["one point"]


def test_a_transform_beyond_16_bit_places_is_refused() -> None:
    with pytest.raises(ValueError, match="an FFT of 131074 is too long; use up to 65536"):
        front_end_header(FrontEnd(window_s=10.0, n_fft=131_074))


def test_the_calls_read_as_written_by_hand() -> None:
    normalization = Normalization((0.0,) * 40, (1.0,) * 40)
    source = front_end_source(DEFAULT, normalization, QUANTIZATION)
    assert (
        """\
    float *points = scratch->points;
    const int16_t *columns = kws_columns(pcm, frames, 512, 160, scratch->columns);
    kws_window_even(columns, window, places, 512, 160, points);
    kws_fft_radix4(points, 256, 1, roots, 128);
    kws_fft_radix4(points, 256, 4, roots, 32);
    kws_fft_radix4(points, 256, 16, roots, 8);
    kws_fft_radix4(points, 256, 64, roots, 2);
    kws_power_even(points, 256, roots);
"""
        in source
    )
