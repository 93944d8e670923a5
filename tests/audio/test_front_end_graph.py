"""The ONNX form of the front end against the numpy form, for any parameters that are valid."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekws.audio.front_end_graph import front_end_model, hop_front_end_model
from edgekws.audio.front_end_problems import problems
from edgekws.core.contract import Normalization
from edgekws.metrics import graph
from edgekws.runtime.front_end import FrontEnd, log_mel


@st.composite
def front_ends(draw: st.DrawFn) -> FrontEnd:
    """Parameters of which most are valid; half of the hops share a large divisor with n_fft."""
    sample_rate = draw(st.sampled_from([8000, 11025, 16000]))
    unit = draw(st.sampled_from([1, 1, 3, 8, 10, 16]))
    n_fft = unit * draw(st.integers(max(1, 16 // unit), 320 // unit))
    win_length = draw(st.integers(min(unit, n_fft), n_fft))
    return FrontEnd(
        sample_rate=sample_rate,
        window_s=draw(st.floats(0.05, 0.1)),
        n_fft=n_fft,
        win_length=win_length,
        hop_length=unit * draw(st.integers(1, max(1, win_length // unit))),
        n_mels=draw(st.integers(1, 12)),
        f_min=draw(st.floats(0, 300)),
        f_max=draw(st.floats(1000, sample_rate / 2)),
    )


def _run(model: onnx.ModelProto, waves: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    features: NDArray[np.float32] = session.run(None, {"waveform": waves})[0]
    return features


def _plain(front_end: FrontEnd) -> Normalization:
    return Normalization((0.0,) * front_end.n_mels, (1.0,) * front_end.n_mels)


Form = Callable[[FrontEnd, Normalization], onnx.ModelProto]
FORMS = pytest.mark.parametrize("form", [front_end_model, hop_front_end_model])


@FORMS
@settings(max_examples=25, deadline=None)
@given(front_ends())
def test_any_valid_parameters(form: Form, front_end: FrontEnd) -> None:
    assume(not problems(front_end))
    waves = np.random.default_rng(0).normal(0, 0.1, (2, front_end.window_samples))
    features = _run(form(front_end, _plain(front_end)), waves.astype(np.float32))
    np.testing.assert_allclose(features, log_mel(waves, front_end), atol=1e-4)


@pytest.mark.parametrize("n_mels", [23, 40])
def test_a_hop_has_the_same_bits_beside_any_others(n_mels: int) -> None:
    front_end = replace(FrontEnd(n_mels=n_mels), window_s=672 / 16_000)
    model = hop_front_end_model(front_end, _plain(front_end))
    waves = np.random.default_rng(0).normal(0, 0.1, (50, 672)).astype(np.float32)
    expected = _run(model, waves)
    assert expected.shape == (50, n_mels, 2)
    for n in (1, 5, 25):
        parts = [_run(model, part) for part in np.split(waves[:25], 25 // n)]
        np.testing.assert_array_equal(np.concatenate(parts), expected[:25])


@FORMS
def test_normalisation_and_batch(form: Form) -> None:
    front_end = FrontEnd()
    random = np.random.default_rng(0)
    mean, std = random.normal(-5, 3, 40), random.uniform(0.5, 4, 40)
    model = form(front_end, Normalization(tuple(mean), tuple(std)))
    waves = random.normal(0, 0.1, (3, 16_000)).astype(np.float32)
    expected = (log_mel(waves, front_end) - mean[:, None]) / std[:, None]
    for batch in (1, 3):
        np.testing.assert_allclose(_run(model, waves[:batch]), expected[:batch], atol=1e-4)


def test_form() -> None:
    model = front_end_model(FrontEnd(), _plain(FrontEnd()))
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"waveform": ["batch", 16_000], "features": ["batch", 40, 97]}
    operators = {node.op_type for node in model.graph.node}
    assert operators == {"Reshape", "Transpose", "Conv", "Mul", "Add", "Log"}
    again = front_end_model(FrontEnd(), _plain(FrontEnd()))
    assert again.SerializeToString() == model.SerializeToString()


def test_only_bins_of_filters_are_computed() -> None:
    narrow = FrontEnd(f_max=2000.0, n_mels=20)
    sizes = [len(front_end_model(f, _plain(f)).SerializeToString()) for f in (FrontEnd(), narrow)]
    assert sizes[1] < sizes[0] / 2


@FORMS
@pytest.mark.parametrize("front_end", [FrontEnd(), FrontEnd(n_mels=64)], ids=str)
def test_real_speech(form: Form, front_end: FrontEnd, speech: NDArray[np.float32]) -> None:
    """In float32, values 100 dB below the loudest bin of their frame keep three digits."""
    features = _run(form(front_end, _plain(front_end)), speech)
    error = np.abs(features - log_mel(speech, front_end))
    assert np.mean(error > 1e-4) < 2e-3
    assert error.max() < 2e-3


def test_costs_less_than_a_dense_dft_and_more_than_the_mel_filters() -> None:
    front_end = FrontEnd()
    normalization = Normalization((0.0,) * 40, (1.0,) * 40)
    bins = front_end.n_fft // 2 + 1
    mel = front_end.n_frames * bins * front_end.n_mels
    dense = front_end.n_frames * 2 * bins * front_end.n_fft
    assert mel < graph.macs(front_end_model(front_end, normalization)) < dense + mel
