"""Can a receiver verify our webhooks with somebody else's library, and what do its answers mean?"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from tests.channels.deliveries import delivery_of

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.channels.http import Sender
from dripdrop.channels.webhook import WebhookProvider, secret_bytes, sign
from dripdrop.contracts import HttpResponse
from dripdrop.errors import Invalid
from dripdrop.rules.message import Sms, Webhook
from dripdrop.rules.outcome import Accepted, Idempotent, Rejected, Unknown

PROVIDER = WebhookProvider()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 byt").decode()
HELLO = Webhook({"type": "user.welcomed", "data": {"name": "Ann ü", "n": 1.5}})


def config(**changes):
    return {"url": "https://hooks.example.com/in", "secret": SECRET, "now": datetime.now(UTC), **changes}


def made(message=HELLO, **changes):
    return PROVIDER.request(delivery_of(message), config(**changes))


def refused(message=HELLO, **changes):
    with pytest.raises(Invalid) as caught:
        made(message, **changes)
    return caught.value.code


def verified(request, secret):
    return Verifier(secret).verify(request.body, dict(request.headers))


def test_the_published_vector_gives_the_published_signature():
    body = b'{"test": 2432232314}'
    signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, [secret_bytes(SECRET)])
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_verifies_what_we_sign():
    request = made()
    assert verified(request, SECRET) == {"type": "user.welcomed", "data": {"name": "Ann ü", "n": 1.5}}
    assert dict(request.headers)["content-type"] == "application/json"
    assert (request.method, request.url) == ("POST", "https://hooks.example.com/in")


def test_while_rotating_every_active_secret_verifies_and_no_other():
    request = made(secrets=[OTHER])
    for secret in (SECRET, OTHER):
        assert verified(request, secret)["type"] == "user.welcomed"
    assert len(dict(request.headers)["webhook-signature"].split(" ")) == 2
    with pytest.raises(WebhookVerificationError):
        verified(request, "whsec_" + base64.b64encode(b"somebody else").decode())


def test_the_id_is_the_deliverys_and_stays_through_retries():
    first = dict(made().headers)
    later = dict(made(now=datetime.now(UTC) + timedelta(minutes=3)).headers)
    assert first["webhook-id"] == later["webhook-id"] == "00000000-0000-0000-0000-000000000001"
    assert first["webhook-timestamp"] != later["webhook-timestamp"]


def test_a_changed_body_does_not_verify():
    request = made()
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(request.body.replace(b"Ann", b"Eve"), dict(request.headers))


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        ({"data": 1}, {"data": 1, "type": "dripdrop.webhook"}),
        ({"type": "x", "data": 1}, {"type": "x", "data": 1}),
        ({1: {2: 3}}, {"1": {"2": 3}, "type": "dripdrop.webhook"}),
        ([1, 2], {"data": [1, 2], "type": "dripdrop.webhook"}),
    ],
)
def test_a_type_is_added_where_there_is_none(payload, body):
    assert json.loads(made(Webhook(payload)).body) == body


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_aGVsbG8=", b"hello"),
        ("aGVsbG8=", b"hello"),
        ("whsec_aGVsbG8", b"hello"),
        ("not base64!", b"not base64!"),
        ("pässword", "pässword".encode()),
    ],
)
def test_a_secret_is_base64_or_taken_as_it_stands(secret, key):
    assert secret_bytes(secret) == key


def test_headers_of_the_author_are_kept_but_cannot_replace_the_signature():
    message = Webhook({"a": 1}, headers=(("X-Tenant", "t1"), ("Webhook-Signature", "v1,forged"), ("Content-Type", "x")))
    names = [name.lower() for name, _ in made(message).headers]
    assert sorted(names) == ["content-type", "webhook-id", "webhook-signature", "webhook-timestamp", "x-tenant"]
    assert verified(made(message), SECRET)


@pytest.mark.parametrize(
    ("url", "allowed", "goes"),
    [
        ("https://hooks.example.com/in", [], True),
        ("https://hooks.example.com/elsewhere?x=1", [], True),
        ("https://HOOKS.example.com:443/elsewhere", [], True),
        ("https://evil.example.net/in", [], False),
        ("https://hooks.example.com:8443/in", [], False),
        ("https://hooks.example.com.evil.net/in", [], False),
        ("http://hooks.example.com/in", [], False),
        ("https://partner.example.net/a", ["https://partner.example.net/a"], True),
        ("https://partner.example.net/b", ["https://partner.example.net/a"], False),
        ("https://partner.example.net/b", ["https://partner.example.net"], True),
        ("http://localhost:9000/b", ["http://localhost:9000/"], True),
    ],
)
def test_a_signature_goes_only_to_the_adapters_own_places(url, allowed, goes):
    message = Webhook({"a": 1}, url=url)
    if goes:
        assert made(message, allowed_urls=allowed).url == url
    else:
        assert refused(message, allowed_urls=allowed) == "url_not_allowed"


def test_a_url_with_a_user_in_it_is_no_url():
    assert refused(Webhook({"a": 1}, url="https://hooks.example.com@evil.example.net/")) == "url_blocked"


def test_what_cannot_be_sent_is_refused_by_name():
    assert refused(Webhook({"a": object()})) == "webhook_payload"
    assert refused(Sms("+1", "x")) == "webhook_payload"
    assert refused(secret=None) == "webhook_secret"


def answered(status, **headers):
    return PROVIDER.outcome(HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize(
    ("status", "kind", "cause"),
    [
        (301, "permanent", "adapter"),
        (400, "permanent", "message"),
        (401, "temporary", "adapter"),
        (403, "temporary", "adapter"),
        (404, "permanent", "message"),
        (408, "temporary", "message"),
        (409, "temporary", "message"),
        (410, "permanent", "adapter"),
        (422, "permanent", "message"),
        (425, "temporary", "message"),
        (429, "temporary", "throttled"),
        (500, "temporary", "message"),
        (503, "temporary", "message"),
    ],
)
def test_a_refusal_is_judged_by_its_status(status, kind, cause):
    outcome = answered(status)
    assert (type(outcome), outcome.kind, outcome.cause, outcome.detail["status"]) == (Rejected, kind, cause, status)


@pytest.mark.parametrize("status", [502, 504, 520, 524])
def test_what_a_gateway_says_for_a_server_behind_it_is_a_doubt(status):
    assert answered(status) == Unknown({"reason": "gateway", "status": status})


def test_every_2xx_is_accepted():
    assert all(isinstance(answered(status), Accepted) for status in (200, 201, 202, 204))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": "0"}, 0.0),
        (
            {"retry_after": "Fri, 01 Mar 2030 09:02:00 GMT", "date": "Fri, 01 Mar 2030 09:00:30 GMT"},
            90.0,
        ),
        ({"retry_after": "Fri, 01 Mar 2030 08:00:00 GMT", "date": "Fri, 01 Mar 2030 09:00:00 GMT"}, 0.0),
        ({"retry_after": "Fri, 01 Mar 2030 09:02:00 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert answered(429, **headers).retry_after == seconds
    assert answered(503, **headers).retry_after == seconds


def test_credentials_need_a_url_and_a_secret():
    assert PROVIDER.validate_credentials({"url": "https://example.com", "secret": SECRET}) == []
    assert PROVIDER.validate_credentials({"url": "http://localhost:9000/x", "secrets": [SECRET]}) == []
    assert PROVIDER.validate_credentials({}) == [("url", "is required"), ("secret", "is required")]
    [(field, _)] = PROVIDER.validate_credentials({"url": "example.com", "secret": "whsec_x"})
    assert field == "url"


def test_a_doubt_may_be_sent_again_since_receivers_know_the_id():
    assert doubt(PROVIDER) == Idempotent(timedelta(hours=24))


async def test_sent_through_the_speaker_a_receiver_can_verify_it():
    received = []

    def answer(request):
        received.append(Verifier(SECRET).verify(request.content, dict(request.headers)))
        return httpx2.Response(204)

    speaker = Speaker(Sender(transport=httpx2.MockTransport(answer)))
    assert await speaker.send(PROVIDER, delivery_of(HELLO), config(), timeout=5) == Accepted(None, {"status": 204})
    assert received == [dict(HELLO.payload)]


@pytest.mark.parametrize(
    ("changes", "message", "wanted"),
    [
        (
            {"url": "http://hooks.example.com/"},
            HELLO,
            ("adapter", {"reason": "url_blocked", "why": "scheme_not_allowed"}),
        ),
        ({"url": "https://127.0.0.1/"}, HELLO, ("adapter", {"reason": "url_blocked", "why": "private_address"})),
        ({}, Webhook({}, url="https://evil.example/"), ("message", {"reason": "url_not_allowed"})),
    ],
)
async def test_where_it_may_not_go_it_is_rejected_for_good(changes, message, wanted):
    speaker = Speaker(Sender(transport=httpx2.MockTransport(lambda request: httpx2.Response(200))))
    cause, detail = wanted
    outcome = await speaker.send(PROVIDER, delivery_of(message), config(**changes), timeout=5)
    assert outcome == Rejected("permanent", cause, None, detail)


async def test_no_answer_is_a_doubt_and_no_connection_is_none():
    def lost(request):
        raise httpx2.ReadError("reset")

    def refused(request):
        raise httpx2.ConnectError("refused")

    for behave, wanted in ((lost, Unknown), (refused, Rejected)):
        speaker = Speaker(Sender(transport=httpx2.MockTransport(behave)))
        outcome = await speaker.send(PROVIDER, delivery_of(HELLO), config(), timeout=5)
        assert isinstance(outcome, wanted)
