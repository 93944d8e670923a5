"""What tests leave out on this machine: said at the end, and with --forbid-skips an error.

A machine without a browser, ssh or a database can run the tests all the same. Where everything was
installed so that nothing is left out, `pytest --forbid-skips` fails on every skip but those below.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

ALLOWED = {
    r"this machine has (a|no) CUDA device": "one of two tests is for the other kind of machine",
    r"cannot be made without": "a target that needs the name of a machine; tests/targets has it",
    r"no recordings under": "the recordings are not part of the project",
    r"devices cannot be made here": "only root may make devices",
    r"mounting is not allowed": "only root may mount",
    r"mounting needs root": "only root may mount",
    r"no festival voices": "large voices, not installed for the gate",
    r"lets nobody trace a process": "some containers forbid it",
    r"this machine's CPU has no": "kernels are compiled for CPUs that not everybody has",
}
"""Reasons for which a test may be skipped anywhere, and why: none of them is a missing package."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--forbid-skips",
        action="store_true",
        help="fail where a test is skipped for a reason that tests/skips.py does not allow",
    )


def forbidden(reasons: Iterable[str]) -> list[str]:
    """Return the reasons that none of `ALLOWED` covers."""
    return [one for one in reasons if not any(re.search(known, one) for known in ALLOWED)]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reasons = _reasons(terminalreporter)
    if not reasons:
        return
    terminalreporter.section("not tested here, and why")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} × {reason}")
    if config.getoption("--forbid-skips") and (unexpected := forbidden(reasons)):
        terminalreporter.write_line(f"not allowed here (tests/skips.py): {'; '.join(unexpected)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--forbid-skips"):
        return
    if session.exitstatus == pytest.ExitCode.OK and forbidden(_reasons(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reasons(reporter: Any) -> Counter[str]:
    """Count the skipped tests by their reason."""
    skipped = reporter.stats.get("skipped", [])
    return Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
