"""Which links are shortened is decided by the strongest word on it, and never harms what is not asked for."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.config import Config
from dripdrop.rules import shortening
from dripdrop.rules.message import Address, Chat, Email, Message, Sms, Webhook
from dripdrop.rules.shortening import Settings
from dripdrop.rules.utm import tagged
from effort import at_once

APP = Config().short_links
TO = (Address("ann@example.org"),)


def settings(step: Any = True, *sequence: Any, app: Any = APP, trusted: bool = True) -> Settings:
    levels = [{"short_links": each} for each in sequence]
    return shortening.settings(
        {"short_links": step}, levels, app, channel="email", sequence_key="trial", step_key="welcome", trusted=trusted
    )


def shortened(urls: list[str], step: Any = True, own: tuple[str, ...] = ()) -> list[str]:
    return [link.original for link in shortening.links(urls, settings(step), execution="x", tenant="", own=own)]


@pytest.mark.parametrize(
    ("step", "sequence", "app", "wanted"),
    [
        (None, [], {}, False),
        (True, [], {}, True),
        ({}, [], {}, True),
        ({"enabled": False}, [], {"enabled": True}, False),
        (False, [True], {"enabled": True}, False),
        (None, [], {"enabled": True}, True),
        (None, [False], {"enabled": True}, False),
        (None, [True, False], {}, True),
        (None, [{"domain": "s.example"}, True], {}, True),
        (None, [{"domain": "s.example"}], {}, False),
        (None, [{"enabled": True}], {}, True),
    ],
)
def test_who_is_nearest_to_the_step_says_whether(step: Any, sequence: list[Any], app: Any, wanted: bool) -> None:
    own = {} if step is None else {"short_links": step}
    assert shortening.wanted(own, [{"short_links": each} for each in sequence], app) is wanted


def test_a_key_of_a_nearer_level_replaces_the_whole_key() -> None:
    app = {**APP, "provider": "webhook", "metadata": {"a": 1}, "domain": "app.example"}
    found = settings({"metadata": {"b": 2}}, {"domain": "own.example"}, {"domain": "meta.example"}, app=app)
    assert found.provider == "webhook"
    assert found.options["metadata"] == {"b": 2}
    assert found.domains == {"own.example"}


def test_another_endpoint_does_not_get_the_headers_of_the_first() -> None:
    app = {"endpoint": "https://a.example", "headers": {"Authorization": "Bearer a"}}
    assert "headers" not in settings({"endpoint": "https://b.example"}, app=app).options
    assert "headers" in settings({"endpoint": "https://a.example"}, app=app).options
    assert settings({"endpoint": "https://b.example", "headers": {"X": "y"}}, app=app).options["headers"] == {"X": "y"}


def test_a_tenant_names_no_code_of_ours() -> None:
    step = {"provider": "function", "function": "os:system", "module": "os"}
    assert settings(step).options["function"] == "os:system"
    theirs = settings(step, trusted=False, app={"function": "host.links:make"}).options
    assert (theirs.get("module"), theirs["function"]) == (None, "host.links:make")


@pytest.mark.parametrize(
    "url",
    [
        "mailto:a@example.org", "tel:+1202", "#top", "/a", "//a.example", "javascript:alert(1)", "", "https://", "http:///x",
        "https://a.example/unsubscribe", "https://a.example/UNSUBSCRIBE?x", "https://a.example/privacy",
        "https://a.example/password_reset", "https://a.example/passwordreset", "https://a.example/?token=1",
        "https://a.example/?signature=1", "https://[::1", "https://a.example/\x00", "https://a.example/\ud800",
        "https://m.example/u/abc", "https://m.example/l/abc", f"https://a.example/{'x' * 3000}",
    ],
)  # fmt: skip
def test_what_is_never_shortened(url: str) -> None:
    assert shortened([url], own=("https://m.example/u/", "https://m.example/l/")) == []


def test_a_message_has_500_short_links_at_most() -> None:
    urls = [f"https://a.example/{number}" for number in range(600)]
    assert shortened(["mailto:a@a.example", *urls]) == urls[:500]


def test_exclusions_of_a_step_add_to_the_list_and_a_new_list_replaces_it() -> None:
    urls = ["https://a.example/privacy", "https://a.example/legal", "https://a.example/news", "https://go.example/1"]
    assert shortened(urls) == [urls[1], urls[2], urls[3]]
    assert shortened(urls, {"exclude": "legal"}) == [urls[2], urls[3]]
    assert shortened(urls, {"exclude_patterns": ["news$"]}) == [urls[0], urls[1], urls[3]]
    assert shortened(urls, {"domain": "https://GO.example/"}) == [urls[1], urls[2]]
    assert shortened(urls, {"domains": ["go.example", "a.example"]}) == []


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)*b", ".*.*x", "a?" * 20, "x" * 201, "(", r"(.)\1", "a{1,9}{1,9}"])
def test_a_pattern_that_could_take_for_ever_is_looked_for_as_text(pattern: str) -> None:
    assert not shortening.modest(pattern)
    with at_once():
        assert shortened([f"https://a.example/{'a' * 2_000}"], {"exclude": [pattern]}) != []
        assert shortened([f"https://a.example/{pattern}"[:2_000].replace("\\", "")], {"exclude": [pattern]}) is not None


@given(pattern=st.text(alphabet="a.*+?{}()[]|^$\\1,", max_size=12))
def test_every_pattern_that_is_searched_for_is_searched_quickly(pattern: str) -> None:
    with at_once():
        shortened([f"https://a.example/{'a' * 2_000}!"], {"exclude": [pattern]})


def test_a_link_has_one_key_for_ever_and_another_wherever_it_could_differ() -> None:
    def key(url: str = "https://a.example", step: Any = True, execution: str | None = "x", tenant: str = "") -> str:
        (link,) = shortening.links([url], settings(step), execution=execution, tenant=tenant)
        return link.key

    same = [key(), key(step={}), key(step={"on_error": "send_originals", "exclude": ["z"], "headers": {"a": "b"}})]
    assert len(set(same)) == 1
    others = [
        key("https://b.example"), key(execution="y"), key(execution=None), key(tenant="acme"),
        key(step={"domain": "s.example"}), key(step={"provider": "webhook"}), key(step={"utm": True}),
    ]  # fmt: skip
    assert len({*same, *others}) == 8


def test_defaults_for_utm_come_when_asked_for() -> None:
    everything = {"source": "dripdrop", "medium": "email", "campaign": "trial", "content": "welcome"}
    assert (settings().utm, settings().tags) == (everything, {})
    assert settings({"utm": True}).tags == {f"utm_{name}": value for name, value in everything.items()}
    one = settings({"utm": {"campaign": "spring"}, "utm_term": 7})
    assert one.tags == {"utm_campaign": "spring", "utm_term": "7"}
    assert one.utm == {**everything, "campaign": "spring", "term": "7"}


WORDS = st.text(alphabet="ab &=?#%+/\u00e9", max_size=6)
PAIRS = st.lists(st.tuples(st.sampled_from(["a", "utm_source", "utm_medium", "b c"]), WORDS), max_size=4)


@given(
    query=PAIRS.map(lambda pairs: "&".join(f"{k.replace(' ', '+')}={re.sub('[&#]', '', v)}" for k, v in pairs)),
    path=st.sampled_from(["", "/", "/a/b", "/\u00e9;p"]),
    fragment=st.sampled_from(["", "#", "#z?x=1"]),
    tags=st.dictionaries(st.sampled_from(["utm_source", "utm_medium", "utm_campaign"]), WORDS, max_size=3),
    overwrite=st.booleans(),
)  # fmt: skip
def test_utm_is_merged_as_urllib_reads_it(query: str, path: str, fragment: str, tags: Any, overwrite: bool) -> None:
    url = f"https://a.example{path}{'?' + query if query else ''}{fragment}"
    made = tagged(url, tags, overwrite=overwrite)
    before, after = urlsplit(url), urlsplit(made)
    assert (after.scheme, after.netloc, after.path, after.fragment) == (
        before.scheme, before.netloc, before.path, before.fragment,
    )  # fmt: skip
    had = parse_qsl(before.query, keep_blank_values=True)
    adding = {k: v for k, v in tags.items() if overwrite or k not in dict(had)}
    expected = [pair for pair in had if pair[0] not in adding] + list(adding.items())
    assert parse_qsl(after.query, keep_blank_values=True) == expected
    assert tagged(made, tags) == made


def test_other_parameters_keep_every_character() -> None:
    url = "https://a.example/x?b=%7e&A=%2B+&&c&utm_source=own#f"
    assert tagged(url, {"utm_medium": "e mail"}) == (
        "https://a.example/x?b=%7e&A=%2B+&&c&utm_source=own&utm_medium=e+mail#f"
    )
    assert tagged("https://a.example", {"utm_source": "d"}) == "https://a.example?utm_source=d"
    assert tagged(url, {"utm_source": "d"}) is url


HTML = '<a href="https://a.example/?x=1&amp;y=2">a</a> <img src="https://a.example/i.png"> https://a.example/text'


@pytest.mark.parametrize(
    ("message", "urls"),
    [
        (Email(TO, "https://a.example/subject", "See https://a.example/t.", HTML), 2),
        (Sms("+1", "See https://a.example/t", media_urls=("https://a.example/i.png",)), 1),
        (Chat("x", "<https://a.example/t|here>", {"blocks": [{"url": "https://a.example/b"}]}), 1),
        (Chat("x", '<a href="https://a.example/?x&amp;y">z</a>', {"parse_mode": "HTML"}), 1),
        (Webhook({"url": "https://a.example/w"}, "https://a.example/hook"), 0),
    ],
)
def test_only_what_people_read_is_rewritten(message: Message, urls: int) -> None:
    places = shortening.places(message)
    found = places.urls()
    assert len(found) == urls
    made = places.rewritten(dict.fromkeys(found, "https://s.example/1"))
    for name in type(message).__dataclass_fields__:
        if name not in ("html", "text", "body"):
            assert getattr(made, name) == getattr(message, name)
    again = shortening.places(made)
    assert set(again.urls()) <= {"https://s.example/1"}
    assert places.rewritten({}) is message


def test_images_are_shortened_where_that_is_asked_for() -> None:
    message = Email(TO, "x", None, HTML)
    assert shortening.places(message, images=True).urls() == ["https://a.example/?x=1&y=2", "https://a.example/i.png"]
