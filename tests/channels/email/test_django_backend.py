"""Does an e-mail go through the project's own backend as through a provider of ours?"""

from __future__ import annotations

import json
import smtplib
import socket
import warnings
from unittest.mock import patch

import pytest
import requests
from aiosmtpd.controller import Controller
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from tests.channels.anymail_oracle import wire
from tests.channels.email import backends
from tests.channels.email.letters import FULL, NOW, PLAIN, letter
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.channels.email.django_backend import DjangoProvider
from dripdrop.channels.email.mailersend import MailerSendProvider
from dripdrop.channels.email.postmark import PostmarkProvider
from dripdrop.channels.email.sendgrid import SendGridProvider
from dripdrop.channels.http import Sender
from dripdrop.contracts import DELIVERY_KEY
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

DJANGO = DjangoProvider()
OURS = "tests.channels.email.backends.Backend"
KEYS = {
    "mailersend": {"api_token": "key-1"},
    "mailgun": {"api_key": "key-1"},
    "postmark": {"server_token": "key-1"},
    "resend": {"api_key": "key-1"},
    "sendgrid": {"api_key": "key-1", "generate_message_id": False},
}


@pytest.fixture(autouse=True)
def project():
    if not settings.configured:
        settings.configure()
    backends.HEARD.clear()


def sent(delivery=None, backend=OURS, config=None, **options):
    given = {"backend": backend, "backend_options": options, "now": NOW, **(config or {})}
    return DJANGO.deliver(delivery or letter(), given)


def by_anymail(name, delivery, **config):
    """(outcome, the calls that left)"""
    with wire() as calls, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that anymail supports SendGrid no more is not our question
        return sent(delivery, f"anymail.backends.{name}.EmailBackend", config, **KEYS[name]), calls


def raised(error):
    return sent(raises=error)


@pytest.mark.parametrize("message", [PLAIN, FULL], ids=["plain", "full"])
@pytest.mark.parametrize(
    ("name", "native", "step"),
    [
        (
            "postmark",
            PostmarkProvider(),
            {"tags": ["a"], "metadata": {"plan": "pro"}, "provider_options": {"TrackOpens": True}},
        ),
        ("sendgrid", SendGridProvider(), {"tags": ["a", "b"], "metadata": {"plan": "pro"}}),
    ],
)
def test_anymails_provider_gets_what_our_own_would_send(name, native, step, message):
    outcome, (call,) = by_anymail(name, letter(message, step=step))
    ours = native.request(letter(message, step=step), {"api_key": "key-1", "now": NOW})
    assert json.loads(call.body) == json.loads(ours.body)
    assert call.url == ours.url
    assert isinstance(outcome, Accepted), outcome


@pytest.mark.parametrize("name", sorted(KEYS))
def test_every_provider_of_anymail_takes_it_and_says_its_id(name):
    outcome, (call,) = by_anymail(name, letter(FULL))
    assert isinstance(outcome, Accepted), outcome
    assert ("1" in (outcome.provider_message_id or "")) == (name != "sendgrid"), "anymail makes an id up for SendGrid"
    said = call.body if isinstance(call.body, str) else call.body.decode("utf-8", "replace")
    assert (DELIVERY_KEY in said) == (name != "mailersend"), "our own id travels wherever there is metadata"


def test_where_there_is_no_metadata_only_our_own_id_is_left_out():
    outcome, calls = by_anymail("mailersend", letter(PLAIN, step={"metadata": {"plan": "pro"}}))
    assert (outcome.kind, outcome.cause, outcome.detail["reason"]) == ("permanent", "message", "unsupported")
    assert calls == []
    _, (call,) = by_anymail("mailersend", letter(PLAIN, step={"tags": ["a"]}))
    ours = json.loads(
        MailerSendProvider().request(letter(PLAIN, step={"tags": ["a"]}), {"api_key": "k", "now": NOW}).body
    )
    assert json.loads(call.body) == {**ours, "tags": ["a"]}


def test_a_backend_of_django_gets_the_whole_message():
    assert sent(letter(FULL, message_id="a.0@example.com")) == Accepted()
    (message,) = backends.HEARD
    people = [each.rpartition(" ")[2].strip("<>") for each in message.recipients()]
    assert people == ["ann@example.org", "bo@example.org", "cy@example.org", "di@example.org"]
    read = message.message()
    assert read["Message-ID"] == "<a.0@example.com>"
    assert read["List-Unsubscribe"] == "<https://example.com/u/abc>"
    parts = [(part.get_content_type(), part["Content-ID"]) for part in read.walk() if not part.is_multipart()]
    assert parts == [
        ("text/plain", None),
        ("text/html", None),
        ("application/pdf", None),
        ("image/png", "<logo@example.com>"),
    ]


def test_images_alone_belong_to_the_html_and_html_alone_is_the_body():
    sent(letter(FULL, attachments=FULL.attachments[1:]))
    sent(letter(PLAIN, text=None, html="<p>Hello</p>"))
    with_image, only_html = [each.message() for each in backends.HEARD]
    assert with_image.get_content_type() == "multipart/related"
    assert only_html.get_content_type() == "text/html"


def test_the_projects_own_settings_say_backend_and_sender():
    with (
        patch.object(settings, "EMAIL_BACKEND", OURS),
        patch.object(settings, "DEFAULT_FROM_EMAIL", "shop@example.net"),
    ):
        assert DJANGO.deliver(letter(PLAIN, sender=None), {"now": NOW}) == Accepted()
        assert DJANGO.deliver(letter(PLAIN, sender=None), {"now": NOW, "from": "other@example.net"}) == Accepted()
    assert [each.from_email for each in backends.HEARD] == ["shop@example.net", "other@example.net"]


@pytest.mark.parametrize("step", [{"tags": ["a"]}, {"metadata": {"a": "b"}}, {"provider_options": {"a": "b"}}])
def test_without_anymail_nothing_is_dropped_in_silence(step):
    found = sent(letter(PLAIN, step=step))
    assert (found.cause, found.detail["reason"], found.detail["unsupported"]) == (
        "message",
        "unsupported",
        next(iter(step)),
    )
    assert backends.HEARD == []


class Status:
    def __init__(self, **statuses):
        self.recipients = {f"{name}@example.org": each for name, each in statuses.items()}
        self.message_id = "all"


class One:
    def __init__(self, status, message_id="m1"):
        self.status, self.message_id = status, message_id


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"ann": One("queued")}, Accepted("m1", {"status": "queued"})),
        ({"ann": One("sent"), "bo": One("rejected", None)}, Accepted("m1", {"status": "sent"})),
        (
            {"ann": One("rejected", None), "bo": One("sent")},
            Rejected("permanent", "recipient", None, {"reason": "rejected"}),
        ),
        ({"ann": One("invalid", None)}, Rejected("permanent", "recipient", None, {"reason": "invalid"})),
        ({"ann": One("failed", None)}, Rejected("permanent", "message", None, {"reason": "failed"})),
        ({"ann": One("unknown", None)}, Accepted(None, {"status": "unknown"})),
        ({"bo": One("queued")}, Accepted("all")),
    ],
)
def test_anymail_says_of_each_recipient_what_became_of_it(status, outcome):
    def told(self, messages):
        messages[0].anymail_status = Status(**status)
        return 1

    with patch.object(backends.Backend, "send_messages", told):
        assert sent() == outcome


def api_error(status, headers=None, body=b"{}", cause=None):
    from anymail.exceptions import AnymailRequestsAPIError

    response = None
    if status is not None:
        response = requests.Response()
        response.status_code, response._content = status, body
        response.headers.update(headers or {})
    error = AnymailRequestsAPIError("ann@example.org", response=response)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (api_error(400), ("permanent", "message")),
        (api_error(401), ("temporary", "adapter")),
        (api_error(429, {"Retry-After": "7"}), ("temporary", "throttled")),
        (api_error(500), ("temporary", "message")),
        (api_error(None, cause=requests.ConnectTimeout("x")), ("temporary", "adapter")),
        (
            api_error(None, cause=requests.ConnectionError(NewConnectionError(None, "refused"))),
            ("temporary", "adapter"),
        ),
        (smtplib.SMTPSenderRefused(550, b"5.1.8 bad sender", "news@example.com"), ("temporary", "adapter")),
        (smtplib.SMTPRecipientsRefused({"ann@example.org": (550, b"5.1.1 no such user")}), ("bounced", "recipient")),
        (smtplib.SMTPRecipientsRefused({"ann@example.org": (450, b"4.2.0 try later")}), ("temporary", "recipient")),
        (smtplib.SMTPDataError(554, b"5.7.1 spam"), ("permanent", "policy")),
        (smtplib.SMTPDataError(421, b"4.7.0 slow down"), ("temporary", "throttled")),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 bad login"), ("temporary", "adapter")),
        (ImproperlyConfigured("no key"), ("temporary", "adapter")),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_raised_says_whose_fault_it_is(error, outcome):
    found = raised(error)
    assert isinstance(found, Rejected), found
    assert (found.kind, found.cause) == outcome
    assert "ann@" not in repr(found)


@pytest.mark.parametrize(
    "error",
    [
        api_error(200, body=b"<html>"),
        api_error(504),
        api_error(None, cause=requests.ReadTimeout("x")),
        api_error(None, cause=requests.ConnectionError(ReadTimeoutError(None, "/", "x"))),
        smtplib.SMTPServerDisconnected("x"),
        TimeoutError(),
        RuntimeError("ann@example.org"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_may_have_left_is_a_doubt(error):
    found = raised(error)
    assert isinstance(found, Unknown), found
    assert "ann@" not in repr(found)


def test_botocore_says_it_in_its_own_way():
    from anymail.exceptions import AnymailAPIError
    from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

    def failed(status, code):
        told = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return AnymailAPIError("x", response=ClientError(told, "SendEmail").response)

    assert (raised(failed(400, "Throttling")).cause, raised(failed(403, "InvalidClientTokenId")).cause) == (
        "throttled",
        "adapter",
    )
    assert raised(failed(400, "MessageRejected")).kind == "permanent"
    for cause in (NoCredentialsError(), EndpointConnectionError(endpoint_url="https://example.com")):
        error = AnymailAPIError("x")
        error.__cause__ = cause
        assert raised(error).cause == "adapter"


def test_who_cancels_in_a_signal_has_refused_it_and_a_backend_that_counts_nothing_has_not():
    assert sent(count=0) == Rejected("permanent", "policy", None, {"reason": "cancelled"})
    assert sent(count=None) == Accepted()


def test_a_backend_that_is_not_there_is_the_adapters_trouble():
    found = sent(backend="nowhere.Backend")
    assert (found.kind, found.cause, found.detail["reason"]) == ("temporary", "adapter", "missing_extra")
    assert "ModuleNotFoundError" in DJANGO.check({"backend": "nowhere.Backend"})
    assert DJANGO.check({"backend": OURS}) is None
    assert "Refused" in DJANGO.check({"backend": OURS, "backend_options": {"how": "refused"}})
    assert isinstance(doubt(DJANGO), Neither)
    assert DJANGO.validate_credentials({}) == []


class Desk:
    """A mail server that knows some people, and is busy for others."""

    letters = ()

    async def handle_RCPT(self, server, session, envelope, address, options):
        known = {"nobody@example.org": "550 5.1.1 no such user", "later@example.org": "451 4.3.0 later"}
        if address in known:
            return known[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        self.letters = (*self.letters, envelope)
        return "250 kept"


async def test_through_djangos_own_smtp_to_a_real_server():
    desk = Desk()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(desk, hostname="127.0.0.1", port=port)
    controller.start()
    speaker = Speaker(Sender())
    try:
        options = {"host": "127.0.0.1", "port": port}
        config = {"backend": "django.core.mail.backends.smtp.EmailBackend", "backend_options": options, "now": NOW}
        found = await speaker.send(DJANGO, letter(FULL), config, timeout=10)
        assert found == Accepted()
        assert desk.letters[0].rcpt_tos == ["ann@example.org", "bo@example.org", "cy@example.org", "di@example.org"]
        for name, outcome in (("nobody", ("bounced", "recipient")), ("later", ("temporary", "message"))):
            to = (PLAIN.to[0].__class__(f"{name}@example.org"),)
            found = await speaker.send(DJANGO, letter(PLAIN, to=to), config, timeout=10)
            assert (found.kind, found.cause) == outcome
    finally:
        await speaker.aclose()
        controller.stop()
    found = sent(backend="django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=port)
    assert (found.kind, found.cause, found.detail["reason"]) == ("temporary", "adapter", "connect")
