"""A teacher that beats its student on no more clips than the other way round is named."""

import numpy as np
import pytest

from edgekws.engine.teachers import teacher_warnings


@pytest.mark.parametrize(
    ("teacher", "line"),
    [
        ([1, 1, 1, 1, 0, 0], ""),
        ([1, 1, 0, 1, 0, 0], "1 are right by the teacher alone, 1 by the student alone"),
        ([0, 1, 1, 0, 0, 0], "0 are right by the teacher alone, 1 by the student alone"),
        ([1, 1, 1, 0, 0, 0], "0 are right by the teacher alone, 0 by the student alone"),
    ],
)
def test_a_teacher_that_is_no_better_is_told(teacher: list[int], line: str) -> None:
    right = {
        "student": np.array([1, 1, 1, 0, 0, 0], bool),
        "teacher": np.array(teacher, bool),
        "good": np.array([1, 1, 1, 1, 1, 1], bool),
    }
    result = list(teacher_warnings(right, "student"))
    assert [line in one and '"teacher"' in one for one in result] == [True] * bool(line)
