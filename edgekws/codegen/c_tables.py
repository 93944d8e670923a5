"""Constant tables in C."""

import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Number = float | np.floating[Any] | np.integer[Any]


def table(
    c_type: str,
    name: str,
    values: NDArray[Any] | Iterable[int],
    write: Callable[[Number], str] | None = None,
) -> str:
    """Return the definition of a constant array; floats keep their bits.

    `write` returns an element as C; without it, `literal` does.

    >>> print(table("float", "window", np.float32([0, 0.1, 1e-9])))
    static const float window[3] = {
        0.0f, 0.1f, 1.0e-9f,
    };
    """
    literals = [(write or literal)(value) for value in values]
    body = textwrap.fill(
        ", ".join(literals) + ",",
        width=100,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"static const {c_type} {name}[{len(literals)}] = {{\n{body}\n}};"


def literal(value: Number) -> str:
    """Return an integer, or a float32 in the fewest digits that round to it.

    >>> literal(-3), literal(np.float32(1 / 3)), literal(np.float32(1e-9))
    ('-3', '0.33333334f', '1.0e-9f')
    """
    if isinstance(value, int | np.integer):
        return str(int(value))
    single = np.float32(value)
    if single == 0 or 1e-4 <= abs(single) < 1e7:
        return np.format_float_positional(single, unique=True, trim="0") + "f"
    return np.format_float_scientific(single, unique=True, trim="0", exp_digits=1) + "f"


def real(value: Number) -> str:
    """Return an integer, or a float32 as `kws_real`: the number and, for integer builds, its bits.

    >>> real(7), real(np.float32(0.1))
    ('7', 'KWS_REAL(0.1f, 0x3dcccccdu)')
    """
    if isinstance(value, int | np.integer):
        return literal(value)
    return f"KWS_REAL({literal(value)}, {np.float32(value).view(np.uint32):#010x}u)"
