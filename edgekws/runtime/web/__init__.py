"""The page of `export --to web`: HTML, CSS and JavaScript, and the C that JavaScript calls.

Every file is named in this module, so that an edit changes the cache keys of its results.
"""

from pathlib import Path

C = ("web.c", "string.h")
"""What WebAssembly has more than the C of a bundle."""

PAGE = ("page.html",)
"""The template of the page."""

STYLE = ("style.css",)

LOADER = ("unpack.js", "load.js")
"""What the page runs first: it unpacks the script and the WebAssembly."""

SCRIPT = (
    *("spotter.js", "sound.js", "history.js", "picture.js"),
    *("input.js", "output.js", "page.js"),
)
"""The script of the page, in this order."""

WORKLET = ("microphone.js",)
"""What runs in the audio thread."""

PROOF = ("unpack.js", "spotter.js", "proof.js")
"""What Node.js runs to compare a page with its bundle."""


def path(name: str) -> Path:
    """Return the path of a file in this folder."""
    return Path(__file__).with_name(name)


def text(*names: str) -> str:
    """Return files of this folder, one after the other."""
    return "".join(path(name).read_text("utf-8") for name in names)
