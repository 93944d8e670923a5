"""Rungs, finalists, interruptions and failures, with a crew that pretends to train."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekws.core.events import Event, quiet
from edgekws.errors import DataError, MachineError, MissingPartError, UsageError
from edgekws.recipe.load import load
from edgekws.search import storage as storage_module
from edgekws.search.best import write_best
from edgekws.search.load import LoadedSweep
from edgekws.search.plan import plan
from edgekws.search.results import Results
from edgekws.search.run import sweep
from edgekws.search.storage import Storage, file_url

Write = Callable[..., LoadedSweep]
Run = Callable[..., tuple[Results, Any]]
PRUNING = "\n[pruning]\nrungs = [1, 2]\nkeep = 0.5\n"
FINALISTS = "\n[finalists]\ncount = 2\nseeds = [1, 2, 3]\n"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(pretender: Any) -> Run:
    """Run a sweep with a crew that pretends; return what came out, and the crew."""

    def go(loaded: LoadedSweep, runs: Path, **crew: Any) -> tuple[Results, Any]:
        built: list[Any] = []

        def make(size: int, *places: Path) -> Any:
            built.append(pretender(size, *places, **crew))
            return built[0]

        return sweep(loaded, runs=runs, workers=3, emit=quiet, make_crew=make), built[0]

    return go


def finished(loaded: LoadedSweep, runs: Path) -> dict[str, Any]:
    """Return everything that the storage holds of finished trials."""
    study = Storage(file_url(runs / "sweeps" / loaded.sweep.name), loaded.sweep.name).study
    trials = [t for t in study.trials if t.state.is_finished()]
    result = {t.user_attrs["key"]: (t.state, t.value, t.intermediate_values) for t in trials}
    assert len(result) == len(trials)  # nothing was counted twice
    return result


def ranking(found: Results) -> list[Any]:
    return [(one.id, one.state, one.value, one.ci95, one.tied) for one in found.standings]


def test_the_best_half_goes_on_at_each_rung(write: Write, run: Run, tmp_path: Path) -> None:
    loaded = write(("200, 400]", "200]"), more=PRUNING + FINALISTS)
    result, crew = run(loaded, tmp_path)
    assert (result.valid, result.invalid) == (6, 2)
    trained = [epochs for _, epochs in crew.done]
    assert [trained.count(epochs) for epochs in (1, 2, None)] == [6, 3, 2 + 4]
    states = [one.state for one in result.standings]
    assert states == ["final", "final", "pruned", "pruned", "pruned", "pruned"]
    assert all(one.params["front_end.n_mels"] == 16 for one in result.standings[:2])
    assert [one.epochs for one in result.standings] == [4, 4, 2, 1, 1, 1]
    assert result.standings[0].seeds == (1, 2, 3)
    mels, hop = result.importance["front_end.n_mels"], result.importance["front_end.hop_length"]
    assert mels > 0.9 > hop
    best = [row for row in result.marginals if row["axis"] == "front_end.n_mels"]
    assert [row["value"] for row in sorted(best, key=lambda row: -row["mean"])] == [16, 12, 8]


def test_the_base_is_trained_beside_the_finalists(write: Write, run: Run, tmp_path: Path) -> None:
    base = ("front_end.n_mels=8", "front_end.hop_length=200")
    loaded = write(("200, 400]", "200]"), more=PRUNING + FINALISTS + "base = true\n")
    loaded = replace(loaded, overrides=base)
    result, crew = run(loaded, tmp_path)
    assert [epochs for _, epochs in crew.done].count(None) == 2 + 4 + 3
    states = [(one.state, one.base) for one in result.standings]
    assert states[:3] == [("final", False), ("final", False), ("final", True)]
    assert [one.state for one in result.standings if one.base] == ["final"]
    assert result.standings[2].params == {"front_end.n_mels": 8, "front_end.hop_length": 200}
    assert result.standings[2].behind is not None


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    write: Write, run: Run, tmp_path: Path
) -> None:
    loaded = write(more=PRUNING + FINALISTS)
    whole, crew = run(loaded, tmp_path / "whole")
    total = 0
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(loaded, tmp_path / "stopped", stops_after=4)
        total += 4
    resumed, rest = run(loaded, tmp_path / "stopped")
    assert len(rest.done) == len(crew.done) - total > 0
    assert finished(loaded, tmp_path / "stopped") == finished(loaded, tmp_path / "whole")
    assert ranking(resumed) == ranking(whole)
    again, idle = run(loaded, tmp_path / "stopped")
    assert idle.done == []
    assert ranking(again) == ranking(whole)


def test_a_sweep_may_get_more_values(write: Write, run: Run, tmp_path: Path) -> None:
    fewer = run(write(("12, 16, 300", "300")), tmp_path)[1]
    result, crew = run(write(), tmp_path)
    assert (len(fewer.done), len(crew.done)) == (2, 4), "what was done is not done again"
    assert ranking(result) == ranking(run(write(), tmp_path / "whole")[0])


def test_what_fails_is_listed_and_tried_again(write: Write, run: Run, tmp_path: Path) -> None:
    loaded = write(more=PRUNING)
    result, _ = run(loaded, tmp_path, fails=(12,))
    assert [one["error"] for one in result.failures] == ["it broke"] * 2
    assert [one.state for one in result.standings].count("failed") == 2
    again, crew = run(loaded, tmp_path)
    assert again.failures == []
    assert {epochs for _, epochs in crew.done} >= {1}


def test_a_sweep_of_which_everything_fails_is_an_error(
    write: Write, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="all 6 trials failed; the first: it broke"):
        run(write(), tmp_path, fails=(8, 12, 16))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_what_is_drawn_depends_on_results_alone(
    write: Write, run: Run, tmp_path: Path, sampler: str
) -> None:
    head = f'sampler = "{sampler}"\ntrials = 9\nbatch = 3\n[parameters]'
    loaded = write(
        ("[parameters]", head),
        ("[8, 12, 16, 300]", "{ low = 8, high = 90 }"),
        ("[160, 200, 400]", "[100, 150, 200]"),
    )
    whole, crew = run(loaded, tmp_path / "whole")
    assert len(crew.done) == len(whole.standings) == 9
    with pytest.raises(KeyboardInterrupt):
        run(loaded, tmp_path / "stopped", stops_after=5)
    resumed, rest = run(loaded, tmp_path / "stopped")
    assert len(rest.done) == 4
    assert ranking(resumed) == ranking(whole)
    assert resumed.invalid == whole.invalid


def test_drawing_ends_where_nothing_new_is_left(write: Write, run: Run, tmp_path: Path) -> None:
    loaded = write(("[parameters]", 'sampler = "random"\ntrials = 50\n[parameters]'))
    result, _ = run(loaded, tmp_path)
    assert (result.valid, result.invalid) == (6, 6)


def test_another_driver_is_left_alone_and_taken_over_when_it_is_gone(
    write: Write, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = write()
    with pytest.raises(KeyboardInterrupt):
        run(loaded, tmp_path, stops_after=0)
    store = Storage(file_url(tmp_path / "sweeps" / loaded.sweep.name), loaded.sweep.name)
    row = next(iter(store.rows.values()))
    for age, mine in ((0.0, False), (storage_module.FRESH_S + 1, True)):
        row.claim = {"host": "elsewhere", "pid": 1, "at": time.time() - age}
        assert store.claim(row.key) == mine


def test_the_best_is_a_recipe(write: Write, run: Run, tmp_path: Path) -> None:
    loaded = write(more="\n[set]\nsteps.teacher.training.epochs = 3\n")
    result, _ = run(loaded, tmp_path)
    folder = tmp_path / "sweeps" / loaded.sweep.name
    result.save(folder)
    write_best(folder, tmp_path / "best.toml")
    recipe: Any = load(tmp_path / "best.toml").recipe
    assert recipe.front_end.n_mels == 16
    assert recipe.steps[0].training.epochs == 4  # as in the base: [set] is not in it
    rows = (folder / "ranking.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("rank,front_end.n_mels,front_end.hop_length,state")
    assert len(rows) == 7


def test_best_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"results\.json is not there; name a folder that sweep"):
        write_best(tmp_path, tmp_path / "best.toml")
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(DataError, match=r"is not JSON; run the sweep again"):
        write_best(tmp_path, tmp_path / "best.toml")
    (tmp_path / "results.json").write_text("[1]")
    with pytest.raises(DataError, match="is not the result of a sweep"):
        write_best(tmp_path, tmp_path / "best.toml")
    (tmp_path / "results.json").write_text('{"best": null, "objective": "a", "name": "b"}')
    with pytest.raises(DataError, match="no trial was completed"):
        write_best(tmp_path, tmp_path / "best.toml")


def test_the_plan_counts_without_training(write: Write, run: Run, tmp_path: Path) -> None:
    loaded = write(more=PRUNING + FINALISTS)
    reported = plan(loaded, tmp_path, 2, None, quiet)
    assert (reported.valid, reported.invalid, reported.trials) == (6, 6, 6 + 2 * 3)
    assert reported.epochs == 6 * 1 + 3 * 1 + 2 * 2 + 2 * 3 * 4
    assert reported.estimated_s is None
    assert "in no valid combination: front_end.n_mels=300" in reported.notes[0]
    run(loaded, tmp_path)
    assert (plan(loaded, tmp_path, 2, None, quiet).estimated_s or 0) > 0


def test_where_it_cannot_write_is_told(write: Write, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"cannot be written .*name another --runs"):
        run(write(), tmp_path / "file")


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("no url", UsageError, "not the URL of a database"),
        ("xyz://host/name", UsageError, "not the URL of a database"),
        ("sqlite:////no/such/folder/a.db", MissingPartError, "cannot be used"),
    ],
)
def test_a_storage_that_is_none_is_told(url: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Storage(url, "name")


def test_progress_ends_where_it_said_it_would(write: Write, tmp_path: Path, pretender: Any) -> None:
    events: list[Event] = []
    loaded = write(more=PRUNING + FINALISTS)
    sweep(loaded, runs=tmp_path, workers=2, emit=events.append, make_crew=pretender)
    reported = [e for e in events if e.kind == "progress" and e.text == "epochs of the sweep"]
    assert reported[-1].done == reported[-1].total == 6 + 3 + 2 * 2 + 2 * 2 * 4  # one seed is there
    assert any("best so far" in e.text for e in events)


def test_the_best_is_first_however_long_it_was_trained(
    write: Write, run: Run, tmp_path: Path
) -> None:
    epochs = "front_end.n_mels = [8, 16]\nsteps.teacher.training.epochs = [2, 4]\n"
    loaded = write(
        ("front_end.n_mels = [8, 12, 16, 300]\nfront_end.hop_length = [160, 200, 400]\n", epochs)
    )
    result, _ = run(loaded, tmp_path)
    values = [one.value for one in result.standings if one.value is not None]
    assert len(values) == len(result.standings)
    assert values == sorted(values, reverse=True)
    assert [one.params["front_end.n_mels"] for one in result.standings] == [16, 16, 8, 8]
    assert {one.epochs for one in result.standings[:2]} == {2, 4}
