"""Does Postmark get what it asks for, and do we understand its answers?"""

from __future__ import annotations

import base64
import json

import httpx2
import pytest
from tests.channels.anymail_oracle import sends
from tests.channels.email.letters import FULL, NOW, PLAIN, letter

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.channels.email.postmark import PostmarkProvider
from dripdrop.channels.http import Sender
from dripdrop.contracts import DELIVERY_KEY, HttpResponse
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.message import Address
from dripdrop.rules.outcome import Accepted, Askable, CannotTell, NotFound, Rejected, Unknown

POSTMARK = PostmarkProvider()
CONFIG = {"api_key": "server-token", "now": NOW}
OK = {"To": "ann@example.org", "MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"}


def payload(message=PLAIN, *, step=None, **config):
    return json.loads(POSTMARK.request(letter(message, step=step), {**CONFIG, **config}).body)


def answered(status, said=None, **headers):
    return POSTMARK.outcome(HttpResponse(status, headers, b"" if said is None else json.dumps(said).encode()))


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
def test_anymail_would_send_the_same(message):
    step = {"tags": ["welcome"], "metadata": {"plan": "pro"}, "provider_options": {"TrackOpens": True}}
    ours = POSTMARK.request(letter(message, step=step), CONFIG)
    metadata = {"plan": "pro", DELIVERY_KEY: str(letter().id)}
    theirs = sends(
        "postmark",
        message,
        server_token="server-token",
        metadata=metadata,
        tags=["welcome"],
        options={"TrackOpens": True},
    )
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    named = dict(ours.headers)
    assert {name: theirs.headers[name] for name in named} == named


def test_our_message_id_is_kept_so_that_replies_find_us():
    made = payload(PLAIN, message_stream="broadcast") | payload(letter(PLAIN, message_id="a.0@example.com").message)
    assert made["Headers"] == [
        {"Name": "Message-ID", "Value": "<a.0@example.com>"},
        {"Name": "X-PM-KeepID", "Value": "true"},
    ]
    assert made["MessageStream"] == "broadcast"


@pytest.mark.parametrize(
    ("step", "feature"),
    [
        ({"tags": ["a", "b"]}, "several_tags"),
        ({"metadata": {"a-name-of-more-than-twenty": "x"}}, "metadata"),
        ({"metadata": {"long": "x" * 81}}, "metadata"),
        ({"metadata": {str(number): "x" for number in range(10)}}, "metadata"),
    ],
)
def test_what_it_cannot_carry_is_refused_by_name(step, feature):
    with pytest.raises(Invalid) as caught:
        payload(step=step)
    assert (caught.value.code, caught.value.findings[0].path) == ("unsupported", feature)


@pytest.mark.parametrize("option", ["To", "bcc", "Subject", "Metadata"])
def test_no_option_may_send_it_to_somebody_else(option):
    with pytest.raises(Invalid) as caught:
        payload(step={"provider_options": {option: "eve@example.net"}})
    assert caught.value.code == "provider_option"


@pytest.mark.parametrize(
    ("status", "code", "said", "outcome"),
    [
        (401, 10, "Bad token", ("temporary", "adapter")),
        (422, 300, "Invalid 'To' address: 'ann@'.", ("permanent", "recipient")),
        (422, 300, "Invalid 'From' address: 'news@'.", ("temporary", "adapter")),
        (422, 300, "Invalid metadata content.", ("permanent", "message")),
        (422, 400, "Sender signature not found", ("temporary", "adapter")),
        (422, 401, "Sender signature not confirmed", ("temporary", "adapter")),
        (422, 405, "Not allowed to send", ("temporary", "adapter")),
        (422, 406, "Found inactive addresses: ann@example.org.", ("bounced", "recipient")),
        (422, 411, "Forbidden attachment type", ("permanent", "message")),
        (422, 412, "Account is pending", ("temporary", "adapter")),
        (429, 429, "Rate limit exceeded", ("temporary", "throttled")),
        (500, 0, "Internal error", ("temporary", "message")),
        (503, 100, "Maintenance", ("temporary", "adapter")),
        (200, 406, "Found inactive addresses", ("bounced", "recipient")),
    ],
)
def test_an_error_code_says_whose_fault_it_is(status, code, said, outcome):
    found = answered(status, {"ErrorCode": code, "Message": said})
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert found.detail["code"] == code
    assert "@example.org" not in str(found.detail)


def test_accepted_with_its_id_and_in_doubt_where_only_a_gateway_spoke():
    assert answered(200, OK).provider_message_id == "b7bc2f4a"
    assert isinstance(answered(504), Unknown)
    assert isinstance(answered(200), Accepted)


def test_it_says_when_to_come_back():
    assert answered(429, {"ErrorCode": 429}, **{"retry-after": "7"}).retry_after == 7.0


@pytest.mark.parametrize(
    ("message", "config", "outcome", "reason"),
    [
        (letter(sender=None).message, {}, ("temporary", "adapter"), "sender_missing"),
        (letter(sender=None).message, {"from": "nonsense"}, ("temporary", "adapter"), "address"),
        (letter(to=(Address("nobody"),)).message, {}, ("permanent", "recipient"), "address"),
        (letter(headers=(("X-A", "b\r\nBcc: e@f.org"),)).message, {}, ("permanent", "message"), "header_injection"),
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_is_refused_before_anybody_is_asked(message, config, outcome, reason):
    def never(request):
        raise AssertionError("nothing may leave")

    speaker = Speaker(Sender(transport=httpx2.MockTransport(never)))
    found = await speaker.send(POSTMARK, letter(message), {**CONFIG, **config}, timeout=5)
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause, found.detail["reason"]) == (*outcome, reason)


async def test_in_doubt_it_is_asked_by_our_own_id():
    asked = []

    def handle(request):
        asked.append(request)
        return httpx2.Response(200, json={"TotalCount": 1, "Messages": [{"MessageID": "b7bc2f4a", "Status": "Sent"}]})

    speaker = Speaker(Sender(transport=httpx2.MockTransport(handle)))
    assert isinstance(doubt(POSTMARK), Askable)
    assert await speaker.find(POSTMARK, letter(), CONFIG, timeout=5) == Accepted("b7bc2f4a")
    assert dict(asked[0].url.params) == {"count": "1", "offset": "0", f"metadata_{DELIVERY_KEY}": str(letter().id)}
    assert asked[0].headers["x-postmark-server-token"] == "server-token"


def test_not_found_is_no_answer_and_trouble_is_none_either():
    assert POSTMARK.found(HttpResponse(200, {}, b'{"TotalCount": 0, "Messages": []}')) == NotFound()
    assert POSTMARK.found(HttpResponse(401, {}, b"{}")) == CannotTell({"status": 401})
    assert isinstance(POSTMARK.found(HttpResponse(200, {}, b"<html>")), CannotTell)


def test_a_check_asks_for_the_server_and_explains_a_refusal():
    assert POSTMARK.check_request(CONFIG).url == "https://api.postmarkapp.com/server"
    assert POSTMARK.checked(HttpResponse(200)) is None
    assert "401" in POSTMARK.checked(HttpResponse(401, {}, b'{"ErrorCode": 10, "Message": "No such token"}'))


def basic(text):
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("config", "headers", "holds"),
    [
        ({"webhook_basic_auth": "hook:pa:ss"}, basic("hook:pa:ss"), True),
        ({"webhook_basic_auth": ["new:1", "old:2"]}, basic("old:2"), True),
        ({"webhook_basic_auth": "hook:pass"}, basic("hook:Pass"), False),
        ({"webhook_basic_auth": "hook:pass"}, {}, False),
        ({"webhook_basic_auth": "hook:pass"}, {"authorization": "Basic !!"}, False),
        ({"webhook_basic_auth": "hook:pass"}, {"authorization": "Bearer hook:pass"}, False),
        ({"webhook_secret": "s3cret"}, {"x-webhook-secret": "s3cret"}, True),
        ({"webhook_secret": "s3cret", "webhook_header": "X-Mine"}, {"x-mine": "s3cret"}, True),
        ({"webhook_secret": "s3cret"}, {"x-webhook-secret": "other"}, False),
        ({"webhook_secret": "s3cret"}, {}, False),
        ({"webhook_secret": "s", "webhook_basic_auth": "a:b"}, basic("a:b"), False),
        ({"webhook_secret": "s", "webhook_basic_auth": "a:b"}, {**basic("a:b"), "x-webhook-secret": "s"}, True),
        ({}, basic("a:b"), False),
    ],
)
def test_a_webhook_must_know_the_password_and_the_header(config, headers, holds):
    if holds:
        POSTMARK.verify_webhook(b"{}", headers, {**CONFIG, **config})
    else:
        with pytest.raises(Unauthorized):
            POSTMARK.verify_webhook(b"{}", headers, {**CONFIG, **config})
