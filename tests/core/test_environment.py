"""Tests for environment variables that hold for a while."""

import os

import pytest

from edgekws.core.environment import environ_set


def failing(values: dict[str, str]) -> None:
    with environ_set(values):
        assert {name: os.environ[name] for name in values} == values
        del os.environ["EDGEKWS_TEST_UNSET"]
        raise ZeroDivisionError


def test_variables_are_what_they_were_after_an_error_and_a_removal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGEKWS_TEST_SET", "before")
    monkeypatch.delenv("EDGEKWS_TEST_UNSET", raising=False)
    with pytest.raises(ZeroDivisionError):
        failing({"EDGEKWS_TEST_SET": "meanwhile", "EDGEKWS_TEST_UNSET": "meanwhile"})
    assert os.environ["EDGEKWS_TEST_SET"] == "before"
    assert "EDGEKWS_TEST_UNSET" not in os.environ
