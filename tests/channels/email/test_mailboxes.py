"""Do Gmail and Microsoft 365 get the whole e-mail, and do we understand their answers?"""

from __future__ import annotations

import base64
import json
from email import message_from_bytes, policy

import pytest
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.http import HttpMock
from tests.channels.email.letters import FULL, NOW, PLAIN, letter

from dripdrop.channels.answers import unfit
from dripdrop.channels.deliver import doubt
from dripdrop.channels.email.gmail import GmailProvider
from dripdrop.channels.email.ms365 import Ms365Provider
from dripdrop.contracts import HttpResponse
from dripdrop.errors import Invalid
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

GMAIL, MS365 = GmailProvider(), Ms365Provider()
BOTH = pytest.mark.parametrize("provider", [GMAIL, MS365], ids=["gmail", "ms365"])
CONFIG = {"user_email": "ann+news@example.com", "token": "ya29.token", "now": NOW}
THREAD = (("In-Reply-To", "<a.0@example.com>"), ("References", "<a.0@example.com>"))


def octets(provider, delivery, config=CONFIG):
    body = provider.request(delivery, config).body
    return (
        base64.urlsafe_b64decode(json.loads(body)["raw"])
        if provider is GMAIL
        else base64.b64decode(body, validate=True)
    )


def answered(provider, status, error=None, **headers):
    return provider.outcome(HttpResponse(status, headers, json.dumps({"error": error or {}}).encode()))


def test_googles_own_client_makes_the_same_call():
    document = get_static_doc("gmail", "v1")
    service = build_from_document(document, http=HttpMock(headers={"status": 200}))
    ours = GMAIL.request(letter(FULL, step={"provider_options": {"threadId": "18c"}}), CONFIG)
    theirs = service.users().messages().send(userId=CONFIG["user_email"], body=json.loads(ours.body))
    assert (ours.method, ours.url) == (theirs.method, theirs.uri.partition("?")[0].replace("+", "%2B"))
    assert json.loads(ours.body) == json.loads(theirs.body)
    described = json.loads(document)["schemas"]["Message"]["properties"]
    assert {name: described[name]["type"] for name in json.loads(ours.body)} == {"raw": "string", "threadId": "string"}
    assert described["raw"]["format"] == "byte"


def test_graph_gets_mime_in_base64_as_text():
    made = MS365.request(letter(), CONFIG)
    assert (made.method, made.url) == (
        "POST",
        "https://graph.microsoft.com/v1.0/users/ann%2Bnews%40example.com/sendMail",
    )
    assert dict(made.headers) == {
        "authorization": "Bearer ya29.token",
        "accept": "application/json",
        "content-type": "text/plain",
    }


@BOTH
def test_threads_ways_to_unsubscribe_and_everybody_survive(provider):
    delivery = letter(FULL, headers=(*FULL.headers, *THREAD), message_id="b.0@example.com")
    read = message_from_bytes(octets(provider, delivery), policy=policy.default)
    said = {
        name: str(read[name]) for name in ("In-Reply-To", "References", "List-Unsubscribe", "List-Unsubscribe-Post")
    }
    assert said == dict((*FULL.headers, *THREAD))
    assert read["Message-ID"] == "<b.0@example.com>"
    people = {name: [each.addr_spec for each in read[name].addresses] for name in ("To", "Cc", "Bcc", "Reply-To")}
    assert people == {
        "To": ["ann@example.org", "bo@example.org"],
        "Cc": ["cy@example.org"],
        "Bcc": ["di@example.org"],
        "Reply-To": ["help@example.com"],
    }
    parts = [part.get_content_type() for part in read.walk() if not part.is_multipart()]
    assert parts == ["text/plain", "text/html", "image/png", "application/pdf"]
    assert read["Subject"] == "Grüße, Ann"


@BOTH
def test_without_a_sender_it_is_from_the_mailbox_and_the_same_octets_each_time(provider):
    delivery = letter(PLAIN, sender=None)
    read = message_from_bytes(octets(provider, delivery), policy=policy.default)
    assert read["From"] == "ann+news@example.com"
    assert "0001@example.com" in read["Message-ID"], "our own id, so that the reply finds it"
    assert read["Date"].datetime == NOW
    assert octets(provider, delivery) == octets(provider, delivery)
    assert (
        message_from_bytes(octets(provider, delivery, {**CONFIG, "from": "n@example.net"}))["From"] == "n@example.net"
    )


@BOTH
def test_what_they_cannot_carry_is_refused_by_name(provider):
    for step, feature in (({"tags": ["a"]}, "tags"), ({"metadata": {"plan": "pro"}}, "metadata")):
        with pytest.raises(Invalid) as caught:
            provider.request(letter(PLAIN, step=step), CONFIG)
        assert (caught.value.code, caught.value.findings[0].path) == ("unsupported", feature)


def test_no_option_may_send_something_else():
    for option in ("raw", "payload"):
        with pytest.raises(Invalid):
            GMAIL.request(letter(PLAIN, step={"provider_options": {option: "x"}}), CONFIG)


@BOTH
def test_without_a_token_the_adapter_is_to_be_mended(provider):
    with pytest.raises(Invalid) as caught:
        provider.request(letter(), {**CONFIG, "token": None})
    assert caught.value.code == "token_missing"
    assert unfit(caught.value).cause == "adapter"
    assert provider.validate_credentials({}) == [("user_email", "is required")]


def gmail_error(status, reason, message=""):
    return {
        "code": status,
        "message": message,
        "errors": [{"domain": "usageLimits", "reason": reason, "message": message}],
    }


@pytest.mark.parametrize(
    ("status", "reason", "message", "outcome"),
    [
        (400, "invalidArgument", "Invalid To header", ("permanent", "recipient")),
        (400, "invalidArgument", "Recipient address required", ("permanent", "recipient")),
        (400, "failedPrecondition", "Mail service not enabled", ("temporary", "adapter")),
        (400, "badRequest", "", ("permanent", "message")),
        (401, "authError", "Invalid Credentials", ("temporary", "adapter")),
        (403, "domainPolicy", "", ("temporary", "adapter")),
        (403, "insufficientPermissions", "", ("temporary", "adapter")),
        (403, "rateLimitExceeded", "", ("temporary", "throttled")),
        (403, "userRateLimitExceeded", "", ("temporary", "throttled")),
        (403, "dailyLimitExceeded", "", ("temporary", "throttled")),
        (429, "rateLimitExceeded", "", ("temporary", "throttled")),
        (500, "backendError", "", ("temporary", "message")),
    ],
)
def test_an_error_of_gmail_says_whose_fault_it_is(status, reason, message, outcome):
    found = answered(GMAIL, status, gmail_error(status, reason, message))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome


def test_gmail_says_in_words_when_to_come_back():
    error = gmail_error(429, "rateLimitExceeded", "User-rate limit exceeded.  Retry after 2030-03-01T09:15:00.000Z")
    assert answered(GMAIL, 429, error, date="Fri, 01 Mar 2030 09:00:00 GMT").retry_after == 900.0
    assert answered(GMAIL, 429, error).retry_after is None


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, "ErrorInvalidRecipients", ("permanent", "recipient")),
        (400, "ErrorMimeContentInvalidBase64String", ("permanent", "message")),
        (401, "InvalidAuthenticationToken", ("temporary", "adapter")),
        (403, "ErrorAccessDenied", ("temporary", "adapter")),
        (403, "ErrorSendAsDenied", ("temporary", "adapter")),
        (404, "ErrorInvalidUser", ("temporary", "adapter")),
        (404, "MailboxNotEnabledForRESTAPI", ("temporary", "adapter")),
        (413, "ErrorMessageSizeExceeded", ("permanent", "message")),
        (429, "ApplicationThrottled", ("temporary", "throttled")),
        (429, "ErrorExceededMessageLimit", ("temporary", "throttled")),
        (503, "ServiceUnavailable", ("temporary", "message")),
        (509, "BandwidthLimitExceeded", ("temporary", "throttled")),
    ],
)
def test_an_error_of_graph_says_whose_fault_it_is(status, code, outcome):
    found = answered(MS365, status, {"code": code, "message": "ann@example.org"}, **{"retry-after": "7"})
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome
    assert "ann@" not in repr(found)
    assert found.retry_after == 7.0 or found.kind == "permanent"


def test_accepted_is_the_end_and_nothing_can_be_done_about_a_doubt():
    said = HttpResponse(200, {}, b'{"id": "18f1", "threadId": "18f0", "labelIds": ["SENT"]}')
    assert GMAIL.outcome(said) == Accepted("18f1", {"status": 200, "thread": "18f0"})
    assert MS365.outcome(HttpResponse(202)) == Accepted(None, {"status": 202})
    for provider in (GMAIL, MS365):
        assert isinstance(doubt(provider), Neither)
        assert isinstance(answered(provider, 504), Unknown)
        assert not hasattr(provider, "webhook_routes")


def test_a_check_is_content_with_a_token_that_may_only_send():
    assert GMAIL.check_request(CONFIG).url.endswith("/users/ann%2Bnews%40example.com/profile")
    assert MS365.check_request(CONFIG).url.endswith("/users/ann%2Bnews%40example.com?$select=mail")
    assert GMAIL.checked(HttpResponse(200)) is None
    lacks = json.dumps({"error": gmail_error(403, "insufficientPermissions")}).encode()
    assert GMAIL.checked(HttpResponse(403, {}, lacks)) is None
    assert "401" in GMAIL.checked(HttpResponse(401))
    assert MS365.checked(HttpResponse(403)) is None
    assert "404" in MS365.checked(
        HttpResponse(404, {}, b'{"error": {"code": "Request_ResourceNotFound", "message": "x"}}')
    )
