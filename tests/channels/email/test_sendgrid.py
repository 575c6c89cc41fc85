"""Does SendGrid get what it asks for, and do we believe exactly the webhooks that its own library believes?"""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook
from tests.channels.anymail_oracle import sends
from tests.channels.email.letters import FULL, NOW, PLAIN, letter

from dripdrop.channels.deliver import doubt
from dripdrop.channels.email.sendgrid import SendGridProvider
from dripdrop.contracts import DELIVERY_KEY, HttpResponse
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.message import Address
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

SENDGRID = SendGridProvider()
CONFIG = {"api_key": "SG.key", "now": NOW}
KEY = ec.generate_private_key(ec.SECP256R1())
STAMP = str(int(NOW.timestamp()))
BODY = b'[{"event": "delivered", "email": "ann@example.org"}]\r\n'
SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"


def spki(key):
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def point(key):
    return base64.b64encode(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).decode()


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signed(body=BODY, stamp=STAMP, key=KEY):
    signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: stamp}


ONCE = signed()


def holds(body, headers, public=None, **config):
    try:
        SENDGRID.verify_webhook(body, headers, {**CONFIG, "webhook_public_key": public or spki(KEY), **config})
    except Unauthorized:
        return False
    return True


def payload(message=PLAIN, *, step=None):
    return json.loads(SENDGRID.request(letter(message, step=step), CONFIG).body)


def answered(status, errors=None, **headers):
    return SENDGRID.outcome(HttpResponse(status, headers, json.dumps({"errors": errors or []}).encode()))


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
def test_anymail_would_send_the_same(message):
    step = {"tags": ["welcome", "trial"], "metadata": {"plan": "pro"}, "provider_options": {"asm": {"group_id": 10}}}
    ours = SENDGRID.request(letter(message, step=step), CONFIG)
    theirs = sends(
        "sendgrid",
        message,
        api_key="SG.key",
        generate_message_id=False,
        metadata={"plan": "pro", DELIVERY_KEY: str(letter().id)},
        tags=["welcome", "trial"],
        options={"asm": {"group_id": 10}},
    )
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    named = dict(ours.headers)
    assert {name: theirs.headers[name] for name in named} == named


def test_an_address_stands_in_one_of_to_cc_and_bcc_only():
    ann, bo = Address("ann@example.org"), Address("bo@example.org")
    made = payload(letter(PLAIN, to=(ann,), cc=(Address("ANN@example.org"), bo), bcc=(bo,)).message)
    assert made["personalizations"] == [{"to": [{"email": ann.email}], "cc": [{"email": bo.email}]}]


def test_our_message_id_travels_so_that_replies_and_late_bounces_find_us():
    made = payload(letter(PLAIN, message_id="a.0@example.com").message)
    assert made["headers"] == {"Message-ID": "<a.0@example.com>"}


@pytest.mark.parametrize("option", ["personalizations", "from", "reply_to", "subject", "custom_args"])
def test_no_option_may_send_it_to_somebody_else(option):
    with pytest.raises(Invalid):
        payload(step={"provider_options": {option: []}})


@pytest.mark.parametrize(
    ("status", "field", "outcome"),
    [
        (400, "personalizations.0.to.0.email", ("permanent", "recipient")),
        (400, "from.email", ("temporary", "adapter")),
        (400, "content", ("permanent", "message")),
        (401, None, ("temporary", "adapter")),
        (403, "from", ("temporary", "adapter")),
        (413, None, ("permanent", "message")),
        (429, None, ("temporary", "throttled")),
        (500, None, ("temporary", "message")),
    ],
)
def test_an_error_says_whose_fault_it_is(status, field, outcome):
    found = answered(status, [{"message": "Does not contain ann@example.org.", "field": field, "help": None}])
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert "@example.org" not in str(found.detail)


def test_accepted_by_the_id_of_the_header_and_nothing_can_be_done_about_a_doubt():
    assert answered(202, **{"x-message-id": "WrOdCSiPT9evi0eqRkJmzQ"}).provider_message_id == "WrOdCSiPT9evi0eqRkJmzQ"
    assert isinstance(answered(202), Accepted)
    assert isinstance(answered(502), Unknown)
    assert isinstance(doubt(SENDGRID), Neither)


def test_a_limit_says_when_it_ends():
    reset = {"x-ratelimit-reset": "1898586090", "date": "Fri, 01 Mar 2030 09:00:30 GMT"}
    assert answered(429, **reset).retry_after == 60.0
    assert answered(429, **reset, **{"retry-after": "5"}).retry_after == 5.0
    assert answered(429).retry_after is None


def test_a_check_looks_whether_the_key_may_send():
    assert SENDGRID.check_request(CONFIG).url == "https://api.sendgrid.com/v3/scopes"
    assert SENDGRID.checked(HttpResponse(200, {}, b'{"scopes": ["mail.send"]}')) is None
    assert "may not send" in SENDGRID.checked(HttpResponse(200, {}, b'{"scopes": ["alerts.read"]}'))
    assert "401" in SENDGRID.checked(HttpResponse(401))


def test_the_published_vector_holds_with_the_key_as_the_console_shows_it():
    # The example of SendGrid's own library: test/unit/test_eventwebhook.py of sendgrid-python.
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNE"
        "c6wEA3F+g=="
    )
    signature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    body = (
        json.dumps(
            [
                {
                    "email": "hello@world.com",
                    "event": "dropped",
                    "reason": "Bounced Address",
                    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
                    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
                    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
                    "timestamp": 1600112492,
                }
            ],
            sort_keys=True,
            separators=(",", ":"),
        )
        + "\r\n"
    ).encode()
    headers = {SIGNATURE: signature, TIMESTAMP: "1600112502"}
    at_the_time = {"now": NOW.fromtimestamp(1600112502, NOW.tzinfo)}
    assert EventWebhook(key).verify_signature(body.decode(), signature, "1600112502")
    assert holds(body, headers, key, **at_the_time)
    assert not holds(body, headers, key)
    assert not holds(body.rstrip(), headers, key, **at_the_time)


@pytest.mark.parametrize("written", [spki, point, pem], ids=["console", "point", "pem"])
def test_a_key_is_read_in_each_of_its_forms(written):
    assert holds(BODY, signed(), written(KEY))


def test_while_rotating_each_key_holds_and_no_other():
    other, third = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    keys = [spki(other), spki(KEY)]
    assert holds(BODY, signed(), keys)
    assert holds(BODY, signed(key=other), keys)
    assert not holds(BODY, signed(key=third), keys)


@pytest.mark.parametrize("key", ["nonsense", "", "AAAA", [], base64.b64encode(b"\x04" + b"x" * 64).decode()])
def test_a_key_that_is_none_lets_nobody_in(key):
    assert not holds(BODY, signed(), None, webhook_public_key=key)


@pytest.mark.parametrize("missing", [SIGNATURE, TIMESTAMP])
def test_without_a_header_nobody_gets_in(missing):
    assert not holds(BODY, {name: value for name, value in signed().items() if name != missing})


def test_an_old_call_is_refused_although_its_signature_holds():
    old = str(int(NOW.timestamp()) - 301)
    assert not holds(BODY, signed(stamp=old))
    assert holds(BODY, signed(stamp=old), webhook_replay_skew_seconds=600)


@given(st.data())
def test_with_any_byte_flipped_we_and_sendgrids_library_say_the_same(data):
    parts = [BODY, base64.b64decode(ONCE[SIGNATURE]), STAMP.encode()]
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    flip = data.draw(st.integers(1, 127))
    changed = bytearray(parts[which])
    changed[at] ^= flip
    if which == 2:  # within the window, so that only the signature decides
        changed = bytearray(str(int(STAMP) + flip).encode())
    parts[which] = bytes(changed)
    body, signature, stamp = parts[0], base64.b64encode(parts[1]).decode(), parts[2].decode()
    theirs = EventWebhook(spki(KEY)).verify_signature(body.decode(), signature, stamp)
    ours = holds(body, {SIGNATURE: signature, TIMESTAMP: stamp})
    assert ours == theirs is False
