"""What a machine decides about a recipe is written into its lock, and holds on any other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekws.core.events import quiet
from edgekws.engine import chain
from edgekws.engine.chain import resolved
from edgekws.engine.run import compress
from edgekws.errors import DataError
from edgekws.recipe.load import load
from edgekws.recipe.lock import lock
from edgekws.recipe.model import Recipe
from edgekws.runtime import latency
from edgekws.targets.host import Target

RECIPES = sorted(
    path
    for path in (Path(__file__).parents[2] / "recipes").glob("*.toml")
    if "[[steps]]" in path.read_text(encoding="utf-8")
)
VNNI, AVX2 = ["avx2", "avx512_vnni"], ["avx2"]

Machine = Callable[[int, str, list[str]], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return what makes this machine another: cores, device, instruction set."""

    def become(cores: int, device: str, isa: list[str]) -> None:
        reported = {"machine": "x86_64", "isa": isa}
        monkeypatch.setattr(chain, "core_count", lambda: cores)
        monkeypatch.setattr(chain, "device_kind", lambda: device)
        monkeypatch.setattr(Target, "fingerprint", lambda self: reported)
        monkeypatch.setattr(latency, "fingerprint", lambda threads: reported)

    return become


def reloaded(recipe: Recipe, folder: Path) -> Recipe:
    path = folder / "recipe.lock.toml"
    path.write_text(lock(recipe), encoding="utf-8")
    return load(path).recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("here", [(2, "cpu", AVX2), (64, "cuda", VNNI)])
def test_a_lock_resolves_to_the_same_elsewhere(
    path: Path, here: tuple[int, str, list[str]], machine: Machine, tmp_path: Path
) -> None:
    machine(*here)
    first = resolved(load(path).recipe)
    assert (first.threads, first.device) == here[:2]
    locked = reloaded(first, tmp_path)
    assert locked == first
    machine(5, "cuda" if here[1] == "cpu" else "cpu", VNNI if here[2] is AVX2 else AVX2)
    assert resolved(locked) == first
    assert resolved(load(path).recipe) != first


def test_the_instruction_set_is_in_the_lock(machine: Machine) -> None:
    quickstart = load(next(path for path in RECIPES if path.stem == "quickstart")).recipe
    machine(2, "cpu", AVX2)
    assert "saturates = true" in lock(resolved(quickstart))
    machine(2, "cpu", VNNI)
    assert "saturates = false" in lock(resolved(quickstart))


def test_where_sums_saturate_here_weights_are_narrow_for_any_target(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracy is measured here: with 8-bit weights it would not be that of the target."""
    quickstart = load(next(path for path in RECIPES if path.stem == "quickstart")).recipe
    machine(2, "cpu", AVX2)
    monkeypatch.setattr(Target, "fingerprint", lambda self: {"machine": "aarch64", "isa": []})
    assert "saturates = true" in lock(resolved(quickstart))


def test_what_a_recipe_names_stays(machine: Machine) -> None:
    machine(64, "cuda", AVX2)
    names = ["threads=3", 'device="cpu"', "steps.quantize.saturates=false"]
    quickstart = next(path for path in RECIPES if path.stem == "quickstart")
    recipe = load(quickstart, names).recipe
    given = resolved(recipe)
    assert (given.threads, given.device) == (3, "cpu")
    quantize: Any = next(step for step in given.steps if step.kind == "quantize")
    assert quantize.saturates is False


def test_a_run_writes_what_was_resolved(tones: Path, machine: Machine, tmp_path: Path) -> None:
    machine(11, "cpu", AVX2)
    loaded = load(tones, ["dataset.path=missing.csv"])
    with pytest.raises(DataError):
        compress(loaded, runs=tmp_path / "runs", dist=tmp_path / "dist", emit=quiet)
    (text,) = (p.read_text("utf-8") for p in tmp_path.rglob("recipe.lock.toml"))
    assert '\nthreads = 11\ndevice = "cpu"\n' in text
