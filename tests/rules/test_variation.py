"""Does each person hear their language and their variant, always the same?"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.rules.definition import Immediate, Step
from dripdrop.rules.variation import OWN, Variation, all_of, chosen, spoken, varies

OWN_WORDS = {"subject": "Hello", "text": "Text", "html": "<p>Html</p>", "from": "a@example.org"}


def step(**config: Any) -> Step:
    return Step(uuid4(), "hello", "Hello", "email", 1, Immediate(), OWN_WORDS, config=config)


GERMAN = {
    "de": {"subject": "Servus", "text": "Text auf Deutsch"},
    "de-CH": {"subject": "Grüezi"},
    "pt_BR": {"subject": "Oi"},
}


@pytest.mark.parametrize(
    ("data", "locale", "subject"),
    [
        ({"locale": "de"}, "de", "Servus"),
        ({"locale": "de-AT"}, "de", "Servus"),
        ({"locale": "DE_at"}, "de", "Servus"),
        ({"locale": "de-ch-1901"}, "de-CH", "Grüezi"),
        ({"locale": "pt-BR"}, "pt_BR", "Oi"),
        ({"locale": "pt"}, None, "Hello"),
        ({"locale": "deutsch"}, None, "Hello"),
        ({"locale": 7}, None, "Hello"),
        ({"locale": ""}, None, "Hello"),
        ({}, None, "Hello"),
    ],
)
def test_the_nearest_language_is_spoken(data: dict[str, Any], locale: str | None, subject: str) -> None:
    one = step(locales=GERMAN)
    said = chosen(one, data, "e1")
    assert said == Variation(locale)
    assert spoken(one, said).template["subject"] == subject


def test_the_language_may_stand_in_another_field() -> None:
    one = step(locales=GERMAN, locale_field="language")
    assert chosen(one, {"language": "de", "locale": "pt-BR"}, "e1").locale == "de"


def test_a_body_in_a_language_replaces_both_bodies_and_nothing_else() -> None:
    said = spoken(step(locales=GERMAN), Variation("de")).template
    assert said == {"subject": "Servus", "text": "Text auf Deutsch", "from": "a@example.org"}
    assert spoken(step(locales=GERMAN), Variation("de-CH")).template == {**OWN_WORDS, "subject": "Grüezi"}


def test_variants_are_taken_as_often_as_they_weigh() -> None:
    one = step(
        variants=[{"weight": 3, "subject": "A"}, {"name": "bold", "subject": "B"}, {"weight": 0, "subject": "C"}]
    )
    drawn = [chosen(one, {}, f"enrollment-{n}").variant for n in range(4_000)]
    assert set(drawn) == {"a", "bold"}
    assert 900 < drawn.count("bold") < 1_100
    assert spoken(one, Variation(None, "bold")).template["subject"] == "B"


@given(st.uuids(), st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_an_enrollment_stays_in_its_variant(enrollment: Any, weights: list[float]) -> None:
    variants = [{"weight": weight, "subject": str(n)} for n, weight in enumerate(weights)]
    one, again = step(variants=variants), step(variants=variants)
    assert chosen(one, {}, enrollment) == chosen(again, {"other": 1}, str(enrollment))
    drawn = chosen(one, {}, enrollment).variant
    assert drawn is not None
    assert weights["abcde".index(drawn)] > 0 or not any(weights)


def test_a_language_goes_before_a_variant_unless_the_variant_speaks_it() -> None:
    one = step(
        locales={"de": {"subject": "Servus"}},
        variants=[
            {"name": "x", "subject": "Hey", "locales": {"de": {"subject": "Na"}, "fr": {"subject": "Salut"}}},
            {"name": "y", "subject": "Yo"},
        ],
    )
    words = {(said.locale, said.variant): spoken(one, said).template["subject"] for said in all_of(one)}
    assert words == {
        (None, "x"): "Hey", ("de", "x"): "Na", ("fr", "x"): "Salut", (None, "y"): "Yo", ("de", "y"): "Servus",
    }  # fmt: skip
    assert chosen(one, {}, "e", locale="fr", variant="y") == Variation(None, "y")


def test_a_step_without_any_is_itself() -> None:
    assert not varies(step())
    assert chosen(step(), {"locale": "de"}, "e1") == OWN
    assert spoken(step(), OWN).template == OWN_WORDS
