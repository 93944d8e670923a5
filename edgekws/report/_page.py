"""The frame of all pages: one style, one script, nothing loaded from elsewhere."""

import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from edgekws.core import figures

_HERE = Path(__file__).parent
_PICTURE = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_NAME = re.compile(r'(<\w+ id="|url\(#|href="#)(?=[\w-])')
_FRAME = ("style.css", "sort.js")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render `template` of this folder with `values`.

    Everything is escaped that is no `Markup`. The same values give the same text.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (Markup((_HERE / name).read_text(encoding="utf-8")) for name in _FRAME)
    page = environment.get_template(template).render(
        **values, style=style, script=script, figures=figures
    )
    return _with_own_names(page) + "\n"


def _with_own_names(page: str) -> str:
    """Make the names inside the pictures unique on the page."""
    pictures = count(1)
    return _PICTURE.sub(lambda one: _NAME.sub(rf"\g<1>f{next(pictures)}-", one[0]), page)
