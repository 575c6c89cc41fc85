"""Does MailerSend get what it asks for, and do we understand its answers?"""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.anymail_oracle import sends
from tests.channels.email.letters import FULL, NOW, PLAIN, letter

from dripdrop.channels.deliver import doubt
from dripdrop.channels.email.mailersend import MailerSendProvider
from dripdrop.contracts import DELIVERY_KEY, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.message import Address, Attachment
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

MAILERSEND = MailerSendProvider()
CONFIG = {"api_key": "mlsn.key", "now": NOW}
OUR_TAG = f"{DELIVERY_KEY}:{letter().id}"


def payload(message=PLAIN, *, step=None):
    return json.loads(MAILERSEND.request(letter(message, step=step), CONFIG).body)


def answered(status, said=None, **headers):
    return MAILERSEND.outcome(HttpResponse(status, headers, b"" if said is None else json.dumps(said).encode()))


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
def test_anymail_would_send_the_same(message):
    threaded = (("In-Reply-To", "<a@example.com>"), ("Precedence", "bulk"), ("References", "<a@example.com>"))
    message = letter(message, headers=(*message.headers, *threaded)).message
    options = {"settings": {"track_clicks": False}}
    ours = MAILERSEND.request(letter(message, step={"tags": ["welcome"], "provider_options": options}), CONFIG)
    theirs = sends("mailersend", message, api_token="mlsn.key", tags=["welcome", OUR_TAG], options=options)
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    named = dict(ours.headers)
    assert {name: theirs.headers[name] for name in named} == named


@pytest.mark.parametrize(
    ("step", "changes", "feature"),
    [
        ({"metadata": {"plan": "pro"}}, {}, "metadata"),
        ({"tags": ["a", "b", "c", "d", "e"]}, {}, "several_tags"),
        ({"tags": ["a" * 192]}, {}, "tags"),
        ({}, {"reply_to": (Address("a@example.com"), Address("b@example.com"))}, "several_reply_to"),
        ({}, {"attachments": (Attachment("", b"x"),)}, "attachments"),
    ],
)
def test_what_it_cannot_carry_is_refused_by_name(step, changes, feature):
    with pytest.raises(Invalid) as caught:
        MAILERSEND.request(letter(PLAIN, step=step, **changes), CONFIG)
    assert (caught.value.code, caught.value.findings[0].path) == ("unsupported", feature)


@pytest.mark.parametrize("option", ["to", "bcc", "personalization", "subject", "tags"])
def test_no_option_may_send_it_to_somebody_else(option):
    with pytest.raises(Invalid) as caught:
        payload(step={"provider_options": {option: []}})
    assert caught.value.code == "provider_option"


@pytest.mark.parametrize(
    ("status", "errors", "message", "outcome"),
    [
        (401, {}, "Unauthenticated.", ("temporary", "adapter")),
        (403, {}, "This action is unauthorized.", ("temporary", "adapter")),
        (421, {}, "Service isn't available, try again later", ("temporary", "throttled")),
        (422, {"from.email": ["..."]}, "The from.email domain must be verified. #MS42207", ("temporary", "adapter")),
        (422, {"to.0.email": ["..."]}, "The to.0.email must be valid. #MS42209", ("permanent", "recipient")),
        (422, {"to": ["..."]}, "Trial account unique recipients limit. #MS42225", ("temporary", "adapter")),
        (422, {"attachments.0": ["..."]}, "The attachment is not allowed.", ("permanent", "message")),
        (429, {}, "Too Many Attempts.", ("temporary", "throttled")),
        (500, {}, "Server Error", ("temporary", "message")),
    ],
)
def test_an_error_says_whose_fault_it_is(status, errors, message, outcome):
    found = answered(status, {"message": message, "errors": errors})
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome


def test_accepted_by_the_id_of_the_header_and_nothing_can_be_done_about_a_doubt():
    assert (
        answered(202, **{"x-message-id": "5e42957d51f1d94a1070a733"}).provider_message_id == "5e42957d51f1d94a1070a733"
    )
    assert isinstance(answered(504), Unknown)
    assert isinstance(doubt(MAILERSEND), Neither)


def warned(kind, *reasons):
    recipient = {"email": "ann@example.org", "name": None, "reasons": list(reasons)}
    return {
        "message": "There are some warnings for your request.",
        "warnings": [{"type": kind, "recipients": [recipient]}],
    }


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("hard_bounced", ("bounced", "recipient")),
        ("unsubscribed", ("permanent", "opted_out")),
        ("spam_complaint", ("permanent", "opted_out")),
        ("blocklisted", ("permanent", "recipient")),
    ],
)
def test_what_went_to_nobody_was_not_sent(reason, outcome):
    found = answered(202, warned("ALL_SUPPRESSED", reason))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert "ann@" not in repr(found)
    assert isinstance(answered(202, warned("SOME_SUPPRESSED", reason), **{"x-message-id": "1"}), Accepted)


def test_a_check_asks_for_the_quota():
    assert MAILERSEND.check_request(CONFIG).url == "https://api.mailersend.com/v1/api-quota"
    assert MAILERSEND.checked(HttpResponse(200)) is None
    assert "401" in MAILERSEND.checked(HttpResponse(401, {}, b'{"message": "Unauthenticated."}'))


BODY = rb'{"type":"activity.delivered","url":"https:\/\/example.com\/hook"}'
SIGNATURE = hmac.new(b"hook-1", BODY, hashlib.sha256).hexdigest()


def holds(body=BODY, signature=SIGNATURE, **secrets):
    try:
        MAILERSEND.verify_webhook(body, {"signature": signature} if signature else {}, {**CONFIG, **secrets})
    except Unauthorized:
        return False
    return True


def test_the_secret_of_the_webhook_or_of_the_route_signs_and_the_api_key_does_not():
    assert holds(webhook_secret="hook-1")
    assert holds(webhook_secret="other", inbound_secret="hook-1")
    assert holds(webhook_secret=["new", "hook-1"])
    assert not holds(api_key="hook-1")
    assert not holds(signature="", webhook_secret="hook-1")


@given(st.integers(0, len(BODY) - 1), st.integers(0, 255))
def test_with_any_byte_changed_it_does_not_hold(at, byte):
    changed = BODY[:at] + bytes((byte,)) + BODY[at + 1 :]
    assert holds(changed, webhook_secret="hook-1") == (changed == BODY)


# The ping of a webhook that has no secret yet, as Symfony's tests have it from MailerSend:
# https://github.com/symfony/symfony, MailerSendRequestParserTest.
PING = b'{"type":"webhook.test","message":"This is a ping test message","created_at":"2026-04-08T12:19:27.608339Z"}'
PINGED = {"signature": "7fb29be5b1cdb588ee67fa43a0a9d1b394cbb9603a0ac0b87924649d715194c2"}
PUBLISHED = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"


def test_a_ping_is_answered_before_there_is_a_secret_so_that_the_webhook_can_be_saved():
    MAILERSEND.verify_webhook(PING, PINGED, CONFIG)
    assert MAILERSEND.handshake(WebhookRequest("POST", "https://x.org", PINGED, PING), CONFIG).status == 200


def test_the_published_secret_is_good_for_nothing_but_a_ping():
    with pytest.raises(Unauthorized):
        MAILERSEND.verify_webhook(PING, {"signature": "0" * 64}, CONFIG)
    forged = b'{"type":"activity.hard_bounced"}'
    signature = hmac.new(PUBLISHED.encode(), forged, hashlib.sha256).hexdigest()
    for secrets in ({}, {"webhook_secret": "hook-secret-1"}):
        with pytest.raises(Unauthorized):
            MAILERSEND.verify_webhook(forged, {"signature": signature}, {**CONFIG, **secrets})
    assert MAILERSEND.handshake(WebhookRequest("POST", "https://x.org", {}, forged), CONFIG) is None
