"""Files and values that are no recipe: each is refused at once, with where and why."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekws.errors import RecipeError
from edgekws.recipe.load import load, load_budget
from edgekws.recipe.toml_lines import read_toml
from edgekws.search.load import load_sweep

READERS: list[Callable[[Path], object]] = [load, load_budget, load_sweep, read_toml]


@pytest.fixture(autouse=True)
def _at_once() -> object:
    """Fail where a refusal takes longer than a person waits."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 5


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/zero", "is not a regular file"),
        ("pipe", "is not a regular file"),
        ("loop", "symbolic links form a loop"),
        ("a" * 5000, "longer than a file system allows"),
        ("~nobody-has-this-name/x", "is not the home of a known user"),
        ("a\0b", "cannot hold the character NUL"),
        ("a\ud800", "half of a UTF-16 pair"),
        ("large.toml", "is larger than the limit of 1,024 KiB for this kind of file"),
        ("deep.toml", r"deep\.toml:2: not valid TOML: tables and lists are nested more than 20"),
        ("long-key.toml", "nested more than 20 deep"),
        ("digits.toml", r"digits\.toml:1: not valid TOML: a number has thousands of digits"),
        ("hex.toml", r"hex\.toml:2: b: a whole number has 64 bits at most"),
        ("date.toml", r"date\.toml:1: a\.b: no key takes a date or a time"),
    ],
)
def test_what_cannot_be_read_is_refused(
    reader: Callable[[Path], object],
    name: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    for file, text in {
        "large.toml": "#" * 1_048_577,
        "deep.toml": f"\na = {'[' * 3000}{']' * 3000}",
        "long-key.toml": f"{'.'.join('a' * 400_000)} = 1",
        "digits.toml": f"a = {'9' * 5000}",
        "hex.toml": f"\nb = 0x{'f' * 9000}",
        "date.toml": "a = { b = 1979-05-27 }",
    }.items():
        Path(file).write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        reader(Path(name))


def test_a_byte_order_mark_is_no_mistake(quickstart: Path) -> None:
    quickstart.write_text("\ufeff" + quickstart.read_text(encoding="utf-8"), encoding="utf-8")
    assert load(quickstart).where("seed") == "quickstart.toml:3"


@pytest.mark.parametrize("name", ["loop", "a" * 5000, "a\\u0000"])
def test_what_cannot_be_extended(quickstart: Path, name: str) -> None:
    Path("loop").symlink_to("loop")
    quickstart.write_text(f'extends = "{name}"\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"quickstart\.toml:1: extends: "):
        load(quickstart)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"seed={'[' * 3000}{']' * 3000}", "nested more than 20 deep"),
        (f"{'.'.join('a' * 3000)}=1", "nested more than 20 deep"),
        (f"seed={'9' * 5000}", "expected a whole number"),
        (f"seed=0x{'f' * 9000}", "64 bits at most"),
        ("seed=1979-05-27", "no key takes a date"),
        ("front_end.n_mels=10000", "must be 512 or less"),
        ("front_end.n_fft=2147483648", "must be 16384 or less"),
        ("front_end.window_s=1e308", "must be 60.0 or less"),
        ("front_end.window_s=60 ", ""),
        ("front_end.hop_length=1", "frames in window_s; 6000 at most"),
        ("budget.max_params=1e30", "where no measurement lies"),
    ],
)
def test_no_value_stops_the_machine(quickstart: Path, text: str, message: str) -> None:
    if not message:
        assert load(quickstart, [text]).recipe.front_end.n_mels == 40
        return
    with pytest.raises(RecipeError, match=message) as reported:
        load(quickstart, [text])
    assert len(str(reported.value)) < 2000
