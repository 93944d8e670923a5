"""The view on a terminal and off it."""

import io
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edgekws.cli import app, console
from edgekws.cli.console import Terminal, show_error
from edgekws.cli.pace import Heartbeat
from edgekws.core.events import Event, working
from edgekws.core.measurement import Budget, Limit, Measurement
from edgekws.core.report import Report, Result
from edgekws.report.results import report_result
from edgekws.report.shown import Shown


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def open_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


class Clock:
    """Time that passes only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("edgekws.cli.pace.time.monotonic", clock)
    return clock


def test_progress_shows_the_time_left_and_is_wiped(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    screen = open_screen(monkeypatch)
    with Terminal() as view:
        view.emit(Event("progress", "train [b]x", 0, 4))
        before = screen.getvalue()
        clock.now = 30.0
        view.emit(Event("progress", "train [b]x", 1, 4))
        after = screen.getvalue()[len(before) :]
        shown = len(screen.getvalue())
    assert "train [b]x" in before
    assert "0/4" in before
    assert "left" not in before
    assert "1/4, 1 min 30 s left" in after
    assert "\x1b[2K" in screen.getvalue()[shown:]


def test_the_time_left_counts_from_where_a_task_goes_on(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    screen = open_screen(monkeypatch)
    with Terminal() as view:
        for now, done in ((0.0, 50), (10.0, 60), (10.0, 0), (15.0, 10)):
            clock.now = now
            view.emit(Event("progress", "training", done, 100))
            view.emit(Event("note", "best so far"))
    told = re.findall(r"(\d+)/100, (\d+ s) left", screen.getvalue())
    assert list(dict.fromkeys(told)) == [("60", "40 s"), ("10", "45 s")]


def test_a_file_gets_a_line_of_progress_a_minute(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Terminal() as view:
        for done in range(10):
            clock.now = 25.0 * done
            view.emit(Event("progress", "epochs", done, 9))
    assert file.getvalue() == "  epochs 3/9, 2 min 30 s left\n  epochs 6/9, 1 min 15 s left\n"


def test_a_file_hears_of_work_of_unknown_length_when_it_begins(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Terminal() as view:
        working(view.emit, "measuring latency")
        loss = {"epoch": 3, "epochs": 15, "loss": 0.4216}
        view.emit(Event("progress", "training", 20, 150, loss))
        clock.now = 70.0
        view.emit(Event("progress", "training", 30, 150, loss))
    assert file.getvalue() == (
        "  measuring latency …\n  training epoch 3/15, loss 0.42, 14 min 00 s left\n"
    )


def test_a_finished_task_leaves_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    view = Terminal()
    view.emit(Event("progress", "a", 1, 2))
    view.emit(Event("progress", "a", 2, 2))
    length = len(screen.getvalue())
    view.emit(Event("note", "after"))
    assert "after" in screen.getvalue()[length:]
    assert "\x1b[2K" not in screen.getvalue()[length:]


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    show_error("error: [red]x")
    assert screen.getvalue() == "\x1b[31merror: [red]x\x1b[0m\n"
    screen.truncate(0)
    screen.seek(0)
    monkeypatch.setenv("NO_COLOR", "1")
    show_error("error: x")
    assert screen.getvalue() == "error: x\n"


def test_no_variable_brings_colour_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Terminal() as view:
        view.emit(Event("progress", "train", 1, 4))
        view.emit(Event("warning", "w" * 300))
    assert file.getvalue() == f"warning: {'w' * 300}\n"


def test_a_narrow_terminal_cuts_no_figure_off(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_screen(monkeypatch)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    found = (
        Measurement("params", 9184),
        Measurement("macs", 523_400),
        Measurement("accuracy", 0.951, ci95=(0.93, 0.968)),
        Measurement("macro_recall", 0.9, ci95=(0.85, 0.95)),
        Measurement("latency_p50_us", 1240),
        Measurement("latency_ratio", 0.41),
    )
    result = Result("quantize", "quantize", "aa", found, ())
    control = Result("plain export", "reference", "bb", (Measurement("latency_p50_us", 3024),))
    report = Report("demo", "cc", {}, {}, (result,), ok=True, references=(control,))
    Terminal().show(report_result(report, Path("report.html")))
    shown = screen.getvalue()
    assert shown.count("plain export") == 1  # in the table of times
    assert shown.count("3,024 µs") == 1
    for figure in ("9,184", "523 k", "95.1 % [93.0, 96.8]", "90.0 % [85.0, 95.0]", "1,240 µs"):
        assert shown.count(figure) == 1
    assert shown.count("quantize") == 3
    assert max(map(len, re.sub(r"\x1b\[\d*m", "", shown).splitlines())) <= 80


@pytest.mark.parametrize(
    "head",
    [
        ("metric", "first model", "second model", "third model", "fourth model"),  # evaluate
        ("pair", "accuracy", "macro recall", "only one right", "p"),  # compare
        ("combination", "score", "95 %", "behind", "params"),  # sweep
    ],
)
def test_tables_that_have_no_room_break_no_figure(
    monkeypatch: pytest.MonkeyPatch, head: tuple[str, ...]
) -> None:
    screen = open_screen(monkeypatch)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    name = "hidden channels 24, learning rate 0.003, front end 40 mels, a network of that size"
    figures = ("95.1 % [93.0, 96.8]", "+0.25 [−1.08, +1.58]", "91.0 % (89.2 … 93.1)", "0.71 M/s")
    Terminal().show(Shown("table", (), [("title", head, [[name, *figures]])]))
    shown = re.sub(r"\x1b\[\d*m", "", screen.getvalue())
    assert [figure for figure in figures if shown.count(figure) != 1] == []
    assert max(map(len, shown.splitlines())) <= 80


def test_a_bundle_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Front end, network and whole, each kind of clip, and each class; no figure is broken."""
    screen = open_screen(monkeypatch)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    found = (
        Measurement("size_kib", 22.96, "KiB"),
        Measurement("macs", 408_688, "/s"),
        Measurement("keyword_recall", 0.99, n=12_000, ci95=(0.985, 0.994)),
        Measurement("unknown_recall", 0.925, n=1_200, ci95=(0.9, 0.95)),
        Measurement("unknown_accepted", 0.075, n=1_200, ci95=(0.05, 0.1)),
        Measurement("silence_recall", 0.844, n=1_032, ci95=(0.8, 0.9)),
        Measurement("front_end_size_kib", 186.04, "KiB"),
        Measurement("front_end_macs", 4_569_088, "/s"),
        Measurement("bundle_size_kib", 251.63, "KiB"),
        Measurement("total_macs", 4_977_776, "/s"),
        Measurement("total_latency_p99_us", 12_345, "µs"),
    )
    counts = {"support": 1_200, "right": 1_110, "called": 1_300}
    classes = [{"label": "_unknown_", "unknown_accepted": None, **counts}]
    classes += [{"label": "backward", "unknown_accepted": 1_017, **counts}]
    limits = Budget((Limit("total_peak_ram_kib", "max", 50), Limit("total_macs", "max", 1e6)))
    bundle = Result(
        "bundle", "bundle", "aa", found, limits.check(found), details={"per_class": classes}
    )
    report = Report("demo", "cc", {}, {}, (bundle,), ok=True, bundle_sha256="bb")
    Terminal().show(report_result(report))
    shown = re.sub(r"\x1b\[\d*m", "", screen.getvalue())
    for line in (
        r"size +23\.0 KiB +186 KiB +252 KiB",
        r"MACs/s +409 k +4\.57 M +4\.98 M",
        r"keywords, recall +99\.0 % \[98\.5, 99\.4\] +12,000",
        r"_unknown_, recall +92\.5 % \[90\.0, 95\.0\] +1,200",
        r"_unknown_ taken for a keyword +7\.5 % \[5\.0, 10\.0\] +1,200",
        r"_silence_, recall +84\.4 % \[80\.0, 90\.0\] +1,032",
        r"_unknown_ +92\.5 % \(1,110/1,200\) +85\.4 % \(1,110/1,300\) +–",
        r"backward .* +84\.8 % \(1,017/1,200\)",
        r"max_total_peak_ram_kib +bundle +≤ 50\.0 KiB +– +not measured +exceeded",
        r"max_total_macs +bundle +≤ 1\.00 M +4\.98 M +−397\.8 % +exceeded",
    ):
        assert re.search(line, shown), line
    assert not re.search(r"\bwords\b", shown)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_is_one_line_with_the_way_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    monkeypatch.setattr(sys, "argv", ["edgekws", *["--debug"] * debug, "plan"])
    error: Any = None
    try:
        _ = [][0]
    except IndexError as caught:
        error = caught
    app.show_bug(IndexError, error, error.__traceback__)
    told = capsys.readouterr().err
    assert told.endswith(
        "a bug: IndexError: list index out of range; run again with edgekws --debug … to see "
        "where\n"
    )
    assert ("Traceback" in told) == debug


@pytest.mark.parametrize("terminal", [True, False])
def test_a_task_that_says_nothing_more_is_seen_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    screen = open_screen(monkeypatch) if terminal else None
    monkeypatch.setattr(console, "Heartbeat", lambda every_s, beat: Heartbeat(0.02, beat))
    threads = threading.active_count()
    with Terminal() as view:
        view.emit(Event("progress", "measuring latency", 0, 1))
        time.sleep(0.3)
    assert threading.active_count() == threads
    said = screen.getvalue() if screen else capsys.readouterr().err
    assert said.count("measuring latency … 0.") > 3
