"""Errors of the chain, each at the line of its step."""

import re
from pathlib import Path

import pytest

from edgekws.errors import RecipeError
from edgekws.recipe.load import load

HEAD = 'schema = 1\nname = "chain"\ndataset = { kind = "synthetic", keywords = ["a"] }\n'
DEEP = 'backbone = { kind = "bcresnet" }'
FLAT = 'backbone = { kind = "plain" }'


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Chain":
    monkeypatch.chdir(tmp_path)
    return Chain()


class Chain:
    """Writes one step a line, the first on line 5."""

    def load(self, *steps: str) -> tuple[str, ...]:
        rows = ",\n".join(f"{{ {step} }}" for step in steps)
        Path("c.toml").write_text(f"{HEAD}steps = [\n{rows}\n]\n")
        return load("c.toml").notes

    def refuse(self, message: str, *steps: str) -> None:
        with pytest.raises(RecipeError, match=re.escape(message)) as caught:
            self.load(*steps)
        assert len(caught.value.problems) == 1


def test_a_sound_chain_has_no_notes(chain: Chain) -> None:
    assert (
        chain.load(
            f'kind = "teacher", name = "big", {FLAT}',
            f'kind = "teacher", {DEEP}',
            f'kind = "distill", teachers = ["big", "teacher"], {DEEP}',
            f'kind = "to2d", {FLAT}',
            'kind = "export"',
            'kind = "simplify"',
        )
        == ()
    )


def test_the_first_step_has_nothing_to_take(chain: Chain) -> None:
    chain.refuse(
        'c.toml:5: steps.0: "to2d" needs a checkpoint (a torch network), but no step is before it',
        f'kind = "to2d", {FLAT}',
    )
    chain.refuse('c.toml:5: steps.0: "simplify" needs an ONNX model', 'kind = "simplify"')


def test_the_ratio_is_limited_where_its_control_is_trained(chain: Chain) -> None:
    ratio = "budget = { max_latency_ratio = 0.5 }"
    chain.refuse(
        "steps.0.budget.max_latency_ratio: the ratio is to the plain export of the last network "
        'trained, and "to2d" trains it later; move max_latency_ratio to "to2d" or after it, or '
        "limit latency_p50_us here",
        f'kind = "teacher", {DEEP}, {ratio}',
        f'kind = "to2d", {FLAT}',
    )
    chain.load(
        f'kind = "teacher", {DEEP}, budget = {{ max_latency_p50_us = 50 }}',
        f'kind = "to2d", {FLAT}, {ratio}',
        f'kind = "export", {ratio}',
    )


def test_a_checkpoint_cannot_come_from_onnx(chain: Chain) -> None:
    chain.refuse(
        'c.toml:7: steps.2: "to2d" needs a checkpoint (a torch network), but "export" before it '
        'gives an ONNX model; take "export" out or move it behind "to2d"',
        f'kind = "teacher", {DEEP}',
        'kind = "export"',
        f'kind = "to2d", {FLAT}',
    )
    chain.refuse(
        'take "export" out or move it behind "quantize", '
        'or choose backend = { kind = "onnxruntime" }',
        f'kind = "teacher", {DEEP}',
        'kind = "export"',
        'kind = "quantize"',
    )


def test_onnx_has_to_be_exported_first(chain: Chain) -> None:
    chain.refuse(
        'c.toml:6: steps.1: "simplify" needs an ONNX model, but "teacher" before it gives a '
        'checkpoint (a torch network); add a step { kind = "export" } before it',
        f'kind = "teacher", {DEEP}',
        'kind = "simplify"',
    )


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("teachr", 'no earlier step is called "teachr"; did you mean teacher?'),
        ("distill", '"distill" is not before "distill"; move it there'),
        ("late", '"late" is not before "distill"; move it there'),
        ("export", '"distill" learns from "export", which gives an ONNX model; name a step that'),
    ],
)
def test_teachers_are_earlier_checkpoints(chain: Chain, teacher: str, message: str) -> None:
    chain.refuse(
        f"c.toml:7: steps.2.teachers: {message}",
        f'kind = "teacher", {DEEP}',
        'kind = "export"',
        f'kind = "distill", teachers = ["{teacher}"], {DEEP}',
        f'kind = "teacher", name = "late", {DEEP}',
    )


def test_tune_names_the_checkpoint_that_its_model_was_made_of(chain: Chain) -> None:
    before = (f'kind = "teacher", {FLAT}', 'kind = "export"')
    assert chain.load(*before, 'kind = "tune", fp32 = "teacher"') == ()
    chain.refuse(
        'c.toml:7: steps.2.fp32: "tune" is built of "export", which gives an ONNX model; name a '
        "step that gives a checkpoint",
        *before,
        'kind = "tune", fp32 = "export"',
    )


def test_nothing_takes_a_streaming_graph(chain: Chain) -> None:
    before = (f'kind = "teacher", {FLAT}', 'kind = "export"', 'kind = "stream"')
    assert chain.load(*before) == ()
    chain.refuse(
        'c.toml:8: steps.3: "simplify" needs an ONNX model, but "stream" before it gives a '
        'streaming graph, which accompanies the bundle\'s model; move "stream" to the end',
        *before,
        'kind = "simplify"',
    )
    chain.refuse(
        'c.toml:8: steps.3.teachers: "distill" learns from "stream", which gives a streaming graph',
        *before,
        f'kind = "distill", teachers = ["stream"], {FLAT}',
    )


@pytest.mark.parametrize("after", ["simplify", "stream"])
def test_calibrate_comes_last(chain: Chain, after: str) -> None:
    before = (f'kind = "teacher", {FLAT}', 'kind = "export"')
    assert chain.load(*before, 'kind = "calibrate"') == ()
    assert chain.load(*before, 'kind = "stream"', 'kind = "calibrate"') == ()
    chain.refuse(
        f'c.toml:8: steps.3: "{after}" needs an ONNX model, but "calibrate" before it gives '
        "detection settings, which accompany the bundle's model; "
        'move "calibrate" to the end',
        *before,
        'kind = "calibrate"',
        f'kind = "{after}"',
    )
    chain.refuse(
        'c.toml:7: steps.2: "calibrate" needs an ONNX model, but "distill" before it gives a '
        "checkpoint",
        before[0],
        f'kind = "distill", teachers = ["teacher"], {FLAT}',
        'kind = "calibrate"',
    )


def test_a_limit_on_streams_belongs_where_they_are_heard(chain: Chain) -> None:
    limit = "budget = { max_miss_rate = 0.1 }"
    chain.refuse(
        "steps.0.budget.max_miss_rate: measured after quantize and calibrate, and on the bundle; "
        "move this limit there, or into the recipe's [budget]",
        f'kind = "teacher", {FLAT}, {limit}',
    )
    detected = (f'kind = "quantize", {limit}', f'kind = "calibrate", {limit}')
    assert chain.load(f'kind = "teacher", {FLAT}', *detected) == ()


def test_a_window_shorter_than_the_receptive_field(chain: Chain) -> None:
    short = 'kind = "teacher", backbone = { kind = "plain", min_frames = 98 }'
    chain.refuse(
        "c.toml:6: steps.1.backbone: its layers reach over 98 frames without padding, but the "
        "window has 97; lower kernel_size, blocks or the strides, raise window_s",
        f'kind = "teacher", name = "big", {FLAT}',
        short,
    )
    assert chain.load(short.replace("98", "97")) == ()


def test_a_teacher_before_the_first_step_is_told(chain: Chain) -> None:
    chain.refuse(
        'c.toml:5: steps.0.teachers: no earlier step is called "a"; no step is before it',
        f'kind = "distill", teachers = ["a"], {DEEP}',
    )


def test_names_are_told_apart_and_can_be_folders(chain: Chain) -> None:
    teacher = f'kind = "teacher", {DEEP}'
    chain.refuse(
        'c.toml:6: steps.1.name: an earlier step is called "teacher" too; '
        'give one of them another name = "…"',
        teacher,
        teacher,
    )
    chain.refuse("c.toml:5: steps.0.name: '/' cannot be in a name", f'{teacher}, name = "a/b"')


def test_a_network_is_converted_to_2d_once(chain: Chain) -> None:
    chain.refuse(
        'c.toml:6: steps.1: "teacher" already has the 2-D representation; '
        'take "to2d" out, or give "teacher" a 3-D backbone',
        f'kind = "teacher", {FLAT}',
        f'kind = "to2d", {FLAT}',
    )
    chain.refuse(
        'c.toml:7: steps.2: "to2d" already has the 2-D representation; take "again" out',
        f'kind = "teacher", {DEEP}',
        'kind = "to2d"',
        f'kind = "to2d", name = "again", {FLAT}',
    )


def test_a_step_that_nothing_uses_is_noted(chain: Chain) -> None:
    notes = chain.load(
        f'kind = "teacher", {DEEP}',
        f'kind = "teacher", name = "used", {DEEP}',
        f'kind = "distill", teachers = ["used"], {DEEP}',
    )
    assert notes == (
        'c.toml:5: nothing uses the result of "teacher": "used" after it starts from scratch, '
        "and no step names it",
    )


def test_the_chain_is_judged_beside_a_broken_step(chain: Chain) -> None:
    with pytest.raises(RecipeError) as caught:
        chain.load(
            f'kind = "teacher", {DEEP}, budget = {{ max_size = 1 }}',
            f'kind = "distill", teachers = ["x"], {DEEP}, loss = {{ temperature = 0 }}',
            f'kind = "teacher", name = "b", {DEEP}',
            'kind = "simplify"',
        )
    assert [(problem.where, problem.key) for problem in caught.value.problems] == [
        ("c.toml:5", "steps.0.budget.max_size"),
        ("c.toml:6", "steps.1.loss.temperature"),
        ("c.toml:8", "steps.3"),
    ]


def test_lighter_masks_without_masks_are_noted(chain: Chain) -> None:
    step = f'kind = "teacher", {DEEP}, training = {{ masking = 0.5 }}'
    assert chain.load(step) == (
        "c.toml:5: has no effect: [augment] has no spec_augment; add it, or take masking out",
    )
    with Path("c.toml").open("a") as file:
        file.write("[augment]\nspec_augment = { time_masks = 1 }\n")
    assert load("c.toml").notes == ()


@pytest.mark.parametrize("key", ["max_bundle_size_kib", "max_total_macs", "max_front_end_macs"])
def test_a_step_has_no_front_end_to_bound(chain: Chain, key: str) -> None:
    chain.refuse(
        f"c.toml:5: steps.0.budget.{key}: measured on the bundle only; move this limit into the "
        "recipe's [budget]",
        f'kind = "teacher", {FLAT}, budget = {{ max_params = 9, {key} = 1 }}',
    )


EMBEDDING = 'kind = "embedding_teacher", name = "e", path = "m.onnx"'


def test_a_teacher_on_audio_teaches_a_student(chain: Chain) -> None:
    assert chain.load(EMBEDDING, f'kind = "distill", teachers = ["e"], {DEEP}') == ()


def test_a_teacher_on_audio_teaches_in_distill_alone(chain: Chain) -> None:
    chain.refuse(
        'c.toml:8: steps.3.fp32: "tune" is built of "e", which gives a teacher that takes audio, '
        "for distill; name a step that gives a checkpoint",
        EMBEDDING,
        f'kind = "distill", teachers = ["e"], {DEEP}',
        'kind = "export"',
        'kind = "tune", fp32 = "e"',
    )


def test_nothing_is_made_of_a_teacher_on_audio(chain: Chain) -> None:
    chain.refuse(
        'c.toml:7: steps.2: "export" needs a checkpoint (a torch network), but "e" before it gives '
        'a teacher that takes audio, for distill; name "e" in the teachers of a distill step '
        "instead",
        f'kind = "teacher", {FLAT}',
        EMBEDDING,
        'kind = "export"',
    )
    chain.refuse(
        'c.toml:6: steps.1: "e" gives a teacher that takes audio, for distill; add a step '
        '{ kind = "distill", teachers = ["e"], … } after it',
        f'kind = "teacher", {FLAT}',
        EMBEDDING,
    )
