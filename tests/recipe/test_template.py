"""A recipe from a few answers: it loads, and its student is the widest that fits the budget."""

import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.core import family
from edgekws.errors import DataError, UsageError
from edgekws.recipe.load import builtins, load
from edgekws.recipe.template import WIDTHS, Answers, recipe_text, student_weight

KINDS, LOAD = family.kinds, family.load


@pytest.fixture(autouse=True)
def _members(monkeypatch: pytest.MonkeyPatch, _families: None) -> None:
    """Bring the package's own members back in the place of the small families."""
    monkeypatch.setattr(family, "kinds", KINDS)
    monkeypatch.setattr(family, "load", LOAD)


def recipe(tmp_path: Path, *words: str, **answers: Any) -> dict[str, Any]:
    """Return the tables of a recipe that was written and loaded."""
    file = tmp_path / "рецепт.toml"
    file.write_text(recipe_text(Answers(words, **answers), file), encoding="utf-8")
    loaded = load(file)
    assert loaded.notes == ()
    assert loaded.recipe.name == "рецепт"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def word_folders(root: Path, *words: str) -> Path:
    for word in words:
        (root / word).mkdir(parents=True)
        soundfile.write(root / word / "a_1.wav", np.zeros(160), 16_000)
    return root


def test_words_to_be_spoken(tmp_path: Path) -> None:
    words = ("да", 'слово "в" \\ кавычках', unicodedata.normalize("NFD", "йод"))
    data = recipe(tmp_path, *words, language="ru", max_size_kib=50)
    assert data["dataset"]["kind"] == "synthetic"
    assert data["dataset"]["keywords"] == [*words[:2], "йод"]
    assert data["dataset"]["language"] == "ru"
    assert data["budget"]["max_size_kib"] == 50
    assert [s["kind"] for s in data["steps"]] == [
        *("teacher", "distill", "mine", "to2d", "quantize", "simplify", "stream", "calibrate")
    ]
    assert data["steps"][1]["backbone"]["padding"] == "valid"


def test_a_target_on_another_machine_can_be_reached(tmp_path: Path) -> None:
    target = recipe(tmp_path, "a", target="ssh", host="pi@pi.local")["target"]
    assert target == {"kind": "ssh", "host": "pi@pi.local", "python": "python3"}


def test_recordings_with_noise_beside_them(tmp_path: Path) -> None:
    root = word_folders(tmp_path / "data" / "words", "yes", "no", "zoom in")
    assert "noise" not in recipe(tmp_path, "yes", data=root)["dataset"]
    (tmp_path / "data" / "noise").mkdir()
    table = recipe(tmp_path, "yes", "zoom in", data=root)["dataset"]
    assert table["kind"] == "folder"
    assert table["root"] == str(root)
    assert table["noise"] == str(tmp_path / "data" / "noise")
    assert table["keywords"] == ["yes", "zoom in"]
    assert "keywords" not in recipe(tmp_path, data=root)["dataset"]


def test_speech_without_a_keyword_beside_recordings(tmp_path: Path) -> None:
    root = word_folders(tmp_path / "words", "yes", "no")
    talk = (tmp_path / "talk", tmp_path / 'a "b".csv')
    given = recipe(tmp_path, "yes", data=root, negatives=talk)
    assert given["dataset"]["negatives"] == [str(path) for path in talk]
    assert "spoken" not in given["dataset"]
    assert given["steps"][2]["kind"] == "mine"
    every = recipe(tmp_path, data=root, negatives=talk)  # each word is a keyword: that is _unknown_
    assert every["steps"][2]["kind"] == "mine"


def test_recordings_without_speech_beside_them_get_spoken_sentences(tmp_path: Path) -> None:
    root = word_folders(tmp_path / "words", "yes", "no")
    for words in (("yes",), ()):  # with every word a keyword, sentences are _unknown_
        data = recipe(tmp_path, *words, data=root)
        assert data["dataset"]["spoken"] == {"language": "en"}
        assert "negatives" not in data["dataset"]
        assert data["continuous"]["per_speech_second"] == 0.4
        assert {"max_miss_rate", "max_false_alarms_per_hour"} <= set(data["budget"])
        assert [s["kind"] for s in data["steps"]] == [
            *("teacher", "distill", "mine", "to2d", "quantize", "simplify", "stream", "calibrate")
        ]


def test_labels_that_are_not_read_in_the_language_of_the_sentences(tmp_path: Path) -> None:
    root = word_folders(tmp_path / "слова", "да", "нет")
    assert recipe(tmp_path, data=root, language="ru")["dataset"]["spoken"] == {"language": "ru"}
    english = recipe(tmp_path, data=root)["dataset"]["spoken"]
    assert english == {"language": "en", "without": []}
    with pytest.raises(
        UsageError, match=r"'да' is in Cyrillic .* without --language the sentences"
    ):
        recipe(tmp_path, data=root, language="ar")
    with pytest.raises(UsageError, match="does not speak language 'en-uk'; did you mean en-us"):
        recipe(tmp_path, data=root, language="en-uk")


def test_the_noise_that_the_dataset_finds_by_itself_is_not_named(tmp_path: Path) -> None:
    root = word_folders(tmp_path / "words", "yes", "no")
    (root / "_background_noise_").mkdir()
    (tmp_path / "noise").mkdir()
    assert "noise" not in recipe(tmp_path, "yes", data=root)["dataset"]


def test_real_recordings(tmp_path: Path, shared_data: Path) -> None:
    table = recipe(tmp_path, "zoom in", "yes", data=shared_data / "asc")["dataset"]
    assert table["noise"] == str(shared_data / "noise")


@pytest.mark.parametrize(
    "limits", [{}, {"max_params": 6_000}, {"max_macs": 200_000}, {"max_size_kib": 16}]
)
def test_the_student_is_the_widest_that_fits(tmp_path: Path, limits: dict[str, int]) -> None:
    data = recipe(tmp_path, "a", "b", "c", **limits)
    channels = data["steps"][1]["backbone"]["channels"]
    most = {key: data["budget"][f"max_{key}"] for key in ("params", "macs", "size_kib")}
    for width in WIDTHS:
        weight = vars(student_weight(width, n_labels=5))
        fits = all(weight[key] <= most[key] for key in most)
        assert fits == (width <= channels)


def test_where_nothing_fits_the_narrowest_is_taken(tmp_path: Path) -> None:
    data = recipe(tmp_path, "a", max_params=10)
    assert data["steps"][1]["backbone"]["channels"] == WIDTHS[-1]


def test_what_the_student_is_said_to_weigh_is_what_its_graph_weighs() -> None:
    import torch

    from edgekws.backbones.mel_spanning import Backbone
    from edgekws.core.contract import Contract, Normalization
    from edgekws.lowering import checkpoint, export
    from edgekws.metrics import graph
    from edgekws.runtime.front_end import FrontEnd

    flat = Normalization((0.0,) * 40, (1.0,) * 40)
    labels = tuple("abcdefg")
    fields = {"channels": 12, "padding": "valid"}
    table = Backbone.model_validate(fields).model_dump(mode="json")
    contract = Contract(FrontEnd(), flat, labels, (1, 40, 97), table)
    network = checkpoint.build(contract).eval()
    for name, shift in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(shift)  # a shift of zero would be folded away
    model = export.export_lowered(network, contract)
    weight = student_weight(12, len(labels))
    assert (weight.params, weight.macs) == (graph.parameters(model), graph.macs(model))


@pytest.mark.parametrize(
    ("words", "told", "message"),
    [
        (("a", "a"), {}, "keywords: 'a' is named 2 times"),
        (("a",), {"target": "hots"}, "target.kind: no target is called 'hots'; did you mean host"),
        ((), {}, r"keywords: is missing"),
        (("a",), {"language": "x"}, "language: must have at least 2 letters"),
        (("a",), {"language": "klingon"}, "not speak language 'klingon'; Klingon is piqd"),
        (("a",), {"language": "germn"}, "not speak language 'germn'; German is de"),
        (("a",), {"language": "zzz"}, "not speak language 'zzz'; known: af, .*de, .*en-us"),
        (("a",), {"language": "en-uk"}, "does not speak language 'en-uk'; did you mean en-u"),
        (("свет",), {}, "'свет' is in Cyrillic letters"),
        (("two", "too"), {}, "'two' and 'too' sound the same"),
        (("a",), {"target": "ssh"}, "--target ssh needs --host USER@MACHINE"),
        (("a",), {"host": "pi@pi.local"}, "no other target has one"),
        (("a",), {"target": "ssh", "host": "a b"}, r"target\.host: 'a b' is not a host"),
    ],
)
def test_answers_that_make_no_recipe(
    words: tuple[str, ...], told: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_text(Answers(words, **told), Path("r.toml"))


def test_a_word_without_a_folder_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    root = word_folders(tmp_path / "words", "lights", "no")
    with pytest.raises(UsageError, match="has no folder for 'light'; did you mean lights"):
        recipe_text(Answers(("light",), root), Path("r.toml"))
    with pytest.raises(DataError, match="no such folder"):
        recipe_text(Answers(("a",), tmp_path / "nowhere"), Path("r.toml"))


def test_a_file_whose_name_cannot_name_a_recipe() -> None:
    with pytest.raises(UsageError, match="the file's name becomes the recipe's name: '!' cannot"):
        recipe_text(Answers(("a",)), Path("r!.toml"))


def test_the_ready_recipe_words_is_what_the_command_writes_with_everything_installed() -> None:
    ready = builtins()["words"]
    answers = Answers(
        ("yes", "no", "up", "down", "left", "right", "stop", "go"),
        voices=("espeak", "festival", "flite", "kokoro", "piper"),
        embedding="efficientword-net",
    )
    assert ready.read_text(encoding="utf-8") == recipe_text(answers, Path("words.toml"))
