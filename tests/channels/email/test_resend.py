"""Does Resend get what it asks for, and do we believe exactly the webhooks that Svix's and its own library believe?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import resend
import resend.webhooks._webhooks
import standardwebhooks.webhooks
import svix.webhooks
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.anymail_oracle import sends
from tests.channels.email.letters import FULL, PLAIN, letter

from dripdrop.channels.deliver import doubt
from dripdrop.channels.email.resend import ResendProvider
from dripdrop.contracts import DELIVERY_KEY, HttpResponse
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.message import Attachment
from dripdrop.rules.outcome import Accepted, Idempotent, Rejected, Unknown

RESEND = ResendProvider()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONFIG = {"api_key": "re_key", "now": NOW}
BODY = b'{"type": "email.delivered", "data": {"email_id": "e1"}}'


class Stopped(datetime):
    """The clock as their verifiers read it."""

    @classmethod
    def now(cls, tz=None):
        return NOW.astimezone(tz)


@pytest.fixture(autouse=True, scope="module")
def at_that_time():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standardwebhooks.webhooks, "datetime", Stopped)
        patch.setattr(resend.webhooks._webhooks, "time", SimpleNamespace(time=NOW.timestamp))
        yield


def payload(message=PLAIN, *, step=None):
    return json.loads(RESEND.request(letter(message, step=step), CONFIG).body)


def answered(status, name="", message="", **headers):
    return RESEND.outcome(HttpResponse(status, headers, json.dumps({"name": name, "message": message}).encode()))


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
def test_anymail_would_send_the_same(message):
    ours = RESEND.request(
        letter(message, step={"metadata": {"plan": "pro"}, "provider_options": {"topic_id": "t1"}}), CONFIG
    )
    tags = [{"name": "plan", "value": "pro"}, {"name": DELIVERY_KEY, "value": str(letter().id)}]
    theirs = json.loads(sends("resend", message, api_key="re_key", options={"tags": tags, "topic_id": "t1"}).body)
    # Headers are said by anymail even where there are none.
    assert json.loads(ours.body) == {name: value for name, value in theirs.items() if value}
    assert (ours.method, ours.url) == ("POST", "https://api.resend.com/emails")
    assert dict(ours.headers)["authorization"] == "Bearer re_key"


def test_the_key_is_sent_and_stays_the_same_through_a_doubt():
    assert dict(RESEND.request(letter(), CONFIG).headers)["idempotency-key"] == letter().idempotency_key
    assert isinstance(doubt(RESEND), Idempotent)
    for name in ("invalid_idempotent_request", "concurrent_idempotent_requests"):
        assert isinstance(answered(409, name), Unknown), "a refusal would make a new key, and so a second message"
    assert isinstance(answered(500, "internal_server_error"), Unknown)


@pytest.mark.parametrize(
    ("status", "name", "said", "outcome"),
    [
        (400, "validation_error", "", ("permanent", "message")),
        (401, "missing_api_key", "", ("temporary", "adapter")),
        (403, "invalid_api_key", "", ("temporary", "adapter")),
        (403, "validation_error", "You can only send testing emails to your own address", ("temporary", "adapter")),
        (422, "invalid_from_address", "", ("temporary", "adapter")),
        (422, "validation_error", "Invalid `to` field.", ("permanent", "recipient")),
        (422, "validation_error", "Invalid `from` field.", ("temporary", "adapter")),
        (422, "invalid_attachment", "", ("permanent", "message")),
        (429, "rate_limit_exceeded", "", ("temporary", "throttled")),
        (429, "daily_quota_exceeded", "", ("temporary", "throttled")),
        (451, "security_error", "", ("permanent", "message")),
    ],
)
def test_an_error_says_whose_fault_it_is(status, name, said, outcome):
    found = answered(status, name, said)
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome


def test_accepted_with_its_id():
    assert RESEND.outcome(HttpResponse(200, {}, b'{"id": "49a3999c"}')) == Accepted("49a3999c", {"status": 200})


@pytest.mark.parametrize(
    ("step", "changes", "feature"),
    [
        ({"tags": ["a", "b"]}, {}, "several_tags"),
        ({"tags": ["not allowed"]}, {}, "tags"),
        ({"metadata": {"plan": "größer"}}, {}, "metadata"),
        ({"metadata": {"tag": "x"}, "tags": ["a"]}, {}, "metadata"),
        ({"metadata": {f"m{number}": "x" for number in range(75)}}, {}, "metadata"),
        ({}, {"attachments": (Attachment("terms.pdf", b"x", "image/png"),)}, "attachments"),
        ({}, {"attachments": (Attachment("", b"x", "image/png"),)}, "attachments"),
    ],
)
def test_what_it_cannot_carry_is_refused_by_name(step, changes, feature):
    with pytest.raises(Invalid) as caught:
        RESEND.request(letter(PLAIN, step=step, **changes), CONFIG)
    assert (caught.value.code, caught.value.findings[0].path) == ("unsupported", feature)


def test_a_file_of_no_type_has_that_of_its_name():
    (file,) = payload(letter(PLAIN, attachments=(Attachment("terms.pdf", b"x"),)).message)["attachments"]
    assert "content_type" not in file
    (file,) = payload(letter(PLAIN, attachments=(Attachment("terms.unheard", b"x"),)).message)["attachments"]
    assert file["content_type"] == "application/octet-stream"


@pytest.mark.parametrize("option", ["to", "bcc", "reply_to", "tags", "subject"])
def test_no_option_may_send_it_to_somebody_else(option):
    with pytest.raises(Invalid) as caught:
        payload(step={"provider_options": {option: "eve@example.net"}})
    assert caught.value.code == "provider_option"


def test_a_check_is_content_with_a_key_that_may_only_send():
    assert RESEND.check_request(CONFIG).url == "https://api.resend.com/domains"
    assert RESEND.checked(HttpResponse(200)) is None
    assert RESEND.checked(HttpResponse(401, {}, b'{"name": "restricted_api_key"}')) is None
    assert "403" in RESEND.checked(HttpResponse(403, {}, b'{"name": "invalid_api_key"}'))


def signed(body=BODY, at=NOW, secret=SECRET):
    signature = svix.webhooks.Webhook(secret).sign("msg_1", at, body.decode("utf-8", "replace"))
    return {"svix-id": "msg_1", "svix-timestamp": str(int(at.timestamp())), "svix-signature": signature}


def holds(body, headers, secret=SECRET):
    try:
        RESEND.verify_webhook(body, headers, {**CONFIG, "webhook_secret": secret})
    except Unauthorized:
        return False
    return True


def svix_holds(body, headers):
    try:
        svix.webhooks.Webhook(SECRET).verify(body, headers)
    except svix.webhooks.WebhookVerificationError:
        return False
    return True


def resend_holds(body, headers):
    given = {"id": headers["svix-id"], "timestamp": headers["svix-timestamp"], "signature": headers["svix-signature"]}
    try:
        resend.Webhooks.verify({"payload": body.decode(), "headers": given, "webhook_secret": SECRET})
    except ValueError:
        return False
    return True


def test_what_svix_and_resend_believe_we_believe():
    assert [each(BODY, signed()) for each in (holds, svix_holds, resend_holds)] == [True] * 3


def test_of_several_signatures_one_has_to_hold_and_secrets_may_rotate():
    headers = signed()
    several = {**headers, "svix-signature": f"v1,{'A' * 43}= {headers['svix-signature']} v2,x"}
    assert holds(BODY, several)
    assert svix_holds(BODY, several)
    assert holds(BODY, headers, ["whsec_bmV3LXNlY3JldA==", SECRET])
    assert not holds(BODY, headers, "whsec_bmV3LXNlY3JldA==")


@given(st.integers(0, len(BODY) - 1), st.integers(0, 127))
def test_with_any_byte_changed_nobody_believes_it(at, byte):
    changed = BODY[:at] + bytes((byte,)) + BODY[at + 1 :]
    assert (
        holds(changed, signed())
        == svix_holds(changed, signed())
        == resend_holds(changed, signed())
        == (changed == BODY)
    )


@given(
    st.sampled_from(["svix-id", "svix-timestamp", "svix-signature"]),
    st.integers(0, 46),
    st.sampled_from("01AZaz+/=,. v"),
)
def test_with_any_character_of_a_header_changed_we_believe_no_more_than_svix(name, at, character):
    headers = signed()
    value = headers[name]
    at %= len(value)
    changed = {**headers, name: value[:at] + character + value[at + 1 :]}
    believed = holds(BODY, changed)
    assert not believed or svix_holds(BODY, changed)
    if value[at] == character:
        assert believed


@pytest.mark.parametrize("missing", ["svix-id", "svix-timestamp", "svix-signature"])
def test_without_any_of_its_headers_it_is_refused(missing):
    assert not holds(BODY, {name: value for name, value in signed().items() if name != missing})


@pytest.mark.parametrize(
    "topics", [None, [], ["news"], [{"subscription": "opt_out"}], [{"id": "t", "subscription": "?"}]]
)
def test_a_change_of_topics_that_names_none_says_nothing(topics):
    event = {"type": "contact.topics.updated", "data": {"email": "ann@example.org", "topics": topics}}
    provider = ResendProvider()
    told = provider.parse_events(json.dumps(event).encode(), {"svix-id": "msg_1"})
    assert [provider.normalize_feedback(each) for each in told] == [None]
