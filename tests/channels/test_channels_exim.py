"""Does a real mail server, Debian's exim4, get what we built, and do we understand what it answers?"""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from dataclasses import replace

import pytest
from tests.channels.deliveries import HELLO, NOW, delivery_of
from tests.channels.exim import PATIENCE, exim

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.smtp import SmtpProvider
from dripdrop.rules.mail import build
from dripdrop.rules.message import Address, Attachment
from dripdrop.rules.outcome import Accepted, Rejected, Unknown

pytestmark = pytest.mark.system("exim4-daemon-light")

SMTP = SmtpProvider()
ONE_BY_ONE = "pipelining_advertise_hosts ="


@pytest.fixture(scope="module", params=[ONE_BY_ONE, ""], ids=["one by one", "pipelined"])
def server(request):
    with exim(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(certificate):
    """It has a certificate, wants a login for other people's domains, and offers both ways."""
    with exim(logins="PLAIN LOGIN", tls=certificate) as server:
        yield server


@pytest.fixture
async def speaker():
    speaker = Speaker(Sender())
    yield speaker
    await speaker.aclose()


def config(server, **changes):
    return {
        "relay": "127.0.0.1",
        "port": server.port,
        "now": NOW,
        "local_hostname": "client.example.test",
        "starttls": "never",
        **changes,
    }


async def send(speaker, server, message=HELLO, *, number=1, **changes):
    """The person it is for is the first it goes to."""
    delivery = delivery_of(message, recipient=message.to[0].email, number=number)
    return await speaker.send(SMTP, delivery, config(server, **changes), timeout=PATIENCE)


def mail(name, **fields):
    """A message with an id, so that it can be found in the maildir."""
    return replace(HELLO, message_id=f"{name.replace(' ', '.')}@example.com", date=NOW, **fields)


def to(*local_parts, domain="example.org"):
    return tuple(Address(f"{each}@{domain}") for each in local_parts)


def copies(server, message):
    """What lies of this message in the maildir, once for each recipient."""
    return [raw for raw in server.delivered() if f"<{message.message_id}>".encode() in raw]


def stored(server, message):
    """The one copy of this message, as it lies in the maildir."""
    (found,) = copies(server, message)
    return found


def judged(outcome):
    return type(outcome), outcome.kind, outcome.cause, outcome.detail["reply"], outcome.detail["stage"]


PICTURE = Attachment("größe.png", bytes(range(256)) * 40, "image/png", content_id="logo")
NASTY = {
    "a dot": {"text": "."},
    "the end of a message": {"text": "\r\n.\r\nMAIL FROM:<eve@example.net>\r\n"},
    "dots": {"text": ".\n..\n...\n. \n.x\n\n.\n"},
    "no newline at the end": {"text": "..x\n.y"},
    "nothing": {"text": ""},
    "newlines": {"text": "\n\n\n"},
    "from": {"text": "From here\n>From there\nFrom: nobody\n"},
    "the longest line": {"text": "." + "x" * 997 + "\n.\n"},
    "a line too long": {"text": "." + "x" * 70_000 + "\n." + "y" * 998},
    "a long line of words": {"text": "Grüße " * 5_000},
    "other alphabets": {"text": "Здравствуйте\n.\n你好\n" * 50},
    "spaces at the end": {"text": "a \nb\t\nc  "},
    "controls": {"text": "bell \a escape \x1b nul \0 form \f\n"},
    "a page": {"html": "<p>.</p>\n.\n<p>" + "long " * 400 + "</p>"},
    "files": {"html": '<img src="cid:logo">', "attachments": (PICTURE, Attachment("a.bin", b"\r\n.\r\n\0\xff" * 99))},
    "a long subject": {"subject": "Sehr schöne Grüße 🎉 " * 40},
}


@pytest.mark.parametrize("case", NASTY)
async def test_what_was_built_arrives_to_the_byte(server, speaker, case):
    message = mail(case, **NASTY[case])
    outcome = await send(speaker, server, message, number=7)
    assert isinstance(outcome, Accepted)
    built = build(message, boundary_seed=str(delivery_of(number=7).id))
    before, found, after = stored(server, message).partition(built)
    assert (found, after) == (built, b"")
    added = email.message_from_bytes(before + b"\r\n")
    assert added.keys() == ["Return-path", "Envelope-to", "Received"]


@pytest.mark.parametrize("case", [case for case, fields in NASTY.items() if "\0" not in fields.get("text", "")])
async def test_what_was_written_is_what_a_mail_program_reads(server, speaker, case):
    message = mail(f"read {case}", **NASTY[case])
    assert isinstance(await send(speaker, server, message), Accepted)
    read = email.message_from_bytes(stored(server, message), policy=email.policy.default)
    assert read["Subject"].rstrip() == message.subject.rstrip()
    text = read.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert text.removesuffix("\n") == message.text.replace("\r\n", "\n").removesuffix("\n")
    if message.html is not None:
        assert read.get_body(("html",)).get_content().replace("\r\n", "\n").rstrip("\n") == message.html
    contents = {part.get_filename(): part.get_content() for part in read.walk() if part.get_filename()}
    assert contents == {each.filename: each.content for each in message.attachments}


async def test_the_receipt_names_the_message_in_exims_queue(server, speaker):
    message = mail("receipt")
    outcome = await send(speaker, server, message)
    assert outcome.provider_message_id == message.message_id
    queue_id = re.fullmatch(r"OK id=(\S+)", outcome.meta["receipt"])[1]
    assert f"id {queue_id}" in email.message_from_bytes(stored(server, message))["Received"]


async def test_a_crowd_of_messages_over_few_connections_all_arrive_once(server, speaker):
    names = [f"crowd {number}" for number in range(60)]
    sent = [send(speaker, server, mail(name), number=n, connections=3) for n, name in enumerate(names)]
    assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*sent))
    ids = [email.message_from_bytes(raw)["Message-ID"] for raw in server.delivered()]
    assert sorted(each for each in ids if "crowd" in each) == sorted(f"<{mail(name).message_id}>" for name in names)


@pytest.mark.parametrize(
    ("person", "judgement"),
    [
        ("nobody", ("bounced", "recipient", 550)),
        ("unknown", ("bounced", "recipient", 550)),  # Unrouteable address
        ("gone", ("bounced", "recipient", 550)),  # moved on
        ("forbidden", ("bounced", "recipient", 550)),  # Administrative prohibition
        ("blocked", ("permanent", "policy", 550)),
        ("greylisted", ("temporary", "policy", 451)),
        ("busy", ("temporary", "recipient", 450)),
        ("moving", ("temporary", "message", 451)),  # is being moved
        ("troubled", ("temporary", "message", 451)),  # Temporary local problem - please try later
    ],
)
async def test_a_refused_recipient_is_refused_and_nothing_arrives(server, speaker, person, judgement):
    message = mail(f"refused {person}", to=to(person))
    outcome = await send(speaker, server, message)
    assert judged(outcome) == (Rejected, *judgement, "rcpt")
    assert f"{person}@" not in str(outcome.detail)
    assert copies(server, message) == []


@pytest.mark.parametrize(
    ("header", "judgement"),
    [
        ("spam", ("permanent", "policy", 550)),
        ("malformed", ("permanent", "message", 554)),
        ("deny", ("permanent", "policy", 550)),  # Administrative prohibition
        ("scanner", ("temporary", "message", 451)),
        ("defer", ("temporary", "message", 451)),  # Temporary local problem - please try later
    ],
)
async def test_a_message_refused_after_its_end_is_refused_and_does_not_arrive(server, speaker, header, judgement):
    message = mail(f"content {header}", headers=(("X-Test", header),))
    assert judged(await send(speaker, server, message)) == (Rejected, *judgement, "end")
    assert copies(server, message) == []


async def test_after_each_kind_of_refusal_the_same_connection_goes_on(server, speaker):
    refused = [{"to": to("nobody")}, {"to": to("troubled", "nobody")}, {"headers": (("X-Test", "defer"),)}]
    for number, fields in enumerate(refused):
        no, yes = mail(f"refusal {number}", **fields), mail(f"consent {number}")
        assert isinstance(await send(speaker, server, no, connections=1), Rejected)
        assert isinstance(await send(speaker, server, yes, connections=1), Accepted)
        assert copies(server, no) == []
        assert len(copies(server, yes)) == 1


async def test_some_recipients_refused_is_accepted_and_reaches_the_others(server, speaker):
    message = mail("some", to=to("ann"), cc=to("nobody", "bob"), bcc=to("greylisted", "eve"))
    outcome = await send(speaker, server, message)
    assert isinstance(outcome, Accepted)
    assert (outcome.meta["refused"], outcome.meta["person_refused"]) == (2, False)
    assert outcome.meta["refused_replies"] == ["550 5.1.1", "451 4.7.1"]
    arrived = copies(server, message)
    people = sorted(email.message_from_bytes(raw)["Envelope-to"] for raw in arrived)
    assert people == ["ann@example.org", "bob@example.org", "eve@example.org"]
    assert not any(b"bcc" in raw.lower() for raw in arrived)


async def test_the_person_refused_and_the_copy_taken_is_told(server, speaker):
    message = mail("person refused", to=to("nobody"), cc=to("bob"))
    outcome = await send(speaker, server, message)
    assert isinstance(outcome, Accepted)
    assert outcome.meta["person_refused"] is True


@pytest.mark.parametrize(
    ("person", "copy", "judgement"),
    [
        ("nobody", "busy", ("bounced", "recipient", 550)),
        ("busy", "nobody", ("temporary", "recipient", 450)),
    ],
)
async def test_where_all_are_refused_the_answer_for_the_person_counts(server, speaker, person, copy, judgement):
    outcome = await send(speaker, server, mail("all refused", to=to(person), cc=to(copy)))
    assert judged(outcome) == (Rejected, *judgement, "rcpt")


async def test_a_big_message_arrives_and_one_that_is_too_big_is_refused_before_it_is_sent(speaker):
    with exim("message_size_limit = 8M") as server:
        big = mail("big", text=".A line of ordinary text\n" * 250_000)
        assert isinstance(await send(speaker, server, big), Accepted)
        assert stored(server, big).endswith(build(big, boundary_seed=str(delivery_of().id)))
        outcome = await send(speaker, server, mail("too big", text=".A line of ordinary text\n" * 400_000))
        assert judged(outcome) == (Rejected, "permanent", "message", 552, "mail")
        assert isinstance(await send(speaker, server, mail("after")), Accepted)


async def test_a_mailbox_in_another_alphabet_gets_its_mail_where_the_server_can(server, speaker):
    message = mail("utf8", to=(Address("jürgen@bücher.example", "Jürgen"),), subject="Grüße")
    assert isinstance(await send(speaker, server, message), Accepted)
    raw = stored(server, message)
    assert raw.endswith(build(message, boundary_seed=str(delivery_of().id), smtputf8=True))
    assert "Envelope-to: jürgen@" in raw.decode()


async def test_a_mailbox_in_another_alphabet_is_refused_by_us_where_the_server_cannot(speaker):
    with exim("smtputf8_advertise_hosts =") as server:
        outcome = await send(speaker, server, mail("utf8", to=to("jürgen")))
        assert (outcome.kind, outcome.cause, outcome.detail["reason"]) == (
            "permanent",
            "recipient",
            "address_needs_smtputf8",
        )
        in_ascii = mail("idn", to=to("ann", domain="bücher.example"))
        assert isinstance(await send(speaker, server, in_ascii), Accepted)
        assert b"Envelope-to: ann@xn--bcher-kva.example\r\n" in stored(server, in_ascii)


async def test_more_messages_than_a_connection_may_carry_go_over_the_next(speaker):
    with exim("smtp_accept_max_per_connection = 2") as server:
        for number in range(5):
            assert isinstance(await send(speaker, server, mail(f"many {number}"), connections=1), Accepted)
        assert len(server.delivered()) == 5


async def test_more_connections_than_the_server_bears_is_a_wish_to_slow_down(speaker):
    with exim("smtp_accept_max = 1") as server:
        assert isinstance(await send(speaker, server, mail("first")), Accepted)
        outcome = await send(speaker, server, mail("second"), local_hostname="other.example.test")
        assert (outcome.kind, outcome.cause, outcome.detail["reply"]) == ("temporary", "throttled", 421)


@pytest.mark.parametrize("place", ["mail", "rcpt", "predata"])
@pytest.mark.parametrize("settings", [ONE_BY_ONE, ""], ids=["one by one", "pipelined"])
async def test_a_server_that_dies_before_the_message_took_nothing(speaker, place, settings):
    with exim(settings) as server:
        message = mail("died", sender=Address(f"{place}@stops.example"))
        sending = asyncio.create_task(send(speaker, server, message))
        await asyncio.wait_for(asyncio.to_thread(server.wait_until_held), PATIENCE)
        server.kill()
        outcome = await sending
        assert outcome == Rejected("temporary", "adapter", None, {"reason": "connection_lost"})
        outcome = await send(speaker, server, message)
        assert (outcome.kind, outcome.cause, outcome.detail["reason"]) == ("temporary", "adapter", "connect")
        server.start()
        assert isinstance(await send(speaker, server, mail("alive")), Accepted)
        assert len(server.delivered()) == 1


@pytest.mark.parametrize("text", ["Hello", "A line of text.\n" * 20_000], ids=["short", "long"])
async def test_a_server_that_dies_over_the_end_of_the_message_leaves_a_doubt(speaker, text):
    with exim() as server:
        message = mail("doubt", sender=Address("data@stops.example"), text=text)
        sending = asyncio.create_task(send(speaker, server, message))
        await asyncio.wait_for(asyncio.to_thread(server.wait_until_held), PATIENCE)
        server.kill()
        assert await sending == Unknown({"reason": "connection_lost", "stage": "end"})


async def test_a_server_that_takes_its_time_over_the_message_is_waited_for(speaker):
    with exim() as server:
        message = mail("slow", sender=Address("data@stops.example"))
        sending = asyncio.create_task(send(speaker, server, message))
        await asyncio.wait_for(asyncio.to_thread(server.wait_until_held), PATIENCE)
        server.let_go()
        assert isinstance(await sending, Accepted)
        assert len(server.delivered()) == 1


async def test_starttls_encrypts_and_its_certificate_is_checked(guarded, certificate, speaker):
    message = mail("encrypted")
    outcome = await send(speaker, guarded, message, starttls="always", ca_file=str(certificate[0]))
    assert isinstance(outcome, Accepted)
    assert re.search(r"with esmtps\s+\(TLS1\.3\)", email.message_from_bytes(stored(guarded, message))["Received"])
    outcome = await send(speaker, guarded, mail("not trusted"), starttls="always")
    assert (outcome.kind, outcome.cause, outcome.detail["why"]) == ("temporary", "adapter", "certificate")
    outcome = await send(speaker, guarded, mail("wrong"), relay="localhost", starttls="always", ca_file=certificate[0])
    assert (outcome.kind, outcome.cause, outcome.detail["why"]) == ("temporary", "adapter", "certificate")


async def test_starttls_is_insisted_upon_where_the_server_does_not_offer_it(server, speaker):
    outcome = await send(speaker, server, mail("in the clear"), starttls="always")
    assert (outcome.kind, outcome.cause, outcome.detail["why"]) == ("temporary", "adapter", "not_offered")


async def test_tls_from_the_first_byte(speaker, certificate):
    with exim(tls=certificate, at_once=True) as server:
        message = mail("implicit", text=".A line of ordinary text\n" * 100_000)
        assert isinstance(await send(speaker, server, message, tls=True, ca_file=str(certificate[0])), Accepted)
        assert stored(server, message).endswith(build(message, boundary_seed=str(delivery_of().id)))


@pytest.mark.parametrize("way", ["PLAIN", "LOGIN"])
async def test_a_login_opens_the_way_and_a_wrong_one_is_the_adapters_trouble(speaker, way):
    away = {"to": to("ann", domain="elsewhere.example")}
    with exim(logins=way) as server:
        message = mail("login", **away)
        assert isinstance(await send(speaker, server, message, username="ann", password="secret"), Accepted)
        assert "with esmtpa" in email.message_from_bytes(stored(server, message))["Received"]
        for wrong in ({"password": "wrong"}, {"username": "bob", "password": "secret"}):
            outcome = await send(speaker, server, mail("wrong", **away), **{"username": "ann", **wrong})
            assert (type(outcome), outcome.kind, outcome.cause) == (Rejected, "temporary", "adapter")
            assert (outcome.detail["reason"], outcome.detail["reply"]) == ("login", 535)
        assert "535" in await speaker.check(SMTP, config(server, username="ann", password="wrong"), timeout=PATIENCE)
        assert await speaker.check(SMTP, config(server, username="ann", password="secret"), timeout=PATIENCE) is None


async def test_a_login_over_tls(guarded, speaker, certificate):
    secure = {"starttls": "always", "ca_file": str(certificate[0]), "username": "ann", "password": "secret"}
    message = mail("secure", to=to("ann", domain="elsewhere.example"))
    assert isinstance(await send(speaker, guarded, message, **secure), Accepted)
    assert "with esmtpsa" in email.message_from_bytes(stored(guarded, message))["Received"]


async def test_a_server_that_does_not_relay_for_us_says_nothing_about_the_person(guarded, speaker):
    outcome = await send(speaker, guarded, mail("relay", to=to("ann", domain="elsewhere.example")))
    assert judged(outcome) == (Rejected, "temporary", "adapter", 550, "rcpt")
    assert outcome.detail["text"] == "relay not permitted"
