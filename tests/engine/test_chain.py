"""Keys: a step is run again when something it can read has changed, and only then."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.events import quiet
from edgekws.core.protocols import STEP
from edgekws.core.source_code import closure
from edgekws.engine import chain
from edgekws.engine.chain import RunContext, step_key
from edgekws.runtime.front_end import FrontEnd
from edgekws.targets.host import Target as Host

CONTRACT = Contract(
    FrontEnd(), Normalization((0.0,) * 40, (1.0,) * 40), ("a", "b"), (40, 97), {"kind": "plain"}
)


def step(**fields: Any) -> Any:
    table = {"kind": "distill", "teachers": ["teacher"], "backbone": {"kind": "plain"}}
    return STEP.validate_python({**table, **fields})


def context(**changed: Any) -> Any:
    shared: dict[str, Any] = {
        "seed": 1,
        "threads": 2,
        "device": "cpu",
        "cache": Path(),
        "emit": quiet,
    }
    shared |= {"target": Host()}
    source: Any = SimpleNamespace(key="data")
    return RunContext(source, **{**shared, **changed})


def teacher(sha256: str) -> dict[str, Artifact]:
    return {"teacher": Artifact("checkpoint", Path("x"), sha256, CONTRACT)}


KEY = step_key(step(), teacher("0"), context())


def test_name_and_budget_change_nothing() -> None:
    named = step(name="student", budget={"max_params": 10})
    assert step_key(named, teacher("0"), context()) == KEY


def test_a_seed_of_its_own_goes_before_the_recipes() -> None:
    assert step_key(step(seed=2), teacher("0"), context()) != KEY
    assert step_key(step(seed=1), teacher("0"), context(seed=5)) == KEY


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": {"temperature": 2.0}},
        {"training": {"epochs": 31}},
        {"backbone": {"kind": "plain", "variant": "tinycnn"}},
    ],
)
def test_a_field_changes_the_key(changed: dict[str, Any]) -> None:
    assert step_key(step(**changed), teacher("0"), context()) != KEY


@pytest.mark.parametrize("changed", [{"seed": 2}, {"threads": 1}, {"device": "cuda"}])
def test_what_the_step_runs_on_changes_the_key(changed: dict[str, Any]) -> None:
    assert step_key(step(), teacher("0"), context(**changed)) != KEY


def test_inputs_change_the_key_by_content_and_not_by_place() -> None:
    assert step_key(step(), teacher("1"), context()) != KEY
    moved = {"teacher": Artifact("checkpoint", Path("elsewhere"), "0", CONTRACT)}
    assert step_key(step(), moved, context()) == KEY


def test_data_and_versions_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    other = context()
    other.source.key = "other data"
    assert step_key(step(), teacher("0"), other) != KEY
    monkeypatch.setattr(chain, "library_versions", lambda: {"torch": "0"})
    assert step_key(step(), teacher("0"), context()) != KEY


def test_what_the_target_decides_is_in_the_key_and_nothing_else_of_it() -> None:
    quantize = STEP.validate_python({"kind": "quantize", "backend": {"kind": "onnxruntime"}})
    old, new, arm = (
        step_key(quantize.resolved(frozenset(isa)), teacher("0"), context())
        for isa in (("x86_64", "avx2"), ("x86_64", "avx2", "avx_vnni"), ("aarch64", "asimd"))
    )
    assert old != new == arm


def test_a_choice_by_latency_is_keyed_on_the_host_and_no_other_result_is() -> None:
    class Elsewhere(Host):
        def fingerprint(self) -> dict[str, Any]:
            return super().fingerprint() | {"cpu": "another"}

    given = teacher("0") | {"input": teacher("1")["teacher"]}
    tune = STEP.validate_python({"kind": "tune", "fp32": "teacher"})
    here, again, there, slower = (
        step_key(tune, given, context(**changed))
        for changed in (
            {},
            {},
            {"target": Elsewhere()},
            {"target": Host(threads=2)},
        )
    )
    assert here == again
    assert len({here, there, slower}) == 3
    assert step_key(step(), teacher("0"), context(target=Elsewhere())) == KEY


def test_only_a_step_that_is_keyed_on_the_target_may_measure_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []

    class StopHereError(Exception):
        pass

    def note(self: Any, inputs: Any, job: Any) -> None:
        jobs.append(job)
        raise StopHereError

    for kind, fields in (("tune", {"fp32": "teacher"}), ("simplify", {})):
        one = STEP.validate_python({"kind": kind, **fields})
        monkeypatch.setattr(type(one), "run", note)
        shared = context(cache=tmp_path / "cache")
        shared.source.features = shared.source.audio = None
        with pytest.raises(StopHereError):
            chain.run_step(one, teacher("0"), shared)
    assert [job.measure is None for job in jobs] == [False, True]


def test_the_source_of_what_runs_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def edited(modules: Any) -> dict[str, str]:
        return closure(modules) | {"edgekws.training.fit": "edited"}

    assert "edgekws.training.fit" in closure({"edgekws.steps.distill"})
    monkeypatch.setattr(chain, "closure", edited)
    assert step_key(step(), teacher("0"), context()) != KEY


def test_the_files_that_a_step_reads_change_the_key(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")
    student = step(unlabelled=[tmp_path])
    key = step_key(student, teacher("0"), context())
    assert key == step_key(student, teacher("0"), context()) != KEY
    (tmp_path / "b.wav").write_bytes(b"b")
    assert step_key(student, teacher("0"), context()) != key


def test_a_teacher_on_audio_has_no_backbone() -> None:
    contract = replace(CONTRACT, architecture={"kind": "embedding_teacher", "sample_rate": 16_000})
    given = Artifact("audio_teacher", Path("x"), "0", contract)
    assert chain.network_modules(given) == set()
    assert chain.network_modules(teacher("0")["teacher"]) == {"edgekws.backbones.plain"}
