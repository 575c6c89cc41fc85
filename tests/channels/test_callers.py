"""Is a call refused that does not come from the provider, and is its body read as it was meant?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.email.letters import NOW, letter

from dripdrop.channels import bodies, callers
from dripdrop.channels.email import EmailProvider
from dripdrop.channels.email.mail import read
from dripdrop.channels.email.provider import event_key
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.message import Sms

CONFIG = {"now": NOW}


def refused(ask, *args):
    with pytest.raises(Unauthorized) as caught:
        ask(*args)
    return caught.value.code


def misread(ask, *args):
    with pytest.raises(Invalid) as caught:
        ask(*args)
    return caught.value.code


@pytest.mark.parametrize("seconds", [0, 299, -299, 300, -300])
def test_within_the_window_a_call_is_fresh_whichever_clock_is_ahead(seconds):
    callers.fresh(str(int(NOW.timestamp()) + seconds), CONFIG)


@pytest.mark.parametrize("stamp", [NOW.timestamp() + 301, NOW.timestamp() - 301, "soon", None, "nan", "inf", ""])
def test_outside_it_or_without_a_time_that_makes_sense_it_is_not(stamp):
    assert refused(callers.fresh, stamp, CONFIG) == "webhook_expired"


def test_the_window_is_a_setting_that_is_read_at_each_call():
    late = NOW.timestamp() - 900
    callers.fresh(late, {**CONFIG, "webhook_replay_skew_seconds": 1000})
    assert refused(callers.fresh, late, {**CONFIG, "webhook_replay_skew_seconds": 0}) == "webhook_expired"


def test_without_a_secret_nothing_is_believed():
    for config in ({}, {"key": ""}, {"key": []}, {"key": None}, {"key": [None, 5]}):
        assert refused(callers.secrets, config, "key") == "webhook_secret_missing"
    assert callers.secrets({"key": ["new", "old"], "other": "third"}, "key", "other") == ("new", "old", "third")


def test_a_header_that_is_missing_and_a_signature_that_is_none_are_refused():
    assert refused(callers.header, {}, "X-Signature") == "webhook_signature"
    assert refused(callers.unbase64, "not base64!") == "webhook_signature"


@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b"NaN", b"<html>", b'{"a": 1'])
def test_what_is_no_json_is_said_to_be_none(body):
    assert misread(bodies.json_object, body) == "webhook_unparseable"


def test_json_of_another_shape_is_not_what_was_expected():
    assert misread(bodies.json_object, b"[]") == misread(bodies.json_objects, b"{}") == "webhook_unparseable"
    assert misread(bodies.json_objects, b"[1]") == "webhook_unparseable"
    assert bodies.json_objects(b'[{"a": 1}, {}]') == [{"a": 1}, {}]


@given(
    st.dictionaries(
        st.text("abcdefgh-_", min_size=1, max_size=8),
        st.binary(max_size=200) | st.text(max_size=50).map(str.encode),
        min_size=1,
        max_size=6,
    )
)
def test_a_form_that_somebody_else_wrote_is_read_byte_for_byte(fields):
    for made in ({"files": {name: (None, value) for name, value in fields.items()}}, {"data": fields}):
        request = requests.Request("POST", "https://example.com", **made).prepare()
        kind = request.headers["Content-Type"]
        body = request.body if isinstance(request.body, bytes) else request.body.encode()
        assert bodies.form(body, {"content-type": kind}) == fields


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=1", "text/plain"),
        (b"a=1", ""),
        (b"whatever", "multipart/form-data"),
        (b"whatever", "multipart/form-data; boundary=xx"),
        (b"--xx\r\n\r\n", "multipart/form-data; boundary=xx"),
        (b"&".join([b"a=1"] * 1001), "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_form_is_said_to_be_none(body, kind):
    assert misread(bodies.form, body, {"content-type": kind}) == "webhook_unparseable"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1893456000, 0),
        (1893456000.25, 0.25),
        ("1893456000", 0),
        ("2030-01-01T00:00:00Z", 0),
        ("2030-01-01T01:00:00.5+01:00", 0.5),
        ("2030-01-01 00:00:00", 0),
        ("Tue, 01 Jan 2030 01:00:00 +0100", 0),
    ],
)
def test_a_time_is_read_however_it_is_written(value, seconds):
    assert bodies.moment(value) == datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans(), st.lists(st.text())))
def test_no_time_is_worth_an_error(value):
    found = bodies.moment(value)
    assert found is None or found.tzinfo is UTC


@given(st.recursive(st.none() | st.text(max_size=3), lambda inner: st.dictionaries(st.sampled_from("ab"), inner)))
def test_a_path_through_anything_ends_in_something_or_none(payload):
    assert bodies.string(payload, "a", "b") is None or isinstance(bodies.string(payload, "a", "b"), str)


def test_an_events_key_tells_and_stays_short():
    assert event_key("Open", None, "", 7) == "Open|7"
    assert event_key(None, "") is None
    assert len(event_key("x" * 5000)) == 64


def test_only_an_email_can_be_read_as_one_and_it_needs_somebody_to_go_to():
    assert misread(read, letter(Sms("+15550100", "hi")), CONFIG) == "not_an_email"
    assert misread(read, letter(to=()), CONFIG) == "recipient_missing"


@pytest.mark.parametrize("credentials", [{}, {"api_key": ""}, {"api_key": " "}, {"api_key": None}, {"api_key": 5}])
def test_a_missing_key_is_named(credentials):
    assert EmailProvider().validate_credentials(credentials) == [("api_key", "is required")]
