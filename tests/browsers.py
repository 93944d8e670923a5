"""A real browser without a window; tests that need one are skipped where there is none."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@contextmanager
def chromium(arguments: Sequence[str] = ()) -> "Iterator[Browser]":
    """Yield a Chromium started with `arguments`."""
    reason = "needs playwright, which steers the browser: pip install playwright"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=[*as_root, *arguments])
        yield started
        started.close()


def wait_until(tab: "Page", expression: str, timeout_s: float = 120) -> None:
    """Wait for an expression of a page whose policy forbids what `wait_for_function` does."""
    end = time.monotonic() + timeout_s
    while not tab.evaluate(expression):
        assert time.monotonic() < end, f"{expression} is not true after {timeout_s:g} s"
        tab.wait_for_timeout(50)
