"""Piper's voices: seeded noise, several speakers, and configurations that are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekws.core.speech import Manner, Voice
from edgekws.errors import DataError
from edgekws.synthesizers.piper import Synthesizer
from edgekws.synthesizers.speaking.onnx_voice import (
    NOISE_LENGTH,
    noise_inputs,
    open_session,
    run,
    with_noise_inputs,
)
from tests.tiny_voices import write_piper

US = (("en-us", "gmw/en-US"),)


def voice(name: str = "en_US-tiny") -> Voice:
    return Voice("en-us", "gmw/en-US", f"piper-{name}")


def test_a_clip_depends_on_its_seed_and_not_on_what_was_said_before(tmp_path: Path) -> None:
    write_piper(tmp_path)
    engine = Synthesizer(folder=tmp_path)
    with engine.speaker(voice()) as speaker:
        first = speaker.say("lights", Manner(seed=(1, 2)))
        other = speaker.say("lights", Manner(seed=(1, 3)))
        again = speaker.say("lights", Manner(seed=(1, 2)))
    assert first.tobytes() == again.tobytes()
    assert first.shape == other.shape
    assert not np.array_equal(first, other)
    still = engine.model_copy(update={"noise_scale": 0.0})
    with still.speaker(voice()) as speaker:
        waves = [speaker.say("lights", Manner(seed=(1, n))).tobytes() for n in (2, 3)]
    assert waves[0] == waves[1]
    assert still.fingerprint() != engine.fingerprint()


def test_noise_is_normal_and_repeats_where_it_is_too_short() -> None:
    node = helper.make_node("RandomNormalLike", ["x"], ["y"], mean=3.0, scale=2.0)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, None])
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    session = open_session(with_noise_inputs(model, "g").SerializeToString(), "g")
    inputs = {"x": np.zeros((1, 2, NOISE_LENGTH), np.float32)} | noise_inputs(session, (5,))
    values = run(session, inputs, "g")
    assert values.size == 2 * NOISE_LENGTH
    assert np.mean(values) == pytest.approx(3, abs=0.02)
    assert np.std(values) == pytest.approx(2, abs=0.02)
    assert np.array_equal(values[:NOISE_LENGTH], values[NOISE_LENGTH:])


def test_numbers_drawn_in_another_way_are_refused(tmp_path: Path) -> None:
    path = write_piper(tmp_path)
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "RandomNormalLike":
            node.op_type = "RandomUniformLike"
    with pytest.raises(DataError, match="draws random numbers by RandomUniformLike"):
        with_noise_inputs(model, path)


def test_every_speaker_of_a_file_is_a_voice(tmp_path: Path) -> None:
    write_piper(tmp_path, "many", 3)
    write_piper(tmp_path, "german", espeak={"voice": "de"})
    engine = Synthesizer(folder=tmp_path)
    assert engine.describe() == "2 files, 4 voices (de, en-us)"
    cast = engine.cast(US, "lights", 1)
    assert cast.families == (("piper-many-0",), ("piper-many-1",), ("piper-many-2",))
    waves = []
    for name in ("many-0", "many-2"):
        with engine.speaker(voice(name)) as speaker:
            waves.append(speaker.say("lights", Manner()))
    assert np.allclose(waves[1] - waves[0], 2, atol=1e-5)
    german = engine.cast((("de", "gmw/de"),), None, 1)
    assert [v.name for of in german.voices.values() for v in of] == ["de+piper-german"]


def test_the_qualities_of_a_voice_are_in_one_split(tmp_path: Path) -> None:
    for name in ("en_US-amy-low", "en_US-amy-medium", "en_US-joe-medium", "en_US-tom-x_low"):
        write_piper(tmp_path, name)
    for quality in ("low", "high"):
        write_piper(tmp_path, f"en_US-both-{quality}", 2)
    families = Synthesizer(folder=tmp_path).cast(US, None, 1).families
    assert set(families) == {
        ("piper-en_US-amy-low", "piper-en_US-amy-medium"),
        ("piper-en_US-joe-medium",),
        ("piper-en_US-tom-x_low",),
        ("piper-en_US-both-high-0", "piper-en_US-both-low-0"),
        ("piper-en_US-both-high-1", "piper-en_US-both-low-1"),
    }


def test_a_voice_of_letters_speaks_no_phonemes(tmp_path: Path) -> None:
    write_piper(tmp_path, phoneme_type="text")
    engine = Synthesizer(folder=tmp_path)
    (spoken,) = engine.cast(US, None, 1).voices["piper-en_US-tiny"]
    assert not spoken.phonemes
    with engine.speaker(spoken) as speaker:
        assert len(speaker.say("ab", Manner())) == 400 * 9  # ^ a b . $ with pauses between
        assert len(speaker.say(" ", Manner())) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phoneme_type": "pinyin"}, 'phoneme_type is "pinyin"; espeak and text are supported'),
        ({"espeak": {}}, "is not the configuration of a Piper voice: KeyError 'voice'"),
        ({"audio": {"sample_rate": 0}}, r"audio\.sample_rate is 0, which is no rate in Hz"),
        ({"audio": {"sample_rate": float("inf")}}, "a Piper voice: OverflowError"),
        ({"phoneme_id_map": {"a": [1]}}, r"phoneme_id_map has no \$, \^, _"),
        ({"phoneme_id_map": 3}, "is not the configuration of a Piper voice: AttributeError"),
    ],
)
def test_a_wrong_configuration_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_piper(tmp_path, **change)
    with pytest.raises(DataError, match=message):
        Synthesizer(folder=tmp_path).describe()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = write_piper(tmp_path)
    path.write_bytes(b"no model")
    with (
        pytest.raises(DataError, match=r"en_US-tiny\.onnx: is not an ONNX file"),
        Synthesizer(folder=tmp_path).speaker(voice()),
    ):
        pass
    assert json.loads(path.with_name(f"{path.name}.json").read_text())["num_speakers"] == 1
