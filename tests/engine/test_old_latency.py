"""A latency that was measured before says so, and can be measured again."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest

from edgekws.core.events import Event
from edgekws.core.latency_run import Files, LatencyRun, ModelLatency
from edgekws.core.measurement import Budget, Limit
from edgekws.core.report import Result
from edgekws.engine.baseline import conditions
from edgekws.evaluation import check as engine
from edgekws.targets import host

LIMITS = Budget((Limit("latency_p90_us", "max", 30), Limit("total_latency_p50_us", "max", 99)))


class Target(host.Target):
    """Every time that it measures takes a µs more."""

    kind: Literal["host"] = "host"
    asked: ClassVar[list[Mapping[str, Files]]] = []

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        self.asked.append(models)
        us = 20.0 + len(self.asked)
        one = ModelLatency(us, us, us, (us, us), (us, us), (us, us), 100, 1.0, (1.0, 1.0), 90, 7)
        return LatencyRun(dict.fromkeys(models, one), control, True, 1.0, (1.0, 1.0), 1, {})


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    built = Target()
    built.asked.clear()
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine, "TARGET", SimpleNamespace(validate_python=lambda table: built))
    return built


def test_an_old_latency_says_from_when_and_can_be_made_anew(target: Target, bundle: Path) -> None:
    said: list[Event] = []

    def checked(**how: Any) -> tuple[list[float], list[str]]:
        said.clear()
        result, _ = engine.check(bundle, LIMITS, said.append, **how)
        values = {m.metric: m.value for m in result}
        assert "latency_ratio" not in values  # alone, a model has no control
        figures = [values["latency_p90_us"], values["total_latency_p50_us"]]
        notes = [event.text for event in said if event.text != "measuring latency"]
        return figures, [text for text in notes if "latency" in text]

    waited = [
        f"{what}: 7 of 90 blocks of runs left out, spent waiting for a CPU"
        for what in ("latency", "latency with front end")
    ]
    assert checked() == ([21, 22], waited)
    figures, reported = checked()
    assert figures == [21, 22]
    assert [line for line in reported if line not in waited] == [
        f"{what}: measured {date}, from the cache; --fresh measures again"
        for what, date in zip(("latency", "latency with front end"), _dates(reported), strict=True)
    ]
    assert checked(fresh=True) == ([23, 24], waited)
    assert checked()[0] == [23, 24]


def _dates(told: list[str]) -> list[str]:
    result = [line.split("measured ")[1].split(",")[0] for line in told if "measured" in line]
    assert all(date.startswith("20") and ":" in date for date in result)
    return result


def test_a_report_says_which_latencies_are_old_and_what_waited() -> None:
    reported = {"measured_at": "2026-01-31 12:00", "blocks": 1000}
    details = (
        reported | {"left_out_waiting": 0},
        reported | {"left_out_waiting": 12, "measured_at": "2026-01-30 09:00"},
        reported | {"left_out_waiting": 7, "measured_at": "2026-02-01 12:00"},
    )
    results = [
        Result(n, n, "", (), details={"latency": d}) for n, d in zip("abc", details, strict=True)
    ]
    assert conditions(results, "2026-02-01 12:00") == [
        "latency from the cache, measured 2026-01-30 09:00 to 2026-01-31 12:00: a, b",
        "latency leaves out blocks of runs spent waiting for a CPU: b 12 of 1,000, c 7 of 1,000",
    ]
