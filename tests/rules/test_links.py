"""Tokens: the same every time, ours alone, and good for one purpose."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.errors import BadSettings, Invalid, Unauthorized
from dripdrop.rules import links

SECRET, OLD = b"s" * 32, b"o" * 32
PAYLOAD = {"t": "acme", "c": "email", "r": "ann@example.org"}


def test_a_token_says_what_was_signed() -> None:
    assert links.read(links.sign(PAYLOAD, SECRET), [SECRET], "unsubscribe") == PAYLOAD


def test_the_same_payload_gives_the_same_token_in_whatever_order() -> None:
    token = links.sign(PAYLOAD, SECRET)
    assert token == links.sign(dict(reversed(PAYLOAD.items())), SECRET)
    assert token == ("eyJjIjoiZW1haWwiLCJyIjoiYW5uQGV4YW1wbGUub3JnIiwidCI6ImFjbWUifQ.xJs-2XqEwTVM5itXGhcjrQ")


def test_it_can_stand_in_a_url() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", links.sign({"r": "ünï?&/+ "}, SECRET))


def test_an_old_secret_is_good_while_it_is_listed() -> None:
    token = links.sign(PAYLOAD, OLD)
    assert links.read(token, [SECRET, OLD]) == PAYLOAD
    refused(token, [SECRET])


def refused(token: Any, secrets: list[bytes], purpose: str = "unsubscribe") -> None:
    with pytest.raises(Unauthorized) as problem:
        links.read(token, secrets, purpose)
    assert problem.value.code == "invalid_token"


def test_a_token_is_good_for_one_purpose() -> None:
    refused(links.sign(PAYLOAD, SECRET, "session"), [SECRET], "unsubscribe")
    refused(links.sign(PAYLOAD, SECRET), [SECRET], "session")
    assert links.read(links.sign(PAYLOAD, SECRET, "session"), [SECRET], "session") == PAYLOAD


def test_no_character_of_a_token_can_be_changed() -> None:
    token = links.sign(PAYLOAD, SECRET)
    for place, letter in enumerate(token):
        for other in "A.":
            if other != letter:
                refused(token[:place] + other + token[place + 1 :], [SECRET])


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    token = links.sign(PAYLOAD, SECRET)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    for other in (twin, token + "=", token + "\n", " " + token, token + "."):
        refused(other, [SECRET])


@given(st.one_of(st.text(), st.binary(), st.none()))
def test_rubbish_is_refused(token: Any) -> None:
    refused(token, [SECRET])


def test_without_a_secret_nothing_is_signed_and_nothing_is_read() -> None:
    with pytest.raises(BadSettings):
        links.sign(PAYLOAD, b"")
    refused(links.sign(PAYLOAD, SECRET), [])
    refused(links.sign(PAYLOAD, SECRET), [b""])


def test_a_payload_must_be_json_and_small() -> None:
    with pytest.raises(Invalid):
        links.sign({"x": object()}, SECRET)
    with pytest.raises(Invalid):
        links.sign({"x": "y" * 5000}, SECRET)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=20), st.integers(-(2**53), 2**53), st.none())))
def test_whatever_is_signed_is_read_back(payload: dict[str, Any]) -> None:
    assert links.read(links.sign(payload, SECRET), [OLD, SECRET]) == payload


def test_an_unsubscribe_token_names_who_and_from_what() -> None:
    ids = {"sequence": UUID(int=1), "execution": UUID(int=2)}
    token = links.unsubscribe_token(SECRET, tenant_key="acme", channel="email", recipient="a@b.org", **ids)
    assert links.read_unsubscribe(token, [SECRET]) == links.Unsubscribe(
        "acme", "email", "a@b.org", str(UUID(int=1)), str(UUID(int=2))
    )
    bare = links.unsubscribe_token(SECRET, tenant_key="", channel="email", recipient="a@b.org")
    assert links.read_unsubscribe(bare, [SECRET]) == links.Unsubscribe("", "email", "a@b.org")


def test_an_unsubscribe_token_without_a_recipient_is_refused() -> None:
    with pytest.raises(Unauthorized):
        links.read_unsubscribe(links.sign({"c": "email"}, SECRET), [SECRET])
