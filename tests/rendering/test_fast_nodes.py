"""What is written without a detour is what python-liquid itself would have written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid import Environment
from liquid.exceptions import OutputStreamLimitError
from liquid.output import LimitedStringIO

from dripdrop.rendering.fast_nodes import Written
from dripdrop.rendering.templates import compile_template

SOURCE = (
    "<{{ a }}|{{ a | upcase }}|{{ b.c }}|{{ b['c'] }}|{{ b.size }}|{{ b.first }}|{{ nobody }}>"
    "{% for each in list %}{{ each }}{{ each.c }},{{ forloop.index }}{% endfor %}"
    "{% capture d %}{{ a }}{% endcapture %}{{ d }}"
)
PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.sampled_from(["c", "size", "first"]), PLAIN)


@pytest.mark.parametrize("escape", [False, True])
@given(a=VALUES, b=VALUES, many=st.lists(VALUES, max_size=4))
def test_every_value_is_said_as_python_liquid_says_it(escape: bool, a: Any, b: Any, many: list[Any]) -> None:
    data = {"a": a, "b": b, "list": many}
    expected = Environment(autoescape=escape).from_string(SOURCE).render(**data)
    assert compile_template(SOURCE, escape=escape).render({**data, "now": None}) == expected


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(0, 40))
def test_as_many_bytes_may_be_written_as_python_liquid_allows(texts: list[str], limit: int) -> None:
    ours, theirs = Written(limit=limit, newline=""), LimitedStringIO(limit=limit, newline="")
    for text in texts:
        refused = False
        try:
            theirs.write(text)
        except OutputStreamLimitError:
            refused = True
        if refused:
            with pytest.raises(OutputStreamLimitError):
                ours.write(text)
            return
        ours.write(text)
    assert (ours.getvalue(), ours.size) == (theirs.getvalue(), theirs.size)
