"""The lines of key paths, against documents that were rendered with known lines."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.errors import RecipeError
from edgekws.recipe.toml_lines import KeyPath, locate, read_toml

DOCUMENT = '''\
schema = 1          # a comment with = and [brackets]
name = "a # no = comment"
"quoted key".'x.y' = 'C:\\path # [x]'
text = """
[not.a.table]
a = 1 \\""" "" """
literal = \'\'\'
it's = "text"\'\'\'\'
[front_end]
n_mels = 40
augment.noise.snr_db = [0,
  20,  # two
]
inline = { a = 1, b = { c = "}" }, d = [ { e = 1 },
  { e = 2 } ] }

[[steps]]
kind = "teacher"
  [steps.training]
  epochs = 20
  [[steps.training.phases]]
  lr = 1e-3
  [[steps.training.phases]]
  lr = 1979-05-27 07:32:00

[ "steps" . loss ]
temperature = 2
[[steps]]
kind = "distill"
loss = { temperature = 3 }
'''

EXPECTED = {
    ("schema",): 1,
    ("name",): 2,
    ("quoted key",): 3,
    ("quoted key", "x.y"): 3,
    ("text",): 4,
    ("literal",): 7,
    ("front_end",): 9,
    ("front_end", "n_mels"): 10,
    ("front_end", "augment"): 11,
    ("front_end", "augment", "noise"): 11,
    ("front_end", "augment", "noise", "snr_db"): 11,
    ("front_end", "augment", "noise", "snr_db", 0): 11,
    ("front_end", "augment", "noise", "snr_db", 1): 12,
    ("front_end", "inline"): 14,
    ("front_end", "inline", "a"): 14,
    ("front_end", "inline", "b"): 14,
    ("front_end", "inline", "b", "c"): 14,
    ("front_end", "inline", "d"): 14,
    ("front_end", "inline", "d", 0): 14,
    ("front_end", "inline", "d", 0, "e"): 14,
    ("front_end", "inline", "d", 1): 15,
    ("front_end", "inline", "d", 1, "e"): 15,
    ("steps",): 17,
    ("steps", 0): 17,
    ("steps", 0, "kind"): 18,
    ("steps", 0, "training"): 19,
    ("steps", 0, "training", "epochs"): 20,
    ("steps", 0, "training", "phases"): 21,
    ("steps", 0, "training", "phases", 0): 21,
    ("steps", 0, "training", "phases", 0, "lr"): 22,
    ("steps", 0, "training", "phases", 1): 23,
    ("steps", 0, "training", "phases", 1, "lr"): 24,
    ("steps", 0, "loss"): 26,
    ("steps", 0, "loss", "temperature"): 27,
    ("steps", 1): 28,
    ("steps", 1, "kind"): 29,
    ("steps", 1, "loss"): 30,
    ("steps", 1, "loss", "temperature"): 30,
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_form_of_toml_is_located(newline: str) -> None:
    tomllib.loads(DOCUMENT)
    assert locate(DOCUMENT.replace("\n", newline)) == EXPECTED


def _paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    below: set[KeyPath] = {path} if path else set()
    if isinstance(value, dict):
        return below.union(*(_paths(item, (*path, key)) for key, item in value.items()))
    if isinstance(value, list):
        return below.union(*(_paths(item, (*path, n)) for n, item in enumerate(value)))
    return below


class _Writer:
    """Renders nested tables and keeps the line on which every key was put."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.lines: dict[KeyPath, int] = {}

    def put(self, row: str, path: KeyPath, value: Any) -> None:
        self.rows.append(row)
        for below in _paths(value, path):
            self.lines.setdefault(below, len(self.rows))

    def table(self, value: dict[str, Any], keys: list[str], path: KeyPath) -> None:
        for key, item in value.items():
            if not _is_table(item):
                self.put(f"{_key(key)} = {_inline(item)} # = [x]", (*path, key), item)
        for key, item in value.items():
            if isinstance(item, dict):
                self.put(f"[{'.'.join([*keys, _key(key)])}]", (*path, key), {})
                self.table(item, [*keys, _key(key)], (*path, key))
            elif _is_table(item):
                for n, element in enumerate(item):
                    self.put(f"[[{'.'.join([*keys, _key(key)])}]]", (*path, key), [])
                    self.lines[*path, key, n] = len(self.rows)
                    self.table(element, [*keys, _key(key)], (*path, key, n))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
    )


def _key(key: str) -> str:
    return key if re.fullmatch("[a-z]+", key) else json.dumps(key)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


KEYS = st.sampled_from(["a", "steps", "x.y", "#", "=", '"', "[b]", "é", "0"])
SCALARS = st.one_of(st.booleans(), st.integers(-9, 9), st.sampled_from(['"#"', "a = [", "\\", "'"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_rendered_documents_are_found_on_their_lines(data: dict[str, Any]) -> None:
    writer = _Writer()
    writer.table(data, [], ())
    text = "\n".join(writer.rows)
    assert tomllib.loads(text) == data
    assert locate(text) == writer.lines
    assert set(writer.lines) == _paths(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = = 2\n", r"bad\.toml:2: not valid TOML: Invalid value"),
        ("a = 1\n\nb = [1,\n", r"bad\.toml:3: not valid TOML: "),
        ("a = 1\na = 2\n", r"bad\.toml:2: not valid TOML: Cannot overwrite a value"),
    ],
)
def test_syntax_errors_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_toml(path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(RecipeError, match=r"latin\.toml: is not UTF-8 text"):
        read_toml(tmp_path / "latin.toml")
