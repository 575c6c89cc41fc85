"""Does Slack get what it asks for, do we understand its answers, and whom do we believe?"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk import WebClient
from slack_sdk.signature import Clock, SignatureVerifier
from slack_sdk.webhook import WebhookClient
from tests.channels.texts import NOW, chat, text

from dripdrop.channels.chat.slack import SlackApiProvider, SlackWebhookProvider
from dripdrop.contracts import DELIVERY_KEY, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.outcome import Accepted, Rejected, Unknown

HOOK, API = SlackWebhookProvider(), SlackApiProvider()
URL = "https://hooks.slack.com/services/T0/B0/XXXX"
BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Hi*"}}]
CONFIG = {"bot_token": "xoxb-token-1", "signing_secret": "signing-secret-1", "now": NOW}


def test_slacks_own_client_would_post_the_same_to_a_webhook(monkeypatch):
    sent = []
    monkeypatch.setattr(WebhookClient, "_perform_http_request", lambda self, **call: sent.append((self.url, call)))
    WebhookClient(URL).send(text="Hello", blocks=BLOCKS, unfurl_links=False)
    request = HOOK.request(chat("slack", extra={"blocks": BLOCKS, "unfurl_links": False}), {"url": URL, "now": NOW})
    ((url, call),) = sent
    assert (request.method, request.url, json.loads(request.body)) == ("POST", url, call["body"])


def test_slacks_own_client_would_post_the_same_message(monkeypatch):
    sent = []
    answer = {"status": 200, "headers": {}, "body": json.dumps({"ok": True, "channel": "C1", "ts": "1.2"})}

    def perform(self, *, url, args):
        sent.append((url, args))
        return answer

    monkeypatch.setattr(WebClient, "_perform_urllib_http_request", perform)
    delivery = chat("slack", to="C024BE91L", extra={"blocks": BLOCKS, "thread_ts": "1.1"})
    metadata = {"event_type": "dripdrop_delivery", "event_payload": {DELIVERY_KEY: str(delivery.id)}}
    said = WebClient("xoxb-token-1").chat_postMessage(
        channel="C024BE91L", text="Hello", blocks=BLOCKS, thread_ts="1.1", metadata=metadata
    )
    request = API.request(delivery, CONFIG)
    ((url, args),) = sent
    theirs = {name: value for name, value in args["json"].items() if value is not None}
    assert (request.url, json.loads(request.body)) == (url, theirs)
    assert dict(request.headers)["authorization"] == args["headers"]["Authorization"]
    outcome = API.outcome(HttpResponse(200, {}, answer["body"].encode()))
    assert outcome == Accepted(f"{said['channel']}:{said['ts']}", {"status": 200})


@pytest.mark.parametrize(
    ("provider", "delivery", "code", "path"),
    [
        (HOOK, chat("slack", to="U1"), "unsupported", "to"),
        (HOOK, chat("slack", extra={"channel": "#else"}), "unsupported", "channel"),
        (HOOK, chat("slack", extra={"thread_ts": "1.1"}), "unsupported", "thread_ts"),
        (API, chat("slack", to="C1", extra={"channel": "C2"}), "unsupported", "channel"),
        (API, chat("slack", to="C1", extra={"metadata": {}}), "unsupported", "metadata"),
        (API, chat("slack"), "recipient_missing", "to"),
        (API, chat("slack", to="C1", extra={"blocks": [{1, 2}]}), "payload", "payload"),
        (API, text(), "wrong_message", "message"),
    ],
)
def test_what_it_cannot_send_is_refused_by_name(provider, delivery, code, path):
    with pytest.raises(Invalid) as caught:
        provider.request(delivery, {**CONFIG, "url": URL})
    assert (caught.value.code, caught.value.findings[0].path) == (code, path)


def test_a_message_that_names_nobody_goes_where_the_adapter_says():
    assert json.loads(API.request(chat("slack"), {**CONFIG, "to": "C9"}).body)["channel"] == "C9"


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (400, b"invalid_payload", ("permanent", "message")),
        (400, b"user_not_found", ("temporary", "adapter")),
        (403, b"action_prohibited", ("permanent", "policy")),
        (403, b"invalid_token", ("temporary", "adapter")),
        (404, b"channel_not_found", ("temporary", "adapter")),
        (404, b"no_service", ("temporary", "adapter")),
        (410, b"channel_is_archived", ("temporary", "adapter")),
        (429, b"rate_limited", ("temporary", "throttled")),
        (500, b"rollup_error", ("temporary", "message")),
    ],
)
def test_a_webhook_says_whose_fault_it_is(status, said, outcome):
    found = HOOK.outcome(HttpResponse(status, {}, said))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause, found.detail["said"]) == (*outcome, said.decode())


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (200, "channel_not_found", ("permanent", "recipient")),
        (200, "is_archived", ("permanent", "recipient")),
        (200, "invalid_auth", ("temporary", "adapter")),
        (200, "missing_scope", ("temporary", "adapter")),
        (200, "restricted_action", ("permanent", "policy")),
        (200, "msg_too_long", ("permanent", "message")),
        (200, "ratelimited", ("temporary", "throttled")),
        (429, "ratelimited", ("temporary", "throttled")),
        (503, "service_unavailable", ("temporary", "message")),
        (500, "something_new", ("temporary", "message")),
    ],
)
def test_an_error_says_whose_fault_it_is_although_the_status_is_good(status, error, outcome):
    body = json.dumps({"ok": False, "error": error}).encode()
    found = API.outcome(HttpResponse(status, {"retry-after": "30"}, body))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause, found.detail["error"]) == (*outcome, error)
    assert outcome[0] != "temporary" or found.retry_after == 30.0


@pytest.mark.parametrize("error", ["fatal_error", "internal_error"])
def test_an_error_behind_which_the_message_may_have_been_posted_is_a_doubt(error):
    assert isinstance(API.outcome(HttpResponse(200, {}, json.dumps({"ok": False, "error": error}).encode())), Unknown)
    assert isinstance(API.outcome(HttpResponse(200, {}, b"<html>")), Unknown)


def test_a_check_asks_who_the_token_is():
    assert API.check_request(CONFIG).url == "https://slack.com/api/auth.test"
    assert API.checked(HttpResponse(200, {}, b'{"ok": true}')) is None
    assert "invalid_auth" in API.checked(HttpResponse(200, {}, b'{"ok": false, "error": "invalid_auth"}'))


@pytest.mark.parametrize(("url", "good"), [(URL, True), ("", False), ("http://hooks.slack.com/x", False), ("x", False)])
def test_a_webhook_needs_an_address(url, good):
    assert (HOOK.validate_credentials({"url": url}) == []) is good


BODY = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}).encode()
STAMP = str(int(NOW.timestamp()))


class Then(Clock):
    def now(self):
        return NOW.timestamp()


VERIFIER = SignatureVerifier("signing-secret-1", Then())


def headers_of(body):
    signature = VERIFIER.generate_signature(timestamp=STAMP, body=body)
    return {"x-slack-request-timestamp": STAMP, "x-slack-signature": signature}


def holds(body, headers, **config):
    try:
        API.verify_webhook(body, headers, {**CONFIG, **config})
    except Unauthorized:
        return False
    return True


def test_the_published_vector_holds():
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
        b"foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
        b"hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id="
        b"398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    then = datetime.fromtimestamp(1531420618, UTC)
    assert holds(body, headers, signing_secret="8f742231b10e8888abcd99yyyzzz85a5", now=then)
    assert not holds(body, headers, signing_secret="8f742231b10e8888abcd99yyyzzz85a5")


def test_while_a_secret_is_rotated_both_hold():
    assert holds(BODY, headers_of(BODY), signing_secret=["new", "signing-secret-1"])
    assert not holds(BODY, headers_of(BODY), signing_secret=["new", "other"])


@given(st.data())
def test_with_any_byte_flipped_we_and_slacks_own_verifier_say_the_same(data):
    parts = [bytearray(BODY), bytearray(headers_of(BODY)["x-slack-signature"].encode()), bytearray(STAMP.encode())]
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    parts[which][at] ^= data.draw(st.sampled_from([0, 1, 2, 4]))
    changed = {"x-slack-signature": parts[1].decode(), "x-slack-request-timestamp": parts[2].decode()}
    try:
        theirs = VERIFIER.is_valid_request(bytes(parts[0]), changed)
    except ValueError:
        theirs = False
    assert holds(bytes(parts[0]), changed) == theirs


def test_the_challenge_goes_back_as_it_came():
    body = json.dumps({"token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd", "type": "url_verification"})
    answer = API.handshake(WebhookRequest("POST", "https://x.org", {}, body.encode()), CONFIG)
    assert (answer.status, answer.body) == (200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd")
    assert API.handshake(WebhookRequest("POST", "https://x.org", {}, BODY), CONFIG) is None
    assert API.handshake(WebhookRequest("POST", "https://x.org", {}, b"no json"), CONFIG) is None
