"""What a plan does without the machine that it would measure on."""

from pathlib import Path

import pytest

from edgekws.engine.plan import plan
from edgekws.recipe.load import load
from tests.loopback_sshd import free_port


def test_an_unreachable_target_costs_the_latencies_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small.toml"
    file.write_text(f"""
schema = 1
name = "small"
dataset = {{ kind = "synthetic", keywords = ["yes", "no"] }}
target = {{ kind = "ssh", host = "127.0.0.1", port = {free_port()} }}
budget = {{ max_params = 1, max_latency_p50_us = 100 }}
[[steps]]
kind = "teacher"
backbone = {{ kind = "inverted_bottleneck" }}
""")
    told = plan(load(file), lambda event: None)
    (row,) = told.rows
    assert row.params > 1
    assert row.latency_p50_us is None
    assert [verdict.limit.metric for verdict in told.verdicts] == ["params"]
    why, broken, later = told.notes[-3:]
    assert why.startswith("latency is not estimated: 127.0.0.1 cannot be reached: nothing listens")
    assert "max_params" in broken
    assert "max_latency_p50_us" in later
