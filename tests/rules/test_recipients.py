"""One person, one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop import recipients
from dripdrop.errors import Invalid
from dripdrop.rules.recipients import email_address, email_domain, is_email, normalize, recipient_domain
from effort import at_once


@pytest.mark.parametrize(
    ("channel", "value", "region", "expected"),
    [
        ("email", "  Ann@Example.ORG ", "US", "ann@example.org"),
        ("email", "Ann@MÜNCHEN.de", "US", "ann@xn--mnchen-3ya.de"),
        ("email", "ann@xn--mnchen-3ya.de", "US", "ann@xn--mnchen-3ya.de"),
        ("email", "ann@straße.de", "US", "ann@xn--strae-oqa.de"),
        ("email", "JOSÉ@example.org", "US", "josé@example.org"),
        ("email", "jose\u0301@example.org", "US", "josé@example.org"),
        ("sms", "202-555-1234", "US", "+12025551234"),
        ("whatsapp", "202-555-1234", "US", "+12025551234"),
        ("whatsapp", " US.12025551234 ", "US", "US.12025551234"),
        ("whatsapp", "US.ENT.11815799212886844830", "US", "US.ENT.11815799212886844830"),
        ("sms", "020 7946 0018", "GB", "+442079460018"),
        ("sms", "020 7946 0018", "gb", "+442079460018"),
        ("sms", "(555) 123-4567", "US", "+15551234567"),
        ("sms", "1 555 123 4567", "US", "+15551234567"),
        ("sms", "(555) 123-4567", "FR", "5551234567"),
        ("sms", "+999 12", "US", "+99912"),
        ("sms", "12345", "US", "12345"),
        ("sms", "abc", "US", "abc"),
        ("slack", " C012AB3CD ", "US", "C012AB3CD"),
        ("telegram", " @AnnB ", "US", "@annb"),
        ("telegram", "-100123", "US", "-100123"),
        ("webhook", " https://h.example/X ", "US", "https://h.example/X"),
        ("carrier_pigeon", " Ann ", "US", "Ann"),
    ],
)
def test_one_spelling(channel: str, value: str, region: str, expected: str) -> None:
    assert normalize(channel, value, region) == expected


def test_it_is_public() -> None:
    assert recipients.normalize("email", "A@B.ORG") == "a@b.org"


@pytest.mark.parametrize("value", [None, 5, b"ann@example.org"])
def test_what_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        normalize("email", value)  # type: ignore[arg-type]
    assert refused.value.code == "recipient_not_text"


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(Invalid, match="too long"):
        normalize("email", "a" * 3000 + "@example.org")


@given(st.sampled_from(["email", "slack", "telegram", "webhook"]), st.text(max_size=60))
def test_twice_is_the_same_as_once(channel: str, value: str) -> None:
    once = normalize(channel, value)
    assert normalize(channel, once) == once


@given(st.text("0123456789+-() ٣x", max_size=16), st.sampled_from(["US", "GB", "DE"]))
def test_a_number_normalized_twice_is_the_same(value: str, region: str) -> None:
    once = normalize("sms", value, region)
    assert normalize("sms", once, region) == once


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Ann <Ann@Example.org>", "ann@example.org"),
        ("a@b.org, c@d.org", "a@b.org"),
        ("mail ann@example.org.", "ann@example.org"),
        ("Ann <ann@münchen.de>", "ann@xn--mnchen-3ya.de"),
        ("no address @ all", None),
        ("ann@localhost", None),
        ("", None),
        (None, None),
    ],
)
def test_the_first_address_in_a_text(text: str | None, address: str | None) -> None:
    assert email_address(text) == address
    assert email_domain(text) == (address.partition("@")[2] if address else None)


@pytest.mark.parametrize(
    ("recipient", "domain"),
    [
        ("Ann <ann@Example.org>", "example.org"),
        ({"to": "ann@a.org", "recipient": "x@b.org"}, "a.org"),
        ({"recipient": "ann@b.org"}, "b.org"),
        ({"to": ["ann@c.org"]}, "c.org"),
        ({"to": []}, None),
        ("+12025551234", None),
        (None, None),
    ],
)
def test_the_domain_of_a_recipient(recipient: object, domain: str | None) -> None:
    assert recipient_domain(recipient) == domain  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (" ann@example.org ", True), ("ann+tag@sub.example.org", True), ("o'neil@example.org", True),
        ("ann@münchen.de", True), ("ann", False), ("ann@example", False), ("ann@@example.org", False),
        ("a b@example.org", False), ("ann@example.org\nbcc: x@y.org", False), ("Ann <ann@example.org>", False),
        (".ann@example.org", False), ("ann.@example.org", False), ("an..n@example.org", False),
        ("a" * 65 + "@example.org", False),
    ],
)  # fmt: skip
def test_what_is_an_address(text: str, good: bool) -> None:
    assert is_email(text) is good


@pytest.mark.parametrize("text", ["a" * 65536, "a@" * 30000, "a@" + "b." * 30000, "@" * 65536, "a." * 30000 + "@"])
def test_a_hostile_text_costs_no_time(text: str) -> None:
    with at_once():
        email_address(text)
        is_email(text)
