"""Do the measures of effort see what they are there to see?"""

from __future__ import annotations

import re
from itertools import count

import pytest

from effort import at_once, calls


def test_what_computes_without_end_is_stopped() -> None:
    with pytest.raises(AssertionError, match="still computing"), at_once(0.05):
        sum(0 for _ in count())


def test_so_is_a_pattern_that_backtracks_in_c() -> None:
    with pytest.raises(AssertionError, match="still computing"), at_once(0.05):
        re.match(r"(a+)+$", "a" * 60 + "!")


def test_what_ends_is_left_alone_and_the_alarm_is_off_afterwards() -> None:
    with at_once(0.05):
        assert sum(range(10)) == 45
    assert sum(range(5_000_000)) > 0


def test_calls_are_counted_in_python_and_in_c() -> None:
    def inner() -> int:
        return len("four")

    assert calls(inner) == ["len"]
    assert calls(lambda: [inner() for _ in range(2)]).count("len") == 2
