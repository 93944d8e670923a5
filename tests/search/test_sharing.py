"""Two drivers on one storage, move by move; and what a sweep tells of factors and epochs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekws.cli.search_tables import result_tables
from edgekws.core.events import quiet
from edgekws.errors import MachineError, RecipeError
from edgekws.report.sweep_page import write_page
from edgekws.search.load import LoadedSweep, load_sweep
from edgekws.search.plan import plan
from edgekws.search.run import sweep
from edgekws.search.size import shared_epochs, total_epochs
from edgekws.search.space import axes, combinations
from edgekws.search.storage import Storage, file_url
from edgekws.search.trial import TrialFactory, UnitResult

Write = Callable[..., LoadedSweep]
FACTOR = (
    '\n[[factors]]\nname = "mels"\n[factors.levels]\n'
    "few = { front_end.n_mels = 8 }\nmany = { front_end.n_mels = 16 }\n"
)
NO_PARAMETERS = (
    "[parameters]\nfront_end.n_mels = [8, 12, 16, 300]\nfront_end.hop_length = [160, 200, 400]\n",
    'seeds = [1, 2, 3]\nevaluate_on = "test"\n',
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def two(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Storage, Storage, Any]:
    """Two drivers, of which the second takes the first for another one, and a trial."""
    loaded = write()
    result = axes(loaded)
    trial = TrialFactory(loaded, result).trial(next(iter(combinations(result))), 1)
    stores = [Storage(file_url(tmp_path), "s") for _ in range(2)]
    monkeypatch.setattr("edgekws.search.storage._runs", lambda _: True)
    numbers = iter(range(1, 1000))
    monkeypatch.setattr("edgekws.search.storage.os.getpid", lambda: next(numbers))
    return stores[0], stores[1], trial


def test_a_trial_is_claimed_by_one_even_from_what_was_read_before(two: Any) -> None:
    first, second, trial = two
    first.add([trial])
    second.refresh()
    assert first.claim(trial.key)
    assert not second.claim(trial.key)
    first.record(UnitResult(trial.key, ((1, 0.5),), None, None, 1.0, 100.0))
    second.rows[trial.key].claim = None  # as it was before any of this
    assert second.claim(trial.key)
    assert second.rows[trial.key].reached(1)  # so that it is not trained again


def test_a_claim_that_another_has_changed_is_not_won(two: Any) -> None:
    first, second, trial = two
    first.add([trial])
    second.refresh()
    row = second.rows[trial.key]
    mine, theirs = {"host": "a", "pid": 1, "at": 0.5}, {"host": "b", "pid": 2, "at": 0.25}
    assert first.claims.swap(row.number, None, mine)
    assert not second.claims.swap(row.number, None, theirs)
    assert not second.claims.swap(row.number, {}, theirs)
    assert second.claims.swap(row.number, mine, theirs)


def test_a_trial_that_two_begin_has_one_row(two: Any) -> None:
    first, second, trial = two
    assert trial.key not in second.rows
    first.add([trial])
    second.add([trial])  # it has not read what the first wrote
    assert first.rows[trial.key].number == second.rows[trial.key].number
    first.record(UnitResult(trial.key, ((1, 0.5),), None, None, 1.0, 100.0))
    first.close(trial.key, "pruned", 0.5)
    second.refresh()
    assert second.rows[trial.key].state == "pruned"
    assert len(second.study.trials) == 2


def test_what_is_ended_by_another_is_not_written_again(two: Any) -> None:
    first, second, trial = two
    first.add([trial])
    second.refresh()
    first.close(trial.key, "failed")
    second.record(UnitResult(trial.key, ((1, 0.5),), None, None, 1.0, 100.0))
    assert second.rows[trial.key].state == "failed"
    second.renew([trial.key])
    assert not second.claim(trial.key)


def test_a_database_that_breaks_meanwhile_is_told(
    write: Write, tmp_path: Path, pretender: Any
) -> None:
    def make(size: int, *places: Path) -> Any:
        crew = pretender(size, *places)
        crew.close = lambda: None
        done = crew.wait

        def wait(timeout_s: float) -> Any:
            study = tmp_path / "sweeps" / "пробный" / "study.db"
            study.write_bytes(b"no database any more" * 1000)
            return done(timeout_s)

        crew.wait = wait
        return crew

    with pytest.raises(
        MachineError, match=r"study\.db: failed \(.*the same command resumes from here"
    ):
        sweep(write(), runs=tmp_path, workers=1, emit=quiet, make_crew=make)


def test_the_means_of_an_ablation_are_told_by_seed(
    write: Write, tmp_path: Path, pretender: Any
) -> None:
    loaded = write(NO_PARAMETERS, more=FACTOR)
    result = sweep(loaded, runs=tmp_path, workers=1, emit=quiet, make_crew=pretender)
    assert [cell["params"] for cell in result.cells] == [{"mels": "few"}, {"mels": "many"}]
    for cell in result.cells:
        assert cell["split"] == "test"
        assert set(cell["by_seed"]) == {1, 2, 3}
        assert cell["mean"] == pytest.approx(sum(cell["by_seed"].values()) / 3)
        assert cell["ci95"][0] < cell["mean"] < cell["ci95"][1]
    gap = result.cells[1]["mean"] - result.cells[0]["mean"]
    assert result.effects[0]["value"] == pytest.approx(gap)
    assert result.to_dict()["cells"] == result.cells
    tables, _ = result_tables(result)
    title, head, rows = next(table for table in tables if "on test" in table[0])
    assert (title, len(head), len(rows)) == ("accuracy on test, mean over seeds", 3, 2)
    write_page(result, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<h3>Means on test</h3>" in page
    assert f"{100 * result.cells[1]['mean']:.1f} %" in page


def test_where_the_worst_are_given_up_no_effect_is_told(
    write: Write, tmp_path: Path, pretender: Any
) -> None:
    pruning = "\n[pruning]\nrungs = [1]\nkeep = 0.5\n"
    loaded = write((NO_PARAMETERS[0], ""), more=FACTOR + pruning)
    result = sweep(loaded, runs=tmp_path, workers=1, emit=quiet, make_crew=pretender)
    assert (result.effects, result.cells) == ([], [])
    assert any(note.startswith("no effects of factors") for note in result.notes)


SIMPLIFIED = (
    'schema = 1\nname = "s"\nbase = "arabic-5"\nuntil = "{until}"\nseeds = [1, 2]\n'
    "[set]\nsteps.teacher.training.epochs = 5\nsteps.distill.training.epochs = 7\n"
    "[parameters]\n{key}\n"
)


@pytest.mark.parametrize("until", ["distill", "to2d", "simplify"])
def test_epochs_are_those_of_the_last_step_that_trains(tmp_path: Path, until: str) -> None:
    file = tmp_path / "s.toml"
    key = "steps.distill.loss.temperature = [1.0, 2.0, 3.0]"
    file.write_text(SIMPLIFIED.format(until=until, key=key), encoding="utf-8")
    loaded = load_sweep(file)
    trials = TrialFactory(loaded, axes(loaded))
    assert loaded.seeded_step == "distill"
    assert total_epochs(trials, 3) == 3 * 2 * 7
    params = list(combinations(trials.axes))
    assert shared_epochs(trials, params) == 5  # one teacher for all
    reported = plan(loaded, tmp_path, 1, None, quiet)
    assert (reported.epochs, reported.shared_epochs) == (42, 5)


def test_each_front_end_needs_a_teacher_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    key = "front_end.n_mels = [20, 40]\nsteps.distill.loss.temperature = [1.0, 2.0]"
    file.write_text(SIMPLIFIED.format(until="distill", key=key), encoding="utf-8")
    loaded = load_sweep(file)
    trials = TrialFactory(loaded, axes(loaded))
    assert shared_epochs(trials, combinations(trials.axes)) == 2 * 5


def test_a_step_that_does_not_train_has_nothing_to_give_up_at(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    text = SIMPLIFIED.format(until="to2d", key="front_end.n_mels = [20, 40]")
    file.write_text(text + "[pruning]\nrungs = [2]\n", encoding="utf-8")
    with pytest.raises(RecipeError, match='"to2d" has no epochs to prune at'):
        load_sweep(file)
