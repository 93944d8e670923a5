"""The pages in a real browser: quiet, whole, readable on a phone and on paper, sortable."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from edgekws.core.report import Report
from edgekws.report import data_page, event_page, profile_page
from edgekws.report.html import write_html
from edgekws.report.sweep_page import write_page
from tests import profiles
from tests.report import test_data_page, test_event_page, test_sweep_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

Scheme = Literal["light", "dark"]
Media = Literal["screen", "print"]
SECTIONS = {
    "run": [
        *("Budget", "On the device: bundle", "Clips by kind: bundle"),
        *("What each step costs and gains", "Steps", "Classes: bundle", "Data", "Environment"),
    ],
    "data": ["What to fix", "Classes", "Lengths and levels", "Speakers", "Files"],
    "events": ["Keywords", "Misses against false alarms", "How it is counted"],
    "profile": ["Latency", "Audio to label", "Weight", "Operators", "Machine"],
    "sweep": ["Effects", "Ranking", "What matters", "Every combination", "Fronts",
              "What cannot be", "Failed"],
}  # fmt: skip
SORTED = {
    "run": ("Classes: bundle", "recall", [2, 4, 3, 5, 1, 6], [1, 5, 3, 4, 2, 6]),
    "data": ("Classes", "all", [2, 1], [1, 2]),
    "events": ("Keywords", "labels", [2, 1], [1, 2]),
    "profile": ("Latency", "p50", [5, 2, 1, 3, 4], [4, 3, 1, 2, 5]),
    "sweep": ("Ranking", "score", [3, 2, 1, 4], [1, 2, 3, 4]),
}
"""Where a table stands, the column to sort by, and its rows then: what is blank is always last."""

PHONE: "ViewportSize" = {"width": 390, "height": 844}
DESK: "ViewportSize" = {"width": 1280, "height": 900}
PAPER: "ViewportSize" = {"width": 700, "height": 1000}
SMALLEST_LETTERS = """() => [...document.querySelectorAll("svg")].map(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const size = text => parseFloat(getComputedStyle(text).fontSize);
  const sizes = [...svg.querySelectorAll("text")].map(size);
  return scale * Math.min(...sizes);
}).filter(size => size > 0)"""
CONTRASTS = """() => {
  const channels = text => {
    const parts = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
    const most = text.startsWith("color(") ? 1 : 255;
    return [...parts.slice(0, 3).map(c => c / most), ...parts.slice(3)];
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = one => {
    for (; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if ((color[3] ?? 1) > 0) return color.slice(0, 3);
    }
    return [1, 1, 1];
  };
  const found = [];
  for (const one of document.body.querySelectorAll("*:not(svg *):not(script)")) {
    const words = [...one.childNodes].filter(n => n.nodeType === 3 && n.textContent.trim());
    if (!words.length || !one.getClientRects().length) continue;
    const [a, b] = [channels(getComputedStyle(one).color).slice(0, 3), behind(one)].map(light);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), words[0].textContent.trim()]);
  }
  return found;
}"""


@dataclass
class Shown:
    """An open page, and what the browser said and asked for while it was opened."""

    kind: str
    page: "Page"
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def as_seen(
        self, size: "ViewportSize", scheme: Scheme = "light", media: Media = "screen"
    ) -> None:
        self.page.set_viewport_size(size)
        self.page.emulate_media(media=media, color_scheme=scheme)


@pytest.fixture(scope="module")
def pages(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("страницы")
    steps = report.results[:3]
    write_html(replace(report, results=(*steps, *steps, report.results[3])), folder / "run.html")
    write_page(test_sweep_page.results(), folder / "sweep.html")
    texts = {
        "data": data_page.page_text(test_data_page.exploration()),
        "events": event_page.page(test_event_page.evaluation(4), "связка"),
        "profile": profile_page.page(profiles.profile()),
    }
    for kind, text in texts.items():
        (folder / f"{kind}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=list(SECTIONS))
def shown(request: pytest.FixtureRequest, browser: "Browser", pages: Path) -> Iterator[Shown]:
    page = browser.new_page()
    found = Shown(request.param, page)
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda request: found.asked.append(request.url))
    page.goto((pages / f"{found.kind}.html").as_uri())
    yield found
    page.close()


def test_is_quiet_and_asks_for_nothing(shown: Shown) -> None:
    assert shown.said == []
    assert [url.partition(":")[0] for url in shown.asked] == ["file"]


def test_every_section_is_there_and_seen(shown: Shown) -> None:
    shown.as_seen(DESK)
    headings = shown.page.locator("section > h2")
    assert headings.all_inner_texts() == SECTIONS[shown.kind]
    assert all(one.is_visible() for one in headings.all())


def test_pictures_have_words_and_names_are_given_once(shown: Shown) -> None:
    told = shown.page.locator("svg, img").evaluate_all(
        "all => all.map(one => one.ariaLabel || one.alt || '')"
    )
    assert told
    assert all(told)
    ids = shown.page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_fits_a_phone(shown: Shown) -> None:
    shown.as_seen(PHONE)
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    letters = shown.page.evaluate(SMALLEST_LETTERS)
    assert letters
    assert min(letters) > 7  # pixels; a picture too wide for the screen is scrolled


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read(shown: Shown, scheme: Scheme) -> None:
    shown.as_seen(DESK, scheme)
    paper = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    found = shown.page.evaluate(CONTRASTS)
    assert len(found) > 30
    assert [(words, ratio) for ratio, words in found if ratio < 4.5] == []  # WCAG 2.2, AA


def test_tables_are_sorted_by_mouse_and_keyboard(shown: Shown) -> None:
    shown.as_seen(DESK)
    section, column, rising, falling = SORTED[shown.kind]
    table = shown.page.locator(f"section:has(> h2:text-is('{section}')) table").first
    table.evaluate("t => [...t.tBodies[0].rows].forEach((row, i) => row.dataset.was = i + 1)")
    order = "t => [...t.tBodies[0].rows].map(row => Number(row.dataset.was))"
    button = table.locator("thead button", has_text=re.compile(f"^{column}")).first
    button.click()
    assert table.evaluate(order) == rising
    assert table.locator("th[aria-sort=ascending]").count() == 1
    button.focus()
    shown.page.keyboard.press("Enter")
    assert table.evaluate(order) == falling
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_figures_are_read_with_their_units(shown: Shown) -> None:
    read = shown.page.evaluate("texts => texts.map(numberOf)", [
        "8,529 µs [8,377, 12,364]", "3.37 M", "809 k", "22.8 KiB", "≤ 1 M", "−0.12 pp",
        "[−30.2, −9.1]", "1e-06", "+ stem",
    ])  # fmt: skip
    assert read[:-1] == [8529, 3.37e6, 809e3, 22.8, 1e6, -0.12, -30.2, 1e-6]
    assert read[-1] != read[-1]


def test_prints_on_white_with_nothing_cut_off(shown: Shown) -> None:
    shown.as_seen(PAPER, "dark", "print")
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor").endswith(
        "(255, 255, 255)"
    )
    printed = shown.page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) in range(1, 20)
