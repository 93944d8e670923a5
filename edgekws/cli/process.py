"""The process of a command: its interruption, and the three streams that it needs."""

import codecs
import errno
import io
import os
import signal
import sys
from threading import Event, Timer, main_thread
from types import FrameType
from typing import NoReturn, TextIO

_ASCII = {
    "…": "...", "–": "-", "−": "-", "→": "->", "×": "x", "≤": "<=", "≥": ">=", "≈": "~",
    "µ": "u", "Δ": "d", "±": "+-", "“": '"', "”": '"',
}  # fmt: skip
"""Replacements of characters in our own texts, for encodings that lack them."""

INTERRUPTED = Event()
"""Set once a signal has interrupted the command, even if a library swallows the exception."""

_ENDING = Event()
"""Set once the command ends: a signal sent to itself then would kill Python as it shuts down."""

_AGAIN_S = 0.01

_LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)


def end_as_by_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does, unless they are ignored, as by nohup."""
    for number in (signal.SIGINT, *_LIKE_CTRL_C):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _interrupt_again


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    INTERRUPTED.set()
    # A terminal that closes sends several: the others must not disturb the clearing up.
    for each in _LIKE_CTRL_C:
        signal.signal(each, _go_on)
    for stream in (sys.stdout, sys.stderr):
        if _is_dead_terminal(stream):
            drop_output(stream)
    raise KeyboardInterrupt


def _interrupt_again(dropped: "sys.UnraisableHookArgs") -> None:
    """Interrupt once more where Python drops an interruption: in a finalizer or a weak reference.

    It comes a moment later and from a thread, so that it does not end in this hook.
    """
    if not isinstance(dropped.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    later = Timer(_AGAIN_S, _interrupt_itself)
    later.daemon = True
    later.start()


def _interrupt_itself() -> None:
    main = main_thread().ident
    if main is not None and not _ENDING.is_set():
        signal.pthread_kill(main, signal.SIGINT)


def end() -> None:
    """Send no more interruptions, and let the exit code stand.

    Python that was started with `-m` would end by SIGINT instead where the last text it evaluated
    was interrupted, as that of a dataclass can be while it is imported: so evaluate another.
    """
    _ENDING.set()
    eval("0")


def _go_on(number: int, frame: FrameType | None) -> None:
    """Do nothing; with SIG_IGN, Python complains about a signal that came just before."""


def _is_dead_terminal(stream: TextIO) -> bool:
    try:
        os.get_terminal_size(stream.fileno())
    except OSError as error:
        return error.errno == errno.EIO
    return False


def drop_output(stream: TextIO) -> None:
    """Discard what is written to a stream from now on: it has no reader."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def write_line(text: str) -> None:
    """Write a line to standard output immediately, as long as it has a reader."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # continue without a reader: the results are still written
        drop_output(sys.stdout)


def encode_plainly(*streams: TextIO) -> None:
    """Write ASCII for characters that the encoding of a stream lacks, instead of failing."""
    codecs.register_error("edgekws", _plainly)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="edgekws")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(sign, "?") for sign in lacking), error.end


def open_streams() -> None:
    """Open the standard streams that the caller has closed, on the null device.

    Otherwise the next file that is opened would get the number of one, and what libraries print
    with it. `sys.stdin` stays `None` where it was closed: what reads it says so.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
