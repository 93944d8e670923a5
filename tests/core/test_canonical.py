"""Equal values give equal text; different ones do not."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.core.canonical import canonical_json, file_state, sha256_file, sha256_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_round_trip(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), JSON, min_size=2))
def test_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert list(backwards) != list(value)
    assert sha256_of(backwards) == sha256_of(value)


@pytest.mark.parametrize(("a", "b"), [(1, 1.5), ("1", 1), ([1, 2], [2, 1]), (None, False)])
def test_different_values_differ(a: object, b: object) -> None:
    assert sha256_of(a) != sha256_of(b)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_word_for(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"lr": value})


def test_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0\1" * 100_000)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(b"\0\1" * 100_000).hexdigest()


def test_a_file_is_known_by_path_size_and_time_and_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    assert file_state(file) == (str(file), -1, -1)
    file.write_bytes(b"abc")
    os.utime(file, ns=(5, 7))
    assert file_state(file) == (str(file), 3, 7)
