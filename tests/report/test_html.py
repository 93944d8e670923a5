"""The page: whole, self-contained, escaped, and honest about what was not measured."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgekws.core.measurement import Budget, Limit, Measurement
from edgekws.core.report import Report
from edgekws.report import head
from edgekws.report.html import write_html

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in turn; keeps the words and the links."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(report: Report, folder: Path) -> Page:
    path = folder / "report.html"
    write_html(report, path)
    return Page(path.read_text(encoding="utf-8"))


def test_fp32_stands_beside_the_bundle(report: Report, tmp_path: Path) -> None:
    text = page_of(report, tmp_path).text
    start = text.index("Compared with the same network in FP32")
    beside = text[start : start + 700]
    assert "to2d: FP32, <Conv1d> 41.2 KiB" in beside
    for p50 in ("61.0 µs", "19.7 µs", "24.4 µs"):
        assert p50 in beside
    assert "Beside" not in page_of(replace(report, references=()), tmp_path).text


def test_shows_everything_of_a_run(report: Report, tmp_path: Path) -> None:
    page = page_of(report, tmp_path)
    expected = (
        "Fits the budget", "6 of 6 limits met by the packed bundle", "≤ 10,000", "8,764",
        "+12.4 %", "95.8 %", "[93.8, 97.0]", "3.96 M", "298 µs", "logit error steps median",
        "neural_compressor", "percentile", "control history", "epoch 18 kept", "60 entries",
        "no sample above -60 dBFS", "carved from train", "AMD EPYC", "2.13.0", "avx512_vnni",
        "the control measured 1.083 × itself: no ratio", "12" * 32, "from the cache",
    )  # fmt: skip
    assert [words for words in expected if words not in page.text] == []
    assert page.tags.count("svg") == 1 + 3 + 1  # the overview, three training curves, a frontier
    assert "Distance to the budget" in page.text


def test_names_are_escaped_and_kept(report: Report, tmp_path: Path) -> None:
    page = page_of(report, tmp_path)
    assert page.tags.count("script") == 1  # our own
    assert "b" in page.tags
    for name in ("<script>alert(1)</script>", "музыка", "توقف", "$lights$", "да/<b>1.wav"):
        assert name in page.text
    results = tuple(replace(r, name=f"<i>{r.name}</i> $x$ шаг") for r in report.results)
    named = page_of(replace(report, name="</title><script>", results=results), tmp_path)
    assert "i" not in named.tags
    assert named.tags.count("script") == 1
    assert named.text.count("<i>teacher</i> $x$ шаг") >= 3  # table, section and picture


def test_needs_nothing_beside_it(report: Report, tmp_path: Path) -> None:
    page = page_of(report, tmp_path)
    assert [link for link in page.links if not link.startswith("#")] == []
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import", text)
    ids = re.findall(r'\bid="([^"]*)"', text)
    referred = {link[1:] for link in page.links} | set(re.findall(r"url\(#([^)]*)\)", text))
    assert referred <= set(ids)


def test_same_report_same_bytes_also_after_loading(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    write_html(report, tmp_path / "a.html")
    write_html(Report.load(tmp_path / "report.json"), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_head_names_what_was_run_where_and_what_is_next(report: Report, tmp_path: Path) -> None:
    run = {"started": "2031-05-06 07:08+00:00", "command": "edgekws compress r.toml"}
    told = replace(report, environment=report.environment | run | {"bundle": "dist/r"})
    text = page_of(told, tmp_path).text
    head, _, rest = text.partition("Budget")
    for words in ("музыка", *run.values(), "AMD EPYC", "edgekws detect dist/r --microphone"):
        assert words in head
    assert "12" * 32 not in head
    assert "12" * 32 in rest
    assert "_unknown_" not in head


def test_margins_of_shares_are_points(report: Report, tmp_path: Path) -> None:
    text = page_of(report, tmp_path).text
    assert "≥ 95.0 % 95.8 % +0.8 pp" in text


def test_the_banner_has_the_colour_of_the_verdict(report: Report, tmp_path: Path) -> None:
    free = replace(report, results=tuple(replace(r, verdicts=()) for r in report.results))
    for one, kind in ((report, "ok"), (replace(report, ok=False), "broken"), (free, "neutral")):
        page_of(one, tmp_path)
        assert f'class="banner {kind}"' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_broken_limit_does_not_fit(report: Report, tmp_path: Path) -> None:
    budget = Budget((Limit("params", "max", 5_000), Limit("front_end_macs", "max", 1e6)))
    last = report.results[-2]
    judged = replace(last, verdicts=budget.check(last.measurements))
    failed = replace(report, results=(judged,), ok=False, bundle_sha256=None)
    text = page_of(failed, tmp_path).text
    assert "Does not fit the budget" in text
    assert "0 of 2 limits met by quantize" in text
    assert "not measured" in text
    assert "−75.3 %" in text
    assert "front end MACs/s was not measured" in text


@pytest.mark.parametrize(
    ("ok", "words"), [(True, "Done, without a budget"), (False, "Not finished")]
)
def test_a_run_without_limits(report: Report, tmp_path: Path, ok: bool, words: str) -> None:
    bare = tuple(replace(r, verdicts=(), measurements=()) for r in report.results)
    assert words in page_of(replace(report, results=bare, ok=ok), tmp_path).text
    empty = Report("empty", "", {}, {}, (), ok=ok)
    assert words in page_of(empty, tmp_path).text


def test_unknown_details_are_shown_whatever_their_form(report: Report, tmp_path: Path) -> None:
    details = {
        "новое": {"deep": {"er": [{"a": 1.5, "b": [1, 2]}, {"c": {"d": "here"}}]}},
        "flags": [True, None],
        "nothing": {},
        "many": [{"row": i} for i in range(50)],
        "history": [{"train_loss": 1.0}, {"train_loss": 0.5, "dev_loss": 0.7}],
        "epochs": [{"epoch": 1}],
        "frontier": [{"layers": [], "coverage": 1.0, "accuracy": 0.5}],
    }
    odd = replace(report.results[0], details=details, kinds={})
    page = page_of(replace(report, results=(odd,)), tmp_path)
    for words in ("новое", "c: d", "here", "1, 2", "yes, –", "50 rows", "0.5 0.7"):
        assert words in page.text
    assert page.tags.count("svg") == 1  # no step said that any of it is to be drawn


def test_what_quantization_costs_layer_by_layer(report: Report, tmp_path: Path) -> None:
    text = page_of(report, tmp_path).text
    assert "only this: mean abs diff" in text
    assert "all but this: agreement" in text
    assert "stem 60.00 % 95.50 % 99.10 % 0.21 95.50 % 99.10 % 0.21" in text
    assert "in FP32 coverage accuracy drop size kept none 100.00 % 95.10 % 1.07 pp 24.8 KiB" in text
    assert "+ блок.<0> 0.00 % 96.17 % 0.00 pp 39.8 KiB no" in text


def test_the_front_end_stands_beside_the_network(report: Report, tmp_path: Path) -> None:
    text = page_of(report, tmp_path).text
    assert "On the device: bundle network front end whole" in text
    assert "size 23.9 KiB 186 KiB 252 KiB" in text
    assert "MACs/s 452 k 3.96 M 4.41 M" in text
    assert "with its front end" in text
    bare = page_of(replace(report, results=report.results[:-1]), tmp_path).text
    assert "On the device" not in bare
    assert "with its front end" not in bare


def test_each_kind_of_clip_stands_apart(report: Report, tmp_path: Path) -> None:
    text = page_of(report, tmp_path).text
    assert "keywords, recall 99.0 % [97.0, 99.8] 280" in text
    assert "_unknown_, recall 92.5 % [87.0, 96.0] 70" in text
    assert "_silence_, recall 84.4 % [74.0, 92.0] 70" in text
    assert text.count("10.0 % 7 of 70") == 5


def test_the_command_for_a_web_page_is_given_for_an_int8_bundle(report: Report) -> None:
    bundled = replace(report, environment=report.environment | {"bundle": "dist/мой r"})
    command = "edgekws export 'dist/мой r' --to web --output 'мой r.html'"
    assert head.web_command(bundled) == command
    assert head.web_command(report) == ""
    assert head.web_command(replace(bundled, bundle_sha256=None)) == ""
    half = Measurement("int8_coverage", 0.5)
    last = replace(report.results[-1], measurements=(half,))
    assert head.web_command(replace(bundled, results=(last,))) == ""
