"""A locked recipe loads back to the same recipe, with nothing left to a default."""

import tomllib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekws.core.paths import path_problem
from edgekws.recipe.load import load
from edgekws.recipe.lock import lock
from edgekws.recipe.model import Recipe

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PATHS = TEXT.filter(lambda text: path_problem(text) is None)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
TABLES = st.fixed_dictionaries(
    {
        "schema": st.just(1),
        "name": st.sampled_from(["a", "arabic-5", "رئيسي", "1.5"]),
        "seed": st.integers(0, 2**32 - 1),
        "dataset": st.fixed_dictionaries(
            {
                "kind": st.just("synthetic"),
                "keywords": st.lists(TEXT, min_size=1),
                "folder": st.none() | PATHS,
            }
        ),
        "front_end": st.fixed_dictionaries({"n_mels": st.integers(8, 40)}),
        "budget": st.dictionaries(st.sampled_from(["max_params", "min_accuracy"]), st.floats(0, 1)),
        "steps": st.lists(
            st.fixed_dictionaries(
                {
                    "kind": st.just("distill"),
                    "name": TEXT,
                    "teachers": st.lists(TEXT, min_size=1, max_size=3),
                    "backbone": st.fixed_dictionaries(
                        {"kind": st.just("bcresnet"), "tau": POSITIVE}
                    ),
                }
            ),
            min_size=1,
            max_size=3,
        ),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TABLES)
def test_any_recipe_survives_being_written_down(table: dict[str, object]) -> None:
    recipe = Recipe.model_validate(table)
    again = Recipe.model_validate(tomllib.loads(lock(recipe)))
    assert again == recipe
    assert lock(again) == lock(recipe)


def test_the_lock_is_a_recipe_with_all_defaults(quickstart: Path, tmp_path: Path) -> None:
    recipe = load(quickstart, ["threads=2", "steps.distill.name=student"]).recipe
    path = tmp_path / "lock.toml"
    path.write_text(lock(recipe), encoding="utf-8")
    assert load(path).recipe == recipe
    text = path.read_text(encoding="utf-8")
    assert text.startswith('schema = 1\nname = "quickstart"\nseed = 7\nthreads = 2\n\n[dataset]\n')
    assert "hop_length = 160" in text
    assert 'name = "student"' in text
    assert 'optimizer = { kind = "adamw", lr = 0.003 }' in text


def test_fields_without_effect_are_not_written_down(quickstart: Path, tmp_path: Path) -> None:
    text = quickstart.read_text()
    exact = text.replace(
        'backbone = { kind = "plain", channels = 16 }', "budget = { max_macs = 9 }"
    )
    assert exact != text
    quickstart.write_text(exact)
    recipe = load(quickstart).recipe
    path = tmp_path / "lock.toml"
    path.write_text(lock(recipe), encoding="utf-8")
    assert load(path).recipe == recipe
    assert '[[steps]]\nkind = "to2d"\nname = "to2d"\nbudget = { max_macs = 9.0 }\n' in lock(recipe)
