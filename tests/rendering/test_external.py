"""Do templates that somebody else keeps become part of the version, and stay what they were?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dripdrop.app import DripDrop
from dripdrop.errors import Invalid, NotFound
from dripdrop.plugins import Plugins
from dripdrop.rules.document import SequenceDocument, canonical
from dripdrop.rules.reading import read
from dripdrop.services import external

TRIAL = {
    "sequence": "trial",
    "class": "transactional",
    "steps": {"hello": {"channel": "email", "template": "external:cms/welcome", "locales": {"de": {}, "fr": {}}}},
}


class Cms:
    """Somebody else's templates, in English and German."""

    name = "cms"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.subject = "Hello {{ first_name }}"

    def fetch(self, name: str, locale: str | None) -> dict[str, Any] | None:
        self.asked.append((name, locale))
        if locale == "fr":
            return None
        return {"subject": "Servus" if locale else self.subject, "text": f"{name} {locale}"}


def pinned(document: Any, *plugins: Any) -> Any:
    return asyncio.run(external.pinned(document, Plugins(plugins)))


def test_each_language_is_asked_for_once_and_kept() -> None:
    cms = Cms()
    document = pinned(TRIAL, cms)
    assert isinstance(document, SequenceDocument)
    assert cms.asked == [("welcome", None), ("welcome", "de"), ("welcome", "fr")]
    again, findings = read(canonical(document))
    assert findings == []
    assert again == document
    assert canonical(read(TRIAL)[0])["steps"]["hello"]["template"] == "external:cms/welcome"  # type: ignore[arg-type]


def test_a_document_without_any_is_left_alone() -> None:
    document = {"sequence": "x", "steps": {"a": {"channel": "sms", "body": "Hi"}}}
    assert pinned(document) is document


def test_a_source_may_be_awaited() -> None:
    class Slow(Cms):
        async def fetch(self, name: str, locale: str | None) -> dict[str, Any] | None:  # type: ignore[override]
            return {"subject": "Later", "text": "x"}

    assert pinned(TRIAL, Slow()).steps[0].template["fetched"][""]["subject"] == "Later"


@pytest.mark.parametrize("answer", [None, "text", {"sudo": "x"}, RuntimeError("down")])
def test_a_source_that_fails_is_named_with_the_step(answer: Any) -> None:
    class Broken(Cms):
        def fetch(self, name: str, locale: str | None) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    with pytest.raises(Invalid, match="hello") as refused:
        pinned(TRIAL, Broken())
    assert refused.value.code == "template_source"


def test_a_source_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound) as missing:
        pinned(TRIAL)
    assert missing.value.code == "unknown_template"
    _, findings = read({**TRIAL, "steps": {"a": {"channel": "email", "template": "external:cms"}}})
    assert [each.code for each in findings] == ["template_source"]


def test_a_version_keeps_what_its_template_said(database_url: str) -> None:
    cms = Cms()
    with DripDrop(
        database_url, plugins=[cms], config={"encryption_key": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="}
    ) as drip:
        first = drip.sequences.apply(TRIAL)
        assert drip.sequences.apply(TRIAL).changed == []
        shown = drip.preview("hello", sequence="trial", data={"email": "a@example.org", "first_name": "Ann"})
        assert shown.subject == "Hello Ann"  # type: ignore[union-attr]
        german = drip.preview("hello", sequence="trial", data={"email": "a@example.org", "locale": "de-AT"})
        assert (german.subject, german.text) == ("Servus", "welcome de")  # type: ignore[union-attr]
        cms.subject = "Hi {{ first_name }}"
        second = drip.sequences.apply(TRIAL)
        assert second.version.number == first.version.number + 1
        old = drip.preview(first.version.steps[0].id, version=first.version.id, data={"email": "a@example.org"})
        assert old.subject == "Hello"  # type: ignore[union-attr]
