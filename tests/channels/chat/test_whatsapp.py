"""Does WhatsApp get what it asks for, do we understand its answers, and whom do we believe?"""

from __future__ import annotations

import hmac
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.texts import ANN, NOW, chat, text

from dripdrop.channels.chat.whatsapp import WhatsAppProvider
from dripdrop.contracts import HttpResponse, WebhookRequest
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.outcome import Accepted, Rejected, Unknown

WHATSAPP = WhatsAppProvider()
CONFIG = {
    "access_token": "EAAG-token-1",
    "phone_number_id": "106540352242922",
    "app_secret": "app-secret-1",
    "verify_token": "verify-1",
    "now": NOW,
}
TEMPLATE = {
    "name": "order_confirmation",
    "language": {"code": "en_US"},
    "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ann"}]}],
}


def said(content="Hello", extra=None, **config):
    return json.loads(WHATSAPP.request(chat("whatsapp", content, to=ANN, extra=extra), {**CONFIG, **config}).body)


def test_a_text_is_written_as_the_reference_shows_it():
    request = WHATSAPP.request(chat("whatsapp", "Hello ü", to="(415) 555-0123"), CONFIG)
    assert request.url == "https://graph.facebook.com/v23.0/106540352242922/messages"
    assert dict(request.headers)["authorization"] == "Bearer EAAG-token-1"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": ANN,
        "type": "text",
        "text": {"body": "Hello ü", "preview_url": False},
        "biz_opaque_callback_data": "00000000-0000-0000-0000-000000000001",
    }


def test_a_template_is_a_content_of_its_own():
    made = said("", {"template": TEMPLATE})
    assert (made["type"], made["template"], "text" in made) == ("template", TEMPLATE, False)


def test_a_picture_has_the_text_as_its_caption():
    made = said("Look", {"image": {"link": "https://example.org/a.png"}})
    assert (made["type"], made["image"]) == ("image", {"caption": "Look", "link": "https://example.org/a.png"})


def test_an_answer_names_what_it_answers_and_the_version_is_the_adapters():
    made = said(extra={"context": {"message_id": "wamid.1"}, "preview_url": True})
    assert (made["context"], made["text"]["preview_url"]) == ({"message_id": "wamid.1"}, True)
    request = WHATSAPP.request(chat("whatsapp", to=ANN), {**CONFIG, "api_version": "v24.0", "token": "fetched"})
    assert request.url.startswith("https://graph.facebook.com/v24.0/")
    assert dict(request.headers)["authorization"] == "Bearer fetched"


@pytest.mark.parametrize(
    ("delivery", "code", "path"),
    [
        (chat("whatsapp", to="nobody"), "phone_number", "to"),
        (chat("whatsapp"), "phone_number", "to"),
        (chat("whatsapp", to=ANN, extra={"template": TEMPLATE}), "unsupported", "text"),
        (chat("whatsapp", "", to=ANN, extra={"template": TEMPLATE, "image": {}}), "unsupported", "image"),
        (chat("whatsapp", to=ANN, extra={"to": "+1999"}), "unsupported", "to"),
        (chat("whatsapp", to=ANN, extra={"idempotency_key": "1"}), "unsupported", "idempotency_key"),
        (text(), "wrong_message", "message"),
    ],
)
def test_what_it_cannot_send_is_refused_by_name(delivery, code, path):
    with pytest.raises(Invalid) as caught:
        WHATSAPP.request(delivery, CONFIG)
    assert (caught.value.code, caught.value.findings[0].path) == (code, path)


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, 131050, ("permanent", "opted_out")),
        (400, 131026, ("permanent", "recipient")),
        (400, 131047, ("permanent", "policy")),
        (400, 131049, ("permanent", "policy")),
        (400, 130403, ("permanent", "policy")),
        (400, 130429, ("temporary", "throttled")),
        (400, 131056, ("temporary", "throttled")),
        (400, 131064, ("temporary", "throttled")),
        (429, 80007, ("temporary", "throttled")),
        (401, 190, ("temporary", "adapter")),
        (403, 10, ("temporary", "adapter")),
        (400, 131030, ("temporary", "adapter")),
        (400, 132001, ("permanent", "message")),
        (400, 100, ("permanent", "message")),
        (500, 2, ("temporary", "message")),
        (400, 999999, ("permanent", "message")),
    ],
)
def test_an_error_code_says_whose_fault_it_is(status, code, outcome):
    error = {"message": "(#1) Title", "type": "OAuthException", "code": code, "error_data": {"details": f"for {ANN}"}}
    found = WHATSAPP.outcome(HttpResponse(status, {}, json.dumps({"error": error}).encode()))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause, found.detail["code"]) == (*outcome, code)
    assert ANN not in str(found.detail)


def test_something_went_wrong_is_a_doubt_and_so_is_an_answer_without_an_id():
    assert isinstance(WHATSAPP.outcome(HttpResponse(500, {}, b'{"error": {"code": 131000}}')), Unknown)
    assert isinstance(WHATSAPP.outcome(HttpResponse(200, {}, b"{}")), Unknown)
    assert isinstance(WHATSAPP.outcome(HttpResponse(504, {}, b'{"error": {"code": 2}}')), Unknown)


def test_accepted_with_its_id():
    body = {"messaging_product": "whatsapp", "contacts": [{"input": ANN, "wa_id": "14155550123"}]}
    body["messages"] = [{"id": "wamid.HBgL", "message_status": "accepted"}]
    found = WHATSAPP.outcome(HttpResponse(200, {}, json.dumps(body).encode()))
    assert found == Accepted("wamid.HBgL", {"status": 200, "state": "accepted"})


@pytest.mark.parametrize(
    ("credentials", "missing"),
    [
        ({"access_token": "x", "phone_number_id": "1"}, []),
        ({}, ["phone_number_id", "access_token"]),
        ({"access_token": "x", "phone_number_id": "+1 2"}, ["phone_number_id"]),
    ],
)
def test_credentials_name_what_is_missing(credentials, missing):
    assert [field for field, _ in WHATSAPP.validate_credentials(credentials)] == missing


def test_a_check_looks_the_number_up():
    assert WHATSAPP.check_request(CONFIG).url.startswith("https://graph.facebook.com/v23.0/106540352242922?fields=")
    assert WHATSAPP.checked(HttpResponse(200)) is None
    assert "401" in WHATSAPP.checked(HttpResponse(401, {}, b'{"error": {"message": "Session has expired"}}'))


def greeted(method="GET", **said):
    query = urlencode({f"hub.{name}": value for name, value in said.items()})
    return WHATSAPP.handshake(WebhookRequest(method, f"https://x.org/webhooks/cloud_api/1?{query}"), CONFIG)


def test_the_handshake_gives_the_challenge_to_who_knows_the_token():
    answer = greeted(mode="subscribe", verify_token="verify-1", challenge="1158201444")
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert greeted("POST") is None


@pytest.mark.parametrize(
    "said",
    [
        {"mode": "subscribe", "verify_token": "verify-2", "challenge": "1"},
        {"mode": "subscribe", "challenge": "1"},
        {"mode": "unsubscribe", "verify_token": "verify-1", "challenge": "1"},
        {},
    ],
)
def test_a_handshake_of_somebody_else_is_refused(said):
    with pytest.raises(Unauthorized):
        greeted(**said)


BODY = json.dumps({"object": "whatsapp_business_account", "entry": []}).encode()


def holds(body, signature, secret="app-secret-1"):
    try:
        WHATSAPP.verify_webhook(body, {"x-hub-signature-256": signature}, {**CONFIG, "app_secret": secret})
    except Unauthorized:
        return False
    return True


def signed(body):
    return "sha256=" + hmac.new(b"app-secret-1", body, "sha256").hexdigest()


def test_a_published_vector_holds():
    # GitHub signs in the same way, under the same header, and publishes one:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert holds(b"Hello, World!", signature, "It's a Secret to Everybody")
    assert not holds(b"Hello, World?", signature, "It's a Secret to Everybody")


@given(st.integers(0, len(BODY) - 1), st.integers(0, 70), st.sampled_from([1, 2, 4, 8, 64]), st.booleans())
def test_with_any_byte_flipped_nobody_is_believed(at, place, flip, body):
    changed, signature = bytearray(BODY), bytearray(signed(BODY).encode())
    if body:
        changed[at] ^= flip
    else:
        signature[place] ^= flip
    assert not holds(bytes(changed), signature.decode("latin-1"))
    assert holds(BODY, signed(BODY), ["new", "app-secret-1"])
