"""Does a text take one of its alternatives, the same each time, and nothing but?"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dripdrop import spintax
from dripdrop.rendering.templates import compile_template
from dripdrop.rules.markup import pieces
from dripdrop.rules.spintax import as_liquid, picks
from effort import at_once

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
WORDS = st.text(alphabet="ab \n.,-é$&<>", max_size=6)


def all_of(text: str, *, html: bool = False) -> set[str]:
    return {spintax.expand(text, seed, html=html) for seed in range(60)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{Hi|Hello} Ann", {"Hi Ann", "Hello Ann"}),
        ("a{ b | c }d", {"a b d", "a c d"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{{a|b}|c}", {"a", "b", "c"}),
        ("{{a|b}|{c|d}}", {"a", "b", "c", "d"}),
        ("{x {a|b}}", {"{x a}", "{x b}"}),
        ("p { margin: 0 }", {"p { margin: 0 }"}),
        ("a | b", {"a | b"}),
        (r"\{a\|b\} {c|d\|e}", {"{a|b} c", "{a|b} d|e"}),
        (r"\\{a|b} c:\d \\", {r"\a c:\d \\", r"\b c:\d \\"}),
        ("{a|}", {"a"}),
        ("{a| }", {"a", " "}),
        ("{|}", {""}),
        ("{Hi {{ x }}|{% if x %}{a|b}{% endif %}}", {"Hi {{ x }}", *(f"{{% if x %}}{c}{{% endif %}}" for c in "ab")}),
        ("{{ '{a|b}' | upcase }}", {"{{ '{a|b}' | upcase }}"}),
        ("{{{ name }}|you}", {"{{ name }}", "you"}),
        ("{% raw %}{a|b}{% endraw %}", {"{% raw %}{a|b}{% endraw %}"}),
        ("plain \\| text", {"plain | text"}),
    ],
)  # fmt: skip
def test_a_text_becomes_each_of_its_alternatives_and_no_other(text: str, wanted: set[str]) -> None:
    assert all_of(text) == wanted


def test_in_html_only_words_are_looked_at() -> None:
    kept = "<style>p{a|b}</style><script>x={a|b}</script><!-- {a|b} --><a title=\"{a|b} >\" href='{c|d}'>"
    assert all_of(f"{kept}{{x|<b>y</b>}}</a>", html=True) == {f"{kept}x</a>", f"{kept}<b>y</b></a>"}
    style = "<mj-style>p{a|b}</mj-style>"
    assert all_of(style + "{c|d}", html=True) == {style + "c", style + "d"}
    assert all_of("1 < 2 {a|b}", html=True) == {"1 < 2 a", "1 < 2 b"}


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("{a|b", "spintax_unbalanced", (1, 1)),
        ("one\n two }", "spintax_unbalanced", (2, 6)),
        ("{a|b} {c", "spintax_unbalanced", (1, 7)),
        ("{ " * 21 + "a|b" + "}" * 21, "spintax_too_large", (1, 41)),
        ("{a|b}" * 1_001, "spintax_too_large", (1, 5_001)),
    ],
)
def test_a_text_that_cannot_be_read_stays_and_its_trouble_is_told(text: str, code: str, place: tuple[int, int]) -> None:
    (told,) = spintax.problems(text)
    assert (told.code, (told.line, told.column)) == (code, place)
    assert all_of(text) == {text}
    assert as_liquid(text).text == text


def test_an_empty_alternative_is_a_warning() -> None:
    assert [each.code for each in spintax.problems("{a||b} {c}")] == ["spintax_empty"]
    assert spintax.problems("{a| |b} {c}") == []


def test_the_choice_is_even() -> None:
    counts = [spintax.expand("{a|b|c|d}", f"execution-{n}") for n in range(4_000)]
    assert all(900 < counts.count(each) < 1_100 for each in "abcd")


def groups(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, min_size=2, max_size=3).map(lambda parts: "{" + "|".join(parts) + "}")


NESTED = st.recursive(WORDS, groups, max_leaves=8)


@given(st.lists(NESTED, max_size=4).map("".join), st.integers() | st.text())
def test_it_is_the_same_on_every_retry_and_without_a_brace_left(text: str, seed: object) -> None:
    said = spintax.expand(text, seed)
    assert said == spintax.expand(text, seed)
    assert not set(said) & set("{|}")
    # What is said stands in the text, in order.
    assert re.search("(.|\n)*?".join(map(re.escape, said)), text) is not None


@given(st.text(alphabet="{}|\\ ab<>\"'!-/%\n", max_size=40), st.booleans())
def test_any_text_has_an_expansion(text: str, html: bool) -> None:
    said = spintax.expand(text, 1, html=html)
    assert isinstance(said, str)
    assert spintax.problems(text, html=html) == [] or said == text or "{" in text
    assert "".join(piece.text for piece in pieces(text, html=html)) == text


@example("{{|}|{| }}", 0)
@given(st.lists(NESTED, max_size=3).map("".join), st.integers(0, 99))
def test_as_liquid_it_says_what_it_says_expanded(text: str, seed: int) -> None:
    spun = as_liquid(text)
    said = compile_template(spun.text).render({"now": NOW, "_picks": picks(seed, spun.groups)})
    assert said == spintax.expand(text, seed)


def test_a_persons_data_brings_no_alternatives() -> None:
    spun = as_liquid(r"{Hi|Hello} {{ name }} \{\{ name \}\}")
    said = compile_template(spun.text).render({"now": NOW, "name": "{a|b} } {", "_picks": [1]})
    assert said == "Hello {a|b} } { {{ name }}"


@pytest.mark.parametrize(
    "bomb",
    ["{", "{{", "{%", "{a|", "{a|b}", "\\", "<a", "<!--", "<style>", '<a "', "{% raw %}", "<a {%", '{{"', "}"],
)
def test_its_time_grows_with_the_length_whatever_the_text(bomb: str) -> None:
    text = bomb * (200_000 // len(bomb))
    with at_once():
        spintax.expand(text, 1, html=True)
        spintax.expand(text, 1)
