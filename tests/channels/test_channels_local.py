"""Is what was sent in development there to be read, once and whole?"""

from __future__ import annotations

import email
import email.policy
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from tests.channels.deliveries import HELLO, NOW, delivery_of

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.local import LocalProvider, list_messages, read_eml, read_message
from dripdrop.rules.message import Address, Attachment, Chat, Email, Sms, Webhook
from dripdrop.rules.outcome import Accepted, Idempotent, Rejected

MAIL = LocalProvider("email")


def config(folder, **changes):
    return {"folder": str(folder), "now": NOW, **changes}


def test_an_email_is_kept_readable_and_raw(tmp_path):
    message = Email(
        to=(Address("ann@example.org", "Ann"),),
        bcc=(Address("eve@example.net"),),
        subject="Grüße",
        text="Hello",
        html="<p>Hello</p>",
        attachments=(Attachment("a.pdf", b"%PDF", "application/pdf"),),
    )
    outcome = MAIL.deliver(delivery_of(message), config(tmp_path, **{"from": "Shop <shop@example.com>"}))
    assert isinstance(outcome, Accepted)
    [kept] = list_messages(tmp_path)
    assert kept["id"] == outcome.provider_message_id == str(UUID(int=1))
    assert (kept["channel"], kept["recipient"], kept["kind"]) == ("email", "ann@example.org", "email")
    assert (kept["sequence"], kept["step"], kept["at"]) == ("onboarding", "welcome", NOW.isoformat())
    assert (kept["message"]["subject"], kept["message"]["html"]) == ("Grüße", "<p>Hello</p>")
    assert kept["attachments"] == [{"filename": "a.pdf", "content_type": "application/pdf", "bytes": 4}]
    assert kept["envelope"] == ["ann@example.org", "eve@example.net"]
    raw = email.message_from_bytes(read_eml(tmp_path, kept["id"]), policy=email.policy.default)
    assert (raw["Subject"], raw["From"], raw["Bcc"]) == ("Grüße", "Shop <shop@example.com>", None)
    assert [part.get_filename() for part in raw.iter_attachments()] == ["a.pdf"]


@pytest.mark.parametrize(
    ("channel", "message", "field", "value"),
    [
        ("sms", Sms("+4915112345678", "Hi"), "body", "Hi"),
        ("slack", Chat("C012AB3CD", "Hi", {"blocks": [{"type": "divider"}]}), "text", "Hi"),
        ("telegram", Chat("42", "Hi"), "to", "42"),
        ("whatsapp", Chat("+4915112345678", "Hi"), "text", "Hi"),
        ("webhook", Webhook({"type": "x", "n": {1: 2}}), "payload", {"type": "x", "n": {"1": 2}}),
    ],
)
def test_every_other_channel_is_kept_too(tmp_path, channel, message, field, value):
    assert isinstance(LocalProvider(channel).deliver(delivery_of(message), config(tmp_path)), Accepted)
    [kept] = list_messages(tmp_path, channel=channel)
    assert kept["message"][field] == value
    assert read_eml(tmp_path, kept["id"]) is None
    assert list_messages(tmp_path, channel="email") == []


def test_the_same_delivery_is_kept_once_however_often_it_is_sent(tmp_path):
    first = MAIL.deliver(delivery_of(), config(tmp_path))
    again = MAIL.deliver(delivery_of(), config(tmp_path, now=NOW + timedelta(hours=1)))
    assert again == first
    assert len(list_messages(tmp_path)) == 1
    assert isinstance(MAIL.on_doubt, Idempotent)


def test_the_newest_come_first_and_no_more_than_asked_for(tmp_path):
    for number in range(1, 6):
        MAIL.deliver(delivery_of(number=number), config(tmp_path, now=NOW + timedelta(minutes=number % 3)))
    found = [int(UUID(each["id"])) for each in list_messages(tmp_path)]
    assert found == [5, 2, 4, 1, 3]
    assert [int(UUID(each["id"])) for each in list_messages(tmp_path, limit=2)] == [5, 2]


def test_many_writers_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(MAIL.deliver, delivery_of(number=each % 40), config(tmp_path)) for each in range(1, 121)]
        assert all(isinstance(job.result(), Accepted) for job in jobs)
    assert len(list_messages(tmp_path)) == 40
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".0") or ".json." in each.name]


def test_a_writer_that_died_between_name_and_message_leaves_nothing_that_blocks(tmp_path):
    (tmp_path / ".ids").mkdir()
    (tmp_path / ".ids" / str(UUID(int=1))).write_text(f"20300301T080000000000-{UUID(int=1)}.json")
    (tmp_path / ".ids" / str(UUID(int=2))).write_text("")
    for number in (1, 2):
        assert isinstance(MAIL.deliver(delivery_of(number=number), config(tmp_path)), Accepted)
    assert len(list_messages(tmp_path)) == 2
    assert read_message(tmp_path, UUID(int=1))["recipient"] == "ann@example.org"


def test_what_is_not_there_or_not_ours_is_not_read(tmp_path):
    assert list_messages(tmp_path / "nowhere") == []
    MAIL.deliver(delivery_of(), config(tmp_path))
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / f"20300301T080000000000-{uuid4()}.json").write_text("half a mess")
    assert len(list_messages(tmp_path)) == 1
    for identifier in (uuid4(), "../../etc/passwd", "", "x"):
        assert read_message(tmp_path, identifier) is None
        assert read_eml(tmp_path, identifier) is None


def test_a_message_that_cannot_be_an_email_is_refused(tmp_path):
    broken = Email(to=(Address("bob@"),), subject="x", text="x")
    assert MAIL.deliver(delivery_of(broken), config(tmp_path)) == Rejected(
        "permanent", "message", None, {"reason": "address"}
    )
    assert list_messages(tmp_path) == []


async def test_through_the_speaker(tmp_path):
    speaker = Speaker(Sender())
    outcome = await speaker.send(MAIL, delivery_of(HELLO), config(tmp_path), timeout=5)
    assert isinstance(outcome, Accepted)
    assert await speaker.check(MAIL, config(tmp_path), timeout=5) is None
    (tmp_path / "file").write_text("")
    assert "cannot be made" in await speaker.check(MAIL, config(tmp_path / "file" / "x"), timeout=5)
    await speaker.aclose()
