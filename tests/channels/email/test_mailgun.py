"""Does Mailgun get what it asks for, and is each of its webhooks believed once?"""

from __future__ import annotations

import hashlib
import hmac
import json
from email.parser import BytesParser
from urllib.parse import parse_qsl, urlencode

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.anymail_oracle import basic, sends
from tests.channels.email.letters import FULL, NOW, PLAIN, letter

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.channels.email.mailgun import MailgunProvider
from dripdrop.channels.http import Sender
from dripdrop.contracts import DELIVERY_KEY, HttpResponse, Verified
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.outcome import Accepted, Askable, CannotTell, NotFound, Rejected, Unknown

MAILGUN = MailgunProvider()
CONFIG = {"api_key": "key-1", "domain": "mg.example.com", "webhook_signing_key": "sign-1", "now": NOW}
STAMP = str(int(NOW.timestamp()))
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def fields_of(body, kind):
    """(name, filename, content) of each field, read by the standard library."""
    body = body if isinstance(body, bytes) else (body or "").encode()
    if kind.startswith("application/x-www-form-urlencoded"):
        return sorted((name, None, value.encode()) for name, value in parse_qsl(body.decode(), True))
    parsed = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return sorted(
        (
            part.get_param("name", header="content-disposition"),
            part.get_param("filename", header="content-disposition"),
            part.get_payload(decode=True),
        )
        for part in parsed.get_payload()
    )


def fields(request):
    return fields_of(request.body, dict(request.headers)["content-type"])


def answered(status, said=None, body=None):
    return MAILGUN.outcome(HttpResponse(status, {}, json.dumps(said).encode() if body is None else body))


def signature(token="t" * 50, stamp=STAMP, key="sign-1"):
    signed = hmac.new(key.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    return {"timestamp": stamp, "token": token, "signature": signed}


def verified(body, headers=JSON, **config):
    try:
        return MAILGUN.verify_webhook(body, headers, {**CONFIG, **config})
    except Unauthorized:
        return None


def event(**more):
    return json.dumps({"signature": signature(), "event-data": {"event": "delivered"}, **more}).encode()


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
def test_anymail_would_send_the_same(message):
    step = {"tags": ["welcome", "trial"], "metadata": {"plan": "pro"}, "provider_options": {"o:testmode": "yes"}}
    ours = MAILGUN.request(letter(message, step=step), CONFIG)
    theirs = sends(
        "mailgun",
        message,
        api_key="key-1",
        sender_domain="mg.example.com",
        metadata={"plan": "pro", DELIVERY_KEY: str(letter().id)},
        tags=["welcome", "trial"],
        options={"o:testmode": "yes"},
    )
    assert fields(ours) == fields_of(theirs.body, theirs.headers["Content-Type"])
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert dict(ours.headers)["authorization"] == theirs.headers["Authorization"] == basic("api", "key-1")


def test_equal_messages_make_equal_bodies_and_content_cannot_end_a_part():
    made = MAILGUN.request(letter(FULL), CONFIG)
    assert made == MAILGUN.request(letter(FULL), CONFIG)
    boundary = dict(made.headers)["content-type"].partition("boundary=")[2]
    hostile = letter(FULL, text=f"\r\n--{boundary}--\r\n")
    again = MAILGUN.request(hostile, CONFIG)
    assert ("text", None, f"\r\n--{boundary}--\r\n".encode()) in fields(again)


def test_our_message_id_is_set_and_found_again():
    made = MAILGUN.request(letter(message_id="a.0@example.com"), CONFIG)
    assert ("h:Message-Id", None, b"<a.0@example.com>") in fields(made)
    assert answered(200, {"id": "<a.0@example.com>", "message": "Queued."}).provider_message_id == "a.0@example.com"


@pytest.mark.parametrize("option", ["to", "bcc", "h:Cc", "recipient-variables", f"v:{DELIVERY_KEY}"])
def test_no_option_may_send_it_to_somebody_else(option):
    with pytest.raises(Invalid):
        MAILGUN.request(letter(step={"provider_options": {option: "eve@example.net"}}), CONFIG)


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (400, "to parameter is not a valid address. please check documentation", ("permanent", "recipient")),
        (400, "from parameter is not a valid address", ("temporary", "adapter")),
        (400, "text is missing", ("permanent", "message")),
        (401, "Forbidden", ("temporary", "adapter")),
        (403, "Domain is not allowed to send", ("temporary", "adapter")),
        (404, "Domain not found: mg.example.com", ("temporary", "adapter")),
        (413, "too large", ("permanent", "message")),
        (429, "slow down", ("temporary", "throttled")),
    ],
)
def test_an_error_says_whose_fault_it_is(status, said, outcome):
    found = answered(status, {"message": said})
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_after_any_5xx_it_may_have_been_sent(status):
    assert isinstance(answered(status, {"message": "oops"}), Unknown)


def test_a_wrong_address_of_the_api_sent_nothing_and_an_answer_without_an_id_may_have():
    wrong = answered(200, body=b"Mailgun Magnificent API")
    assert (wrong.kind, wrong.cause, wrong.detail["reason"]) == ("temporary", "adapter", "wrong_endpoint")
    assert isinstance(answered(200, {}), Unknown)


async def test_in_doubt_it_is_asked_by_our_message_id():
    asked = []

    def handle(request):
        asked.append(request)
        return httpx2.Response(200, json={"items": [{"message": {"headers": {"message-id": "a.0@example.com"}}}]})

    speaker = Speaker(Sender(transport=httpx2.MockTransport(handle)))
    assert isinstance(doubt(MAILGUN), Askable)
    found = await speaker.find(MAILGUN, letter(message_id="a.0@example.com"), CONFIG, timeout=5)
    assert found == Accepted("a.0@example.com")
    assert asked[0].url.path == "/v3/mg.example.com/events"
    assert dict(asked[0].url.params) == {"message-id": "a.0@example.com", "limit": "1"}
    assert isinstance(await speaker.find(MAILGUN, letter(), CONFIG, timeout=5), CannotTell)
    assert len(asked) == 1


def test_not_found_is_no_answer_and_trouble_is_none_either():
    assert MAILGUN.found(HttpResponse(200, {}, b'{"items": []}')) == NotFound()
    assert MAILGUN.found(HttpResponse(401)) == CannotTell({"status": 401})


def test_credentials_need_a_domain_and_no_path():
    assert MAILGUN.validate_credentials({"api_key": "k", "domain": "mg.example.com"}) == []
    assert MAILGUN.validate_credentials({}) == [("api_key", "is required"), ("domain", "is required")]
    [(field, _)] = MAILGUN.validate_credentials({"api_key": "k", "domain": "mg.example.com/x"})
    assert field == "domain"


def test_a_check_asks_for_the_domain():
    assert MAILGUN.check_request(CONFIG).url == "https://api.mailgun.net/v3/mg.example.com/events?limit=1"
    assert MAILGUN.check_request({**CONFIG, "base_url": "https://api.eu.mailgun.net/v3/"}).url.startswith(
        "https://api.eu.mailgun.net/v3/mg.example.com/"
    )
    assert MAILGUN.checked(HttpResponse(200)) is None
    assert "401" in MAILGUN.checked(HttpResponse(401, {}, b'{"message": "Forbidden"}'))


def test_a_good_signature_holds_for_its_token_once():
    assert verified(event()) == Verified(once=("t" * 50,))
    assert verified(urlencode({**signature(), "recipient": "x@example.com"}).encode(), FORM) == Verified(("t" * 50,))


def test_a_parent_account_may_sign_and_keys_may_rotate():
    wrong, parent = signature(key="other"), signature("p" * 50, key="parent-1")
    both = {"signature": wrong, "parent-signature": parent}
    assert verified(event(**both)) is None
    assert verified(event(**both), webhook_parent_signing_key="parent-1") == Verified(("p" * 50,))
    assert verified(event(), webhook_signing_key=["sign-2", "sign-1"]) is not None


@pytest.mark.parametrize(
    "body",
    [
        event(signature=signature(key="other")),
        event(signature=signature(stamp=str(int(STAMP) - 301))),
        event(signature={**signature(), "token": ""}),
        event(signature=None),
        event(signature="x"),
        b"{}",
        b"[]",
        b"not json",
    ],
)
def test_a_wrong_old_or_missing_signature_is_refused(body):
    assert verified(body) is None


def test_the_api_key_never_stands_in_for_the_signing_key():
    body = event(signature=signature(key="key-1"))
    assert verified(body, webhook_signing_key=None) is None


@given(st.sampled_from(["timestamp", "token", "signature"]), st.integers(0, 9), st.sampled_from("0123456789abcdefz"))
def test_with_any_character_changed_it_does_not_hold(name, at, character):
    signed = signature()
    changed = signed[name][:at] + character + signed[name][at + 1 :]
    held = verified(event(signature={**signed, name: changed}))
    assert (held is not None) == (changed == signed[name])
