"""What a recipe says when it is right, and every message when it is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from edgekws.core.measurement import Budget, Limit
from edgekws.errors import RecipeError
from edgekws.recipe.load import builtins, load, load_budget
from edgekws.recipe.lock import lock
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_recipe_becomes_typed(quickstart: Path) -> None:
    loaded = load(quickstart)
    recipe = loaded.recipe
    assert [step.name for step in recipe.steps] == [
        *("teacher", "distill", "to2d", "quantize", "simplify")
    ]
    assert recipe.front_end.front_end().f_max == 8000
    assert recipe.target.kind == "host"
    assert recipe.limits == Budget((Limit("params", "max", 10_000), Limit("accuracy", "min", 0.95)))
    assert loaded.where("steps", 1, "loss", "temperature") == "quickstart.toml:22"
    assert loaded.where("steps", 1, "loss", "kl_weight") == "quickstart.toml:22"
    assert loaded.where("front_end") == "quickstart.toml"
    assert loaded.notes == ()


def test_a_file_is_loaded_without_a_look_at_the_built_in_recipes(
    quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise AssertionError("reads the built-in recipes")

    monkeypatch.setattr("edgekws.recipe.load._ready", fail)
    assert load(quickstart).path == quickstart


def test_the_upper_edge_is_half_the_sample_rate(quickstart: Path) -> None:
    recipe = load(quickstart, ["front_end.sample_rate=8000"]).recipe
    assert recipe.front_end.front_end().f_max == 4000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 7", "sed = 7", "quickstart.toml:3: sed: no such key; did you mean seed?"),
        ("schema = 1", "schema = 2", "quickstart.toml:1: schema: must be 1, not 2"),
        ("schema = 1", "", "quickstart.toml: schema: is missing; begin the recipe with schema = 1"),
        ('= "quickstart"', '= "a/b"', "quickstart.toml:2: name: '/' cannot be in a name"),
        ('= "quickstart"', '= ".a"', "name: a name begins with a letter or a digit"),
        ('= "quickstart"', f'= "{"a" * 101}"', "name: a name has at most 100 bytes"),
        ("seed = 7", 'seed = "x"', 'seed: expected a whole number, not "x"'),
        ("seed = 7", "seed = 1.5", "seed: expected a whole number, not 1.5"),
        ("seed = 7", "seed = -1", "seed: must be 0 or more, not -1"),
        ("seed = 7", "threads = 0", "threads: must be 1 or more, not 0"),
        ("seed = 7", "threads = {}", "threads: expected a whole number, not a table"),
        ("= 10_000", "= nan", "quickstart.toml:10: budget.max_params: must be a finite number"),
        ("= 10_000", "= [1]", "budget.max_params: expected a number, not [1]"),
        (
            "max_params",
            "max_parms",
            "quickstart.toml:10: budget.max_parms: not a limit; a limit is max_ or min_ and "
            "a metric; did you mean max_params?",
        ),
        (
            "{ min_int8_coverage",
            "{ min_int8_coverag",
            "quickstart.toml:30: steps.3.budget.min_int8_coverag: not a limit",
        ),
        (
            '"synthetic"',
            '"sinthetic"',
            "quickstart.toml:6: dataset.kind: no dataset is called 'sinthetic'; "
            "did you mean synthetic?",
        ),
        (
            'kind = "synthetic"',
            "",
            'quickstart.toml:5: dataset: "kind" is missing; known: synthetic',
        ),
        ('= ["lights", "music"]', "= []", "dataset.keywords: must have at least 1 entries"),
        ('= ["lights", "music"]', '= "a"', 'dataset.keywords: expected a list, [ … ], not "a"'),
        (
            '= ["lights", "music"]',
            '= ["a",\n5]',
            "quickstart.toml:8: dataset.keywords.1: expected text in quotes, not 5",
        ),
        ("keywords =", "folder = 5\nkeywords =", "folder: expected a path in quotes, not 5"),
        (
            "{ temperature = 3.0 }",
            "{ temprature = 3.0 }",
            "quickstart.toml:22: steps.1.loss.temprature: no such key; did you mean temperature?",
        ),
        ("{ temperature = 3.0 }", "{ temperature = 0 }", "temperature: must be more than 0.0"),
        ("{ temperature = 3.0 }", "{ kl_weight = 2 }", "kl_weight: must be 1.0 or less, not 2"),
        ("{ temperature = 3.0 }", "3", "steps.1.loss: expected a table, not 3"),
        ('teachers = ["teacher"]', "", "quickstart.toml:18: steps.1.teachers: is missing"),
        (
            "lr = 3e-3",
            "rl = 3e-3",
            "quickstart.toml:16: steps.0.training.optimizer.rl: no such key; known: kind, lr",
        ),
        (
            '"adamw"',
            '"adam"',
            "steps.0.training.optimizer.kind: no kind is called 'adam'; did you mean adamw?",
        ),
        ('kind = "adamw", ', "", "steps.0.training.optimizer: kind is missing"),
        ("tau = 2", "tua = 2", "steps.0.backbone.tua: no such key; did you mean tau?"),
        ('{ kind = "bcresnet", tau = 2 }', '"x"', 'backbone: expected a table with a "kind"'),
        (
            "[dataset]",
            "[front_end]\nn_mel = 3\n[dataset]",
            "quickstart.toml:6: front_end.n_mel: no such key; did you mean n_mels?",
        ),
        (
            "[dataset]",
            "[front_end]\nwin_length = 1024\n[dataset]",
            "quickstart.toml:6: front_end.win_length: ",
        ),
    ],
)
def test_every_problem_is_told_at_its_line(
    quickstart: Path, old: str, new: str, message: str
) -> None:
    _edit(quickstart, old, new)
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        load(quickstart)
    assert len(caught.value.problems) == 1


def test_all_problems_come_at_once_in_the_order_of_the_file(quickstart: Path) -> None:
    _edit(quickstart, "seed = 7", "sed = 7")
    _edit(quickstart, "max_params", "max_parms")
    _edit(quickstart, 'teachers = ["teacher"]', 'teachers = ["techer"]')
    _edit(quickstart, "channels = 16", "channels = 0")
    with pytest.raises(RecipeError) as caught:
        load(quickstart, ["steps.9.x=1", "front_end.n_mels=none"])
    assert [problem.where for problem in caught.value.problems] == [
        "--set front_end.n_mels=none",
        "--set steps.9.x=1",
        *(f"quickstart.toml:{line}" for line in (3, 10, 20, 26)),
    ]


def test_steps_that_are_missing_or_no_list_are_told(quickstart: Path) -> None:
    text = quickstart.read_text().partition("[[steps]]")[0]
    quickstart.write_text(text)
    with pytest.raises(RecipeError, match=r"quickstart\.toml: steps: is missing"):
        load(quickstart)
    quickstart.write_text(f"steps = 3\n{text}")
    with pytest.raises(RecipeError, match=r"quickstart\.toml:1: steps: expected a list"):
        load(quickstart)
    quickstart.write_text(f"steps = []\n{text}")
    with pytest.raises(RecipeError, match=r"steps: must have at least 1 entries"):
        load(quickstart)


def test_overrides_win_and_are_located(quickstart: Path) -> None:
    loaded = load(
        quickstart,
        [
            "steps.1.loss.temperature=2",
            "steps.to2d.backbone={kind = 'plain', channels = 8}",
            "front_end.n_mels = 32",
            "name=täglich",
            'dataset.keywords=["on", "off"]',
        ],
    )
    recipe: Any = loaded.recipe
    assert recipe.steps[1].loss.temperature == 2
    assert recipe.steps[2].backbone.channels == 8
    assert recipe.front_end.n_mels == 32
    assert recipe.name == "täglich"
    assert recipe.dataset.keywords == ("on", "off")
    assert loaded.where("dataset", "keywords", 1) == '--set dataset.keywords=["on", "off"]'
    assert loaded.where("dataset", "kind") == "quickstart.toml:6"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "--set seed: expected KEY=VALUE, e.g. steps.1.training.epochs=5"),
        ("=1", "--set =1: expected KEY=VALUE"),
        ("a..b=1", "--set a..b=1: expected KEY=VALUE"),
        ("a." * 20 + "b=1", ": tables and lists are nested more than 20 deep"),
        ("a." * 2000 + "b=1", ": tables and lists are nested more than 20 deep"),
        ("steps.0." + "a." * 2000 + "b=ü", ": tables and lists are nested more than 20 deep"),
        ("seed=", "--set seed=: nothing is not a TOML value"),
        ("seed=[1", "--set seed=[1: [1 is not a TOML value"),
        ("seed=x", '--set seed=x: seed: expected a whole number, not "x"'),
        ("sead=1", "--set sead=1: sead: no such key; did you mean seed?"),
        ("seed.x=1", "--set seed.x=1: seed is a value, not a table; it has no x"),
        ("steps.5.x=1", "--set steps.5.x=1: steps has 5 entries, counted from 0"),
        ("steps.distil.x=1", "none of steps is called distil; did you mean distill?"),
        ("steps.to2d.kind=distill", "quickstart.toml:24: steps.2.teachers: is missing"),
        ("extends=x.toml", "extends belongs in the file; it cannot be set here"),
        (
            "steps.1.loss.temperatur=1",
            "steps.1.loss.temperatur: no such key; did you mean temperature?",
        ),
    ],
)
def test_wrong_overrides_are_told(quickstart: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        load(quickstart, [text])


def test_a_name_of_two_steps_is_ambiguous(quickstart: Path) -> None:
    _edit(quickstart, 'kind = "distill"', 'kind = "distill"\nname = "teacher"')
    with pytest.raises(RecipeError, match="more than one of steps is called teacher; use its num"):
        load(quickstart, ["steps.teacher.training.epochs=1"])


def test_extending_merges_tables_and_replaces_lists(quickstart: Path) -> None:
    Path("deeper").mkdir()
    child = Path("deeper/child.toml")
    child.write_text(
        'extends = "../quickstart.toml"\nname = "child"\n[front_end]\nn_mels = 64\n'
        "[dataset]\nclips = 3\n[budget]\nmax_params = 5\n"
        '[[steps]]\nkind = "teacher"\nbackbone = { kind = "plain" }\n'
    )
    loaded = load(child, ["budget.max_macs=7"])
    assert loaded.sources == (child, Path("deeper/../quickstart.toml"))
    assert (loaded.recipe.name, loaded.recipe.seed) == ("child", 7)
    dataset: Any = loaded.recipe.dataset
    assert dataset.keywords == ("lights", "music")
    assert dataset.clips == 3
    assert loaded.recipe.budget == {"max_params": 5, "min_accuracy": 0.95, "max_macs": 7}
    assert [step.kind for step in loaded.recipe.steps] == ["teacher"]
    assert loaded.where("budget", "min_accuracy") == "deeper/../quickstart.toml:11"
    assert loaded.where("budget", "max_params") == "deeper/child.toml:8"
    assert loaded.where("budget", "max_macs") == "--set budget.max_macs=7"
    assert loaded.where("steps", 0, "training") == "deeper/child.toml:9"


def test_an_error_in_an_extended_file_is_told_there(quickstart: Path) -> None:
    _edit(quickstart, "seed = 7", "seed = -7")
    Path("child.toml").write_text('extends = "quickstart.toml"\n')
    with pytest.raises(RecipeError, match=r"quickstart\.toml:3: seed: must be 0 or more"):
        load("child.toml")


def test_a_table_of_another_kind_replaces_that_below(quickstart: Path) -> None:
    Path("child.toml").write_text(
        'extends = "quickstart.toml"\n[dataset]\nkind = "manifest"\nfolder = "x"\n'
    )
    with pytest.raises(RecipeError) as caught:
        load("child.toml")
    assert [str(problem) for problem in caught.value.problems] == [
        "child.toml:3: dataset.kind: no dataset is called 'manifest'; known: synthetic"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('extends = "none.toml"', "a.toml:1: extends: there is no file none.toml; the path is rel"),
        ("extends = 3", "a.toml:1: extends: expected the path of another recipe, in quotes"),
        ('extends = "a.toml"', "a.toml:1: extends: a.toml already extends this recipe"),
        ('extends = "b.toml"', "b.toml:2: extends: a.toml already extends this recipe"),
    ],
)
def test_extending_what_cannot_be_extended(quickstart: Path, line: str, message: str) -> None:
    Path("a.toml").write_text(f"{line}\n")
    Path("b.toml").write_text('seed = 1\nextends = "a.toml"\n')
    with pytest.raises(RecipeError, match=re.escape(message)):
        load("a.toml")


def test_recipes_extend_one_another_so_far(quickstart: Path) -> None:
    _extends_in_a_row(49)
    assert load("0.toml").recipe.name == "quickstart"
    _extends_in_a_row(1500)
    message = "49.toml:1: extends: more than 50 recipes extend one another; merge some of them"
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        load("0.toml")


def _extends_in_a_row(count: int) -> None:
    names = [*(f"{n}.toml" for n in range(1, count)), "quickstart.toml"]
    for n, name in enumerate(names):
        Path(f"{n}.toml").write_text(f'extends = "{name}"\n')


def test_built_in_recipes_are_found_by_name(
    quickstart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgekws").mkdir()
    (tmp_path / "recipes").mkdir()
    quickstart.rename(tmp_path / "recipes" / "quickstart.toml")
    monkeypatch.setattr("edgekws.recipe.load.PACKAGE", tmp_path / "edgekws")
    assert list(builtins()) == ["quickstart"]
    assert load("quickstart").path == tmp_path / "recipes" / "quickstart.toml"
    with pytest.raises(RecipeError, match=r"quikstart: there is no such .*; did you mean quickst"):
        load("quikstart")
    with pytest.raises(RecipeError, match=r"x/y\.toml: there is no .*; built-in recipes: quicksta"):
        load("x/y.toml")
    (tmp_path / "recipes").rename(tmp_path / "edgekws" / "recipes")
    assert load("quickstart").path == tmp_path / "edgekws" / "recipes" / "quickstart.toml"


@pytest.mark.parametrize("header", ["", 'name = "x"\n[budget]\n'])
def test_a_budget_file_holds_limits(tmp_path: Path, header: str) -> None:
    path = tmp_path / "budget.toml"
    path.write_text(f"{header}max_params = 10_000\n")
    assert load_budget(path) == Budget((Limit("params", "max", 10_000),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_parms = 1", r"budget\.toml:1: max_parms: not a limit; .* did you mean max_params\?"),
        ("\nmax_params = true", r"budget\.toml:2: max_params: expected a number"),
        ("[budget]\nmax_params = 'a'", r"budget\.toml:2: max_params: expected a number"),
        ("", r"budget\.toml: holds no limits"),
    ],
)
def test_a_wrong_budget_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "budget.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_budget(path)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("min_accuracy = 95", "95 is always or never met: shares are between 0 and"),
        ("max_size_kib = -1", "-1 is below 0, where no measurement lies"),
    ],
)
def test_limits_that_say_nothing_are_refused(tmp_path: Path, limit: str, message: str) -> None:
    file = tmp_path / "b.toml"
    file.write_text(f"[budget]\n{limit}\n")
    with pytest.raises(RecipeError, match=message):
        load_budget(file)


def test_a_step_that_is_wrong_is_not_said_to_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(
        'schema = 1\nname = "x"\n[dataset]\nkind = "synthetic"\nkeywords = ["a"]\n'
        '[[steps]]\nkind = "teachr"\n'
    )
    with pytest.raises(RecipeError) as caught:
        load(file)
    assert [problem.key for problem in caught.value.problems] == ["steps.0.kind"]


def test_a_sweep_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "front-ends.toml"
    path.write_text('schema = 1\nbase = "quickstart"\n')
    with pytest.raises(RecipeError, match=r"is a sweep, .*; run it with edgekws sweep .*ends"):
        load(path)


def test_the_micro_front_end_is_fixed_but_for_the_window(quickstart: Path, tmp_path: Path) -> None:
    given = ["front_end.kind=microfrontend", "front_end.window_s=1.5"]
    recipe = load(quickstart, given).recipe
    expected = FrontEnd(kind=MICROFRONTEND, window_s=1.5, **MICRO_PARAMETERS)
    assert recipe.front_end.front_end() == expected
    (tmp_path / "lock.toml").write_text(lock(recipe), encoding="utf-8")
    assert load(tmp_path / "lock.toml").recipe.front_end == recipe.front_end
    message = r"front_end\.n_mels: the micro front end has 40, not 64; use n_mels = 40"
    with pytest.raises(RecipeError, match=message):
        load(quickstart, [*given, "front_end.n_mels=64"])
