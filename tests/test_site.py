"""The guide builds without a warning, and its pages fetch nothing from anywhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install '.[docs]'")

ROOT = Path(__file__).parents[1]
FETCHING = {
    "img": ("src", "srcset"),
    "script": ("src",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "audio": ("src",),
    "video": ("src", "poster"),
    "object": ("data",),
    "embed": ("src",),
}
"""Tags that make a browser fetch something by themselves, and where they name it."""

FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch"}
OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page fetches, what it links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.code = ""
        self._in: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.fetched += [values[name] for name in FETCHING.get(tag, ()) if name in values]
        if tag == "link" and FETCHED_LINKS & set(values.get("rel", "").split()):
            self.fetched.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.code += values.get("style", "")
        self._in = tag if tag in ("style", "script") else None

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in:
            self.code += data


def outside(page: Page) -> list[str]:
    """Return what a page fetches from elsewhere."""
    return [one for one in page.fetched if OUTSIDE.match(one)] + imported(page.code)


def imported(code: str) -> list[str]:
    """Return what styles and scripts fetch from elsewhere."""
    found = re.findall(r"""(?:url\(|@import|fetch\(|import\()\s*["']?([^"')\s]+)""", code)
    return [one for one in found if OUTSIDE.match(one)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    doctrees = ["--doctree-dir", str(folder.parent / f"{folder.name}-doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *doctrees, str(ROOT / "docs"), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    assert len(found) >= 28
    return found


def test_make_docs_builds_it_so() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "sphinx --fail-on-warning --keep-going --quiet --fresh-env" in makefile
    assert "site/\n" in (ROOT / ".gitignore").read_text(encoding="utf-8")


def test_pages_fetch_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert sum(len(page.fetched) for page in pages.values()) >= 100
    assert {path.name: outside(page) for path, page in pages.items() if outside(page)} == {}


def test_styles_fetch_nothing_from_elsewhere(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert len(styles) >= 4
    for style in styles:
        assert imported(style.read_text(encoding="utf-8")) == [], style.name


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img src="http://example/x.png">',
        "<style>@import 'https://example/x.css';</style>",
        '<p style="background: url(https://example/x.png)">',
        "<script>fetch('https://example/data')</script>",
    ],
)
def test_what_is_fetched_from_elsewhere_is_found(text: str) -> None:
    assert len(outside(Page(text))) == 1


def broken(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield every link within the site whose file or anchor is not there."""
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            there = target.is_file() and (not parts.fragment or parts.fragment in anchors)
            if not there and target != site.resolve():
                yield f"{path.relative_to(site)}: {link}"


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    inside = [link for page in pages.values() for link in page.links if "://" not in link]
    assert len(inside) >= 1000
    assert list(broken(site, pages)) == []


def test_every_page_can_be_reached_from_the_first(site: Path, pages: dict[Path, Page]) -> None:
    seen, todo = set(), [site / "index.html"]
    while todo:
        path = todo.pop()
        if path in seen or path not in pages:
            continue
        seen.add(path)
        links = [urlsplit(link).path for link in pages[path].links if "://" not in link]
        todo += [(path.parent / unquote(link)).resolve() for link in links if link]
    assert set(pages) - seen == {site / "search.html"}  # which the field for a search opens
