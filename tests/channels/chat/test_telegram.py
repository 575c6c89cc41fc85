"""Does Telegram get what it asks for, and do we understand its answers?"""

from __future__ import annotations

import json

import pytest
from telegram import Bot
from telegram.error import Forbidden, RetryAfter
from telegram.request import BaseRequest
from tests.channels.texts import NOW, chat, text

from dripdrop.channels.chat.telegram import TelegramProvider
from dripdrop.contracts import HttpResponse
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.outcome import Accepted, Rejected, Unknown

TELEGRAM = TelegramProvider()
TOKEN = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"
CONFIG = {"bot_token": TOKEN, "now": NOW}
SENT = {"message_id": 42, "date": 1898586000, "chat": {"id": 4711, "type": "private"}, "text": "Hi"}
KEYBOARD = {"inline_keyboard": [[{"text": "Open", "url": "https://example.org"}]]}
PHOTO, FILE = "https://example.org/a.png", "https://example.org/a.pdf"


class Recorder(BaseRequest):
    """What Telegram's Python library would send; it is answered with `status` and `answer`."""

    read_timeout = 5.0

    def __init__(self, answer=None, status=200):
        self.calls, self.status = [], status
        self.answer = answer or {"ok": True, "result": SENT}

    async def initialize(self):
        return None

    async def shutdown(self):
        return None

    async def do_request(self, url, method, request_data=None, **_):
        self.calls.append((method, url, dict(request_data.parameters)))
        return self.status, json.dumps(self.answer).encode()


@pytest.mark.parametrize(
    ("extra", "config", "method", "theirs"),
    [
        ({}, {}, "send_message", {"text": "Hello"}),
        ({}, {"parse_mode": "HTML"}, "send_message", {"text": "Hello", "parse_mode": "HTML"}),
        (
            {"disable_notification": True, "parse_mode": "MarkdownV2", "reply_markup": KEYBOARD},
            {"parse_mode": "HTML"},
            "send_message",
            {"text": "Hello", "parse_mode": "MarkdownV2", "disable_notification": True, "reply_markup": KEYBOARD},
        ),
        ({"photo": PHOTO}, {}, "send_photo", {"photo": PHOTO, "caption": "Hello"}),
        (
            {"document": FILE, "protect_content": True},
            {},
            "send_document",
            {"document": FILE, "caption": "Hello", "protect_content": True},
        ),
    ],
)
async def test_telegrams_python_library_would_send_the_same(extra, config, method, theirs):
    recorder = Recorder()
    await getattr(Bot(TOKEN, request=recorder), method)(chat_id="4711", **theirs)
    ((verb, url, parameters),) = recorder.calls
    request = TELEGRAM.request(chat("telegram", to="4711", extra=extra), {**CONFIG, **config})
    assert (request.method, request.url, json.loads(request.body)) == (verb, url, parameters)


@pytest.mark.parametrize(
    ("delivery", "code", "path"),
    [
        (chat("telegram"), "recipient_missing", "to"),
        (chat("telegram", to="1", extra={"chat_id": "2"}), "unsupported", "chat_id"),
        (chat("telegram", to="1", extra={"photo": PHOTO, "video": PHOTO}), "unsupported", "video"),
        (chat("telegram", to="1", extra={"photo": PHOTO, "entities": []}), "unsupported", "entities"),
        (chat("telegram", to="1", extra={"cc": "x"}), "unsupported", "cc"),
        (text(), "wrong_message", "message"),
    ],
)
def test_what_it_cannot_send_is_refused_by_name(delivery, code, path):
    with pytest.raises(Invalid) as caught:
        TELEGRAM.request(delivery, CONFIG)
    assert (caught.value.code, caught.value.findings[0].path) == (code, path)


def refused(status, description, **parameters):
    said = {"ok": False, "error_code": status, "description": description}
    return said | ({"parameters": parameters} if parameters else {})


@pytest.mark.parametrize(
    ("status", "description", "outcome"),
    [
        (403, "Forbidden: bot was blocked by the user", ("permanent", "opted_out")),
        (403, "Forbidden: user is deactivated", ("bounced", "recipient")),
        (403, "Forbidden: bot can't initiate conversation with a user", ("permanent", "recipient")),
        (403, "Forbidden: bot was kicked from the supergroup chat", ("permanent", "recipient")),
        (403, "Forbidden: something new", ("permanent", "recipient")),
        (400, "Bad Request: chat not found", ("permanent", "recipient")),
        (400, "Bad Request: group chat was upgraded to a supergroup chat", ("permanent", "recipient")),
        (400, "Bad Request: message is too long", ("permanent", "message")),
        (400, "Bad Request: can't parse entities: unclosed tag", ("permanent", "message")),
        (401, "Unauthorized", ("temporary", "adapter")),
        (404, "Not Found", ("temporary", "adapter")),
        (409, "Conflict", ("temporary", "message")),
        (500, "Internal Server Error", ("temporary", "message")),
    ],
)
def test_a_description_says_whose_fault_it_is(status, description, outcome):
    found = TELEGRAM.outcome(HttpResponse(status, {}, json.dumps(refused(status, description)).encode()))
    assert isinstance(found, Rejected)
    assert (found.kind, found.cause) == outcome


async def test_it_waits_as_long_as_telegrams_library_would():
    said = refused(429, "Too Many Requests: retry after 14", retry_after=14)
    with pytest.raises(RetryAfter) as caught:
        await Bot(TOKEN, request=Recorder(said, 429)).send_message("1", "x")
    found = TELEGRAM.outcome(HttpResponse(429, {}, json.dumps(said).encode()))
    assert (found.cause, found.retry_after) == ("throttled", caught.value._retry_after.total_seconds())


async def test_who_blocked_the_bot_is_forbidden_to_telegrams_library_too():
    said = refused(403, "Forbidden: bot was blocked by the user")
    with pytest.raises(Forbidden):
        await Bot(TOKEN, request=Recorder(said, 403)).send_message("1", "x")


def test_accepted_under_a_name_that_is_its_own_among_all_chats():
    body = json.dumps({"ok": True, "result": SENT}).encode()
    assert TELEGRAM.outcome(HttpResponse(200, {}, body)) == Accepted("4711:42", {"status": 200})
    assert isinstance(TELEGRAM.outcome(HttpResponse(200, {}, b"<html>")), Unknown)
    assert isinstance(TELEGRAM.outcome(HttpResponse(504, {}, b"")), Unknown)


def test_a_check_asks_who_the_bot_is():
    assert TELEGRAM.check_request(CONFIG).url == f"https://api.telegram.org/bot{TOKEN}/getMe"
    assert TELEGRAM.checked(HttpResponse(200, {}, b'{"ok": true}')) is None
    assert "401" in TELEGRAM.checked(HttpResponse(401, {}, json.dumps(refused(401, "Unauthorized")).encode()))


@pytest.mark.parametrize(
    ("secret", "headers", "good"),
    [
        ("s3cret", {"x-telegram-bot-api-secret-token": "s3cret"}, True),
        (["new", "s3cret"], {"x-telegram-bot-api-secret-token": "s3cret"}, True),
        ("s3cret", {"x-telegram-bot-api-secret-token": "s3creT"}, False),
        ("s3cret", {}, False),
        (None, {"x-telegram-bot-api-secret-token": "None"}, False),
    ],
)
def test_only_who_knows_the_secret_is_believed(secret, headers, good):
    config = {**CONFIG, "webhook_secret": secret}
    if good:
        TELEGRAM.verify_webhook(b"{}", headers, config)
    else:
        with pytest.raises(Unauthorized):
            TELEGRAM.verify_webhook(b"{}", headers, config)


@pytest.mark.parametrize(("token", "good"), [(TOKEN, True), ("", False), ("123456", False), ("12:a/../b", False)])
def test_a_token_looks_like_one(token, good):
    assert (TELEGRAM.validate_credentials({"bot_token": token}) == []) is good
