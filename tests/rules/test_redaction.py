"""Secrets go, everything else stays, and nothing breaks."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.rules.redaction import REDACTED, evidence, is_secret_key, redact, redact_text


@pytest.mark.parametrize(
    "key",
    [
        "api_key", "apiKey", "API-KEY", "X-Api-Key", "client_secret", "secret", "access_token", "deviceToken", "token",
        "password", "smtp_password", "Authorization", "proxy-authorization", "bearer", "credential", "credentials",
        "auth", "basic_auth", "authConfig", "private_key", "privateKey", "aws_secret_access_key", "Set-Cookie",
    ],
)  # fmt: skip
def test_a_key_that_names_a_secret_hides_its_value(key: str) -> None:
    assert is_secret_key(key)
    assert redact({key: {"anything": 1}}) == {key: REDACTED}


@pytest.mark.parametrize("key", ["author", "authority", "key", "name", "step_key", "path", "pass_count", "status"])
def test_a_harmless_key_keeps_its_value(key: str) -> None:
    assert redact({key: "x"}) == {key: "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api_key=secret-value", "api_key=[REDACTED]"),
        ("password: open-sesame", "password: [REDACTED]"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: [REDACTED]"),
        ("sent Bearer abcdef123456 twice", "sent Bearer [REDACTED] twice"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": "[REDACTED]", "n": 1}'),
        ("https://h/p?token=abc&x=1", "https://h/p?token=[REDACTED]&x=1"),
        ("postgresql://ann:hunter2@db/x", "postgresql://ann:[REDACTED]@db/x"),
        ("550 5.1.1 no such user", "550 5.1.1 no such user"),
        ("client_secret => 'abc'", "client_secret => '[REDACTED]'"),
    ],
)
def test_secrets_in_text(text: str, expected: str) -> None:
    assert redact_text(text) == expected
    assert redact(("x", [text])) == ("x", [expected])


def test_own_patterns_keep_their_first_two_groups() -> None:
    assert redact("ssn=123-45-6789!", [r"(ssn)(=)[\d-]+"]) == "ssn=[REDACTED]!"
    assert redact("card 4111111111111111", [r"\b\d{16}\b"]) == "card [REDACTED]"


def test_what_is_not_text_passes_as_it_is() -> None:
    values = [1, 1.5, True, None, Decimal("1.10"), date(2030, 3, 1), datetime(2030, 3, 1, tzinfo=UTC), UUID(int=1)]
    assert redact(values) == values
    assert redact(timedelta(1)) == timedelta(1)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Adapter:
    name: str
    api_key: str


Pair = namedtuple("Pair", "a b")


def test_objects_become_what_can_be_shown() -> None:
    assert redact(Adapter("main", "k")) == {"name": "main", "api_key": REDACTED}
    assert redact(b"\x00secret") == "<7 bytes>"
    assert redact(object()) == "<object>"
    assert redact(Colour.RED) == "red"
    assert redact(Pair("a", "token=x")) == ("a", "token=[REDACTED]")
    assert redact({"a"}) == ["a"]
    assert redact(ValueError("password=x")) == "ValueError: password=[REDACTED]"


def test_the_value_given_is_not_changed() -> None:
    given_ = {"token": "x", "list": ["secret=y"]}
    redact(given_)
    assert given_ == {"token": "x", "list": ["secret=y"]}


def test_a_cycle_ends_and_a_repeated_value_is_no_cycle() -> None:
    ring: dict[str, Any] = {"a": 1}
    ring["self"] = ring
    assert redact(ring) == {"a": 1, "self": "[CYCLE]"}
    shared = ["x"]
    assert redact([shared, shared]) == [["x"], ["x"]]


def test_depth_is_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    assert "[TOO DEEP]" in str(redact(deep))
    assert "[TOO DEEP]" in str(evidence({"x": deep}))


fragments = st.lists(
    st.one_of(
        st.sampled_from(
            ["api_key", "token", "password", "Bearer ", "basic ", "authorization", "=", ": ", '"', "'", " ", "&", "://",
             "a:b@", "[REDACTED]", "=>", "secret", "<", ">", "abcdef", "\n"]
        ),
        st.text(max_size=8),
    ),
    max_size=12,
).map("".join)  # fmt: skip
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), fragments, st.binary(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4), st.tuples(inner)
    ),
    max_leaves=12,
)


@given(values)
def test_twice_is_the_same_as_once(value: Any) -> None:
    once = redact(value)
    assert redact(once) == once


@given(st.one_of(st.dictionaries(st.one_of(st.text(), st.integers()), values), values))
def test_evidence_is_always_small_json(value: Any) -> None:
    kept = evidence(value)
    assert isinstance(kept, dict)
    assert len(orjson.dumps(kept)) < 200_000
    assert "\x00" not in str(kept)


def test_evidence_holds_no_secret_no_address_and_no_content() -> None:
    kept = evidence({"status": 400, "recipient": "a@b.c", "body": "<html>", "api_key": "k", "code": "token=abc"})
    assert kept == {
        "status": 400,
        "recipient": REDACTED,
        "body": REDACTED,
        "api_key": REDACTED,
        "code": "token=[REDACTED]",
    }


def test_a_secret_cannot_hide_at_the_end_of_a_long_key() -> None:
    for length in (90, 199, 300):
        key = "x" * length + "_password"
        assert "open-sesame" not in str(redact({key: "open-sesame"}))
        assert "open-sesame" not in str(evidence({key: "open-sesame"}))


def test_evidence_is_bounded_everywhere() -> None:
    assert evidence({"x": "y" * 10_000}) == {"x": "y" * 500}
    assert len(evidence({str(n): n for n in range(1000)})) == 50
    assert len(evidence({"x": list(range(1000))})["x"]) == 50
    wide = {str(n): {str(m): {str(k): k for k in range(60)} for m in range(60)} for n in range(60)}
    assert len(orjson.dumps(evidence(wide))) < 10_000


def test_evidence_speaks_json() -> None:
    given_ = {
        "d": Decimal("1.5"), "at": datetime(2030, 3, 1, tzinfo=UTC), "id": UUID(int=1), "nan": math.nan,
        "inf": math.inf, "huge": 10**30, "nul": "a\x00b", "half": "\ud800", 5: {1}, "raw": b"abc", "o": object(),
    }  # fmt: skip
    kept = evidence(given_)
    assert orjson.loads(orjson.dumps(kept)) == kept
    assert kept["nul"] == "ab"
    assert kept["huge"] == "1" + "0" * 30
    assert kept["raw"] == "<3 bytes>"
    assert kept["o"] == "<object>"


@pytest.mark.parametrize("nothing", [None, "token", 5, [1], ("ok", 1)])
def test_what_is_no_mapping_is_no_evidence(nothing: Any) -> None:
    assert evidence(nothing) == {}
