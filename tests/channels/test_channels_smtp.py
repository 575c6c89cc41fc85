"""What does a real SMTP server (aiosmtpd) get from us, and do we know exactly when it may have taken a message?"""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import threading
from dataclasses import replace

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from tests.channels.deliveries import HELLO, NOW, delivery_of

from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.sessions import Sessions
from dripdrop.channels.smtp import SmtpProvider
from dripdrop.rules.message import Address
from dripdrop.rules.outcome import Accepted, Neither, Rejected, Unknown

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


class Handler:
    """Counts and keeps; `rcpt`, `mail` and `data` are replies by recipient or for all, `drop` is where to hang up."""

    def __init__(self):
        self.messages = []
        self.connections = 0
        self.commands = []
        self.rcpt = {}
        self.mail = None
        self.data = "250 2.0.0 Ok: queued as 4F1A for <ann@example.org>"
        self.drop = None
        self.extensions = ()
        self.hold = None
        self.holding = False

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [*responses[:-1], *(f"250-{each}" for each in self.extensions), responses[-1]]

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.drop == "mail":
            return self.hang_up(server)
        if self.mail:
            return self.mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.drop == "rcpt":
            return self.hang_up(server)
        reply = self.rcpt.get(address, "250 2.1.5 Ok")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):
        if self.hold is not None:
            self.holding = True
            await asyncio.get_running_loop().run_in_executor(None, self.hold.wait, PATIENCE)
        self.messages.append((envelope.mail_from, list(envelope.rcpt_tos), bytes(envelope.content)))
        if self.drop == "end":
            return self.hang_up(server)
        return self.data

    def hang_up(self, server):
        server.transport.abort()
        return "250 never seen"


class Counting(SMTP):
    def connection_made(self, transport):
        # A TLS upgrade comes through here a second time on the same connection.
        if self.transport is None:
            self.event_handler.connections += 1
        super().connection_made(transport)


class Server(Controller):
    def factory(self):
        return Counting(self.handler, **self.SMTP_kwargs)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve():
    started = []

    def start(handler=None, **options):
        handler = handler or Handler()
        handler.port = free_port()
        server = Server(handler, hostname="127.0.0.1", port=handler.port, ready_timeout=PATIENCE, **options)
        server.start()
        started.append(server)
        handler.connections = 0
        return handler

    yield start
    for server in started:
        server.stop(no_assert=True)


@pytest.fixture
async def speaker():
    speaker = Speaker(Sender())
    yield speaker
    await speaker.aclose()


@pytest.fixture(params=[(), ("PIPELINING",)], ids=["one by one", "pipelined"])
def server(request, serve):
    handler = Handler()
    handler.extensions = request.param
    return serve(handler)


SMTP_PROVIDER = SmtpProvider()
# For what is not about time: only what hangs takes as long, however busy the machine is.
PATIENCE = 60


def config(server, **changes):
    return {"relay": "127.0.0.1", "port": server.port, "now": NOW, "local_hostname": "client.example.test", **changes}


async def send(speaker, server, delivery=None, *, timeout=PATIENCE, **changes):
    return await speaker.send(SMTP_PROVIDER, delivery or delivery_of(), config(server, **changes), timeout=timeout)


def changed(**fields):
    return replace(HELLO, **fields)


async def test_a_message_arrives_as_it_was_built(server, speaker):
    outcome = await send(speaker, server)
    assert outcome == Accepted(
        "00000000-0000-0000-0000-000000000001@example.com",
        {"reply": 250, "receipt": "2.0.0 Ok: queued as 4F1A for <<address>>"},
    )
    [(sender, recipients, raw)] = server.messages
    assert (sender, recipients) == ("news@example.com", ["ann@example.org"])
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed.get_content() == "Hello\r\n.\r\nBye\r\n"
    assert parsed["Message-ID"] == "<00000000-0000-0000-0000-000000000001@example.com>"
    assert parsed["Date"].datetime == NOW
    assert parsed["Subject"] == "Welcome"


async def test_copies_and_blind_copies_get_it_and_the_adapters_sender_fills_in(server, speaker):
    message = changed(sender=None, cc=(Address("carl@example.org"),), bcc=(Address("eve@example.net"),))
    outcome = await send(
        speaker,
        server,
        delivery_of(message),
        **{"from": "Shop <shop@example.com>", "return_path": "bounce@example.com"},
    )
    assert isinstance(outcome, Accepted)
    [(sender, recipients, raw)] = server.messages
    assert (sender, recipients) == ("bounce@example.com", ["ann@example.org", "carl@example.org", "eve@example.net"])
    assert b"From: Shop <shop@example.com>" in raw
    assert b"eve@" not in raw


async def test_a_sender_of_an_international_domain_is_written_in_ascii_everywhere(server, speaker):
    outcome = await send(speaker, server, delivery_of(changed(sender=Address("news@bücher.example"))))
    assert outcome.provider_message_id == "00000000-0000-0000-0000-000000000001@xn--bcher-kva.example"
    assert server.messages[0][0] == "news@xn--bcher-kva.example"


async def test_many_messages_share_one_connection(server, speaker):
    for number in range(1, 21):
        assert isinstance(await send(speaker, server, delivery_of(number=number)), Accepted)
    assert server.connections == 1
    assert len(server.messages) == 20


async def test_a_crowd_uses_no_more_connections_than_allowed(server, speaker):
    crowd = [send(speaker, server, delivery_of(number=number), connections=3) for number in range(1, 31)]
    assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*crowd))
    assert server.connections == 3
    assert len(server.messages) == 30


async def test_a_connection_is_left_after_its_share_of_messages(server, speaker):
    for number in range(1, 6):
        assert isinstance(await send(speaker, server, delivery_of(number=number), messages_per_connection=2), Accepted)
    assert server.connections == 3


async def test_another_password_means_another_connection(server, speaker):
    await send(speaker, server)
    await send(speaker, server, delivery_of(number=2), local_hostname="other.example.test")
    assert server.connections == 2


@pytest.mark.parametrize(
    ("reply", "kind", "cause"),
    [
        ("550 5.1.1 <ann@example.org>: no such user", "bounced", "recipient"),
        ("550 5.1.10 null MX", "bounced", "recipient"),
        ("550 no such user", "bounced", "recipient"),
        ("551 not here", "bounced", "recipient"),
        ("553 mailbox name not allowed", "bounced", "recipient"),
        ("554 no", "permanent", "policy"),
        ("550 5.7.1 blocked", "permanent", "policy"),
        ("550 5.1.8 bad sender domain", "temporary", "adapter"),
        ("550 5.1.7 bad sender address", "temporary", "adapter"),
        ("550 5.2.1 mailbox disabled", "bounced", "recipient"),
        ("552 5.2.2 mailbox full", "permanent", "recipient"),
        ("451 4.7.1 greylisted", "temporary", "policy"),
        ("450 4.2.0 busy", "temporary", "recipient"),
        ("451 try later", "temporary", "message"),
        ("530 5.7.0 authentication required", "temporary", "adapter"),
        ("550 relay not permitted", "temporary", "adapter"),
        ("550 5.7.1 <ann@example.org>... Relaying denied", "temporary", "adapter"),
        ("554 5.7.1 <ann@example.org>: Relay access denied", "temporary", "adapter"),
        ("550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "temporary", "adapter"),
        ("550 5.1.1 <ann@example.org>: User unknown in relay recipient table", "bounced", "recipient"),
    ],
)
async def test_a_refused_recipient_is_judged_by_code(server, speaker, reply, kind, cause):
    server.rcpt["ann@example.org"] = reply
    outcome = await send(speaker, server)
    assert (type(outcome), outcome.kind, outcome.cause) == (Rejected, kind, cause)
    assert outcome.detail["reply"] == int(reply[:3])
    assert outcome.detail["stage"] == "rcpt"
    assert "ann@" not in str(outcome.detail)
    assert server.messages == []


@pytest.mark.parametrize(
    ("reply", "kind", "cause"),
    [
        ("451 4.3.0 try again", "temporary", "message"),
        ("550 5.7.1 spam", "permanent", "policy"),
        ("554 rejected", "permanent", "policy"),
        ("552 5.3.4 too big", "permanent", "message"),
        ("554 5.6.0 bad content", "permanent", "message"),
        ("421 4.7.0 too fast", "temporary", "throttled"),
    ],
)
async def test_a_message_refused_after_its_end_is_a_definite_no(server, speaker, reply, kind, cause):
    server.data = reply
    outcome = await send(speaker, server)
    assert (type(outcome), outcome.kind, outcome.cause) == (Rejected, kind, cause)
    assert outcome.detail["stage"] == "end"


@pytest.mark.parametrize(
    ("reply", "kind", "cause"),
    [
        ("550 5.1.0 sender rejected", "temporary", "adapter"),
        ("553 not your address", "temporary", "adapter"),
        ("550 5.7.1 not allowed", "permanent", "policy"),
        ("451 4.3.2 later", "temporary", "message"),
    ],
)
async def test_a_refused_sender_is_never_the_persons_fault(server, speaker, reply, kind, cause):
    server.mail = reply
    outcome = await send(speaker, server)
    assert (type(outcome), outcome.kind, outcome.cause) == (Rejected, kind, cause)
    assert outcome.detail["stage"] == "mail"


async def test_a_421_means_slow_down(server, speaker):
    server.mail = "421 4.7.0 too many messages"
    outcome = await send(speaker, server)
    assert (outcome.kind, outcome.cause, outcome.detail["reply"]) == ("temporary", "throttled", 421)


async def test_after_a_refusal_the_same_connection_goes_on(server, speaker):
    server.rcpt["ann@example.org"] = "550 5.1.1 no"
    assert (await send(speaker, server)).kind == "bounced"
    assert (await send(speaker, server, delivery_of(number=2))).kind == "bounced"
    server.rcpt.clear()
    server.data = "451 later"
    assert (await send(speaker, server, delivery_of(number=3))).kind == "temporary"
    server.data = "250 Ok"
    assert isinstance(await send(speaker, server, delivery_of(number=4)), Accepted)
    assert server.connections == 1


async def test_some_recipients_refused_is_accepted_and_counted(server, speaker):
    server.rcpt["carl@example.org"] = "550 5.1.1 no such user"
    message = changed(cc=(Address("carl@example.org"),))
    outcome = await send(speaker, server, delivery_of(message))
    assert isinstance(outcome, Accepted)
    assert outcome.meta["refused"] == 1
    assert outcome.meta["refused_replies"] == ["550 5.1.1"]
    assert outcome.meta["person_refused"] is False
    assert server.messages[0][1] == ["ann@example.org"]


@pytest.mark.parametrize(
    ("ann", "carl", "recipient", "kind"),
    [
        ("550 5.1.1 no", "451 later", "ann@example.org", "bounced"),
        ("451 later", "550 5.1.1 no", "ann@example.org", "temporary"),
        ("451 later", "550 5.1.1 no", "somebody@else.example", "permanent"),
    ],
)
async def test_where_all_are_refused_the_person_it_is_for_decides(server, speaker, ann, carl, recipient, kind):
    server.rcpt |= {"ann@example.org": ann, "carl@example.org": carl}
    message = changed(cc=(Address("carl@example.org"),))
    outcome = await send(speaker, server, delivery_of(message, recipient=recipient))
    assert (type(outcome), outcome.kind) == (Rejected, kind)


@pytest.mark.parametrize("place", ["mail", "rcpt"])
async def test_a_connection_lost_before_the_end_of_the_message_sent_nothing(server, speaker, place):
    server.drop = place
    outcome = await send(speaker, server)
    assert (type(outcome), outcome.kind, outcome.cause) == (Rejected, "temporary", "adapter")
    assert outcome.detail["reason"] == "connection_lost"
    assert server.messages == []


async def test_a_connection_lost_after_the_end_of_the_message_is_a_doubt(server, speaker):
    server.drop = "end"
    outcome = await send(speaker, server)
    assert outcome == Unknown({"reason": "connection_lost", "stage": "end"})
    assert len(server.messages) == 1
    server.drop = None
    assert isinstance(await send(speaker, server, delivery_of(number=2)), Accepted)
    assert server.connections == 2


async def test_a_connection_lost_after_the_end_of_a_long_message_is_a_doubt_too(server, speaker):
    server.drop = "end"
    outcome = await send(speaker, server, delivery_of(changed(text="A line of text.\n" * 20_000)))
    assert outcome == Unknown({"reason": "connection_lost", "stage": "end"})
    assert len(server.messages) == 1


async def test_a_connection_that_died_while_idle_is_replaced_without_a_word(server, speaker):
    await send(speaker, server)
    server.drop = "mail"
    outcome = await send(speaker, server, delivery_of(number=2))
    assert outcome.detail["reason"] == "connection_lost"
    assert server.connections == 2  # tried once more, on a new one


async def test_a_server_that_is_slow_to_say_yes_leaves_a_doubt(server, speaker):
    server.hold = threading.Event()
    for timeout in (0.3, 3, 30):  # a busy machine may need more until the message is out
        outcome = await send(speaker, server, timeout=timeout)
        if server.holding:
            break
    server.hold.set()
    assert outcome == Unknown({"reason": "timeout"})


async def test_nobody_listening_is_a_temporary_trouble_of_the_adapter(serve, speaker, unused_port):
    outcome = await speaker.send(
        SMTP_PROVIDER, delivery_of(), {"relay": "127.0.0.1", "port": unused_port, "now": NOW}, timeout=PATIENCE
    )
    assert (outcome.kind, outcome.cause, outcome.detail["reason"]) == ("temporary", "adapter", "connect")


@pytest.fixture
def unused_port():
    return free_port()


class Scripted:
    """A server that plays a script: for cases in which a proper one would behave."""

    def __init__(self, script):
        self.script = script
        self.port = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.play, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def play(self, reader, writer):
        try:
            await self.script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def greet(reader, writer):
    writer.write(b"220 hi\r\n")
    assert (await reader.readline()).startswith(b"EHLO")
    writer.write(b"250-hi\r\n250 8BITMIME\r\n")


async def until_data(reader, writer):
    await greet(reader, writer)
    for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        await reader.readline()
        writer.write(reply)


BIG = changed(text="A line of ordinary text that goes on for a while.\n" * 400_000)


async def test_a_connection_lost_within_a_long_message_sent_nothing(speaker):
    async def script(reader, writer):
        await until_data(reader, writer)
        await reader.readexactly(100_000)
        writer.transport.abort()

    async with Scripted(script) as server:
        outcome = await send(speaker, server, delivery_of(BIG))
    assert (type(outcome), outcome.kind) == (Rejected, "temporary")
    assert outcome.detail["reason"] == "connection_lost"


async def test_a_reply_within_a_long_message_ends_it(speaker):
    async def script(reader, writer):
        await until_data(reader, writer)
        await reader.readexactly(100_000)
        writer.write(b"552 5.3.4 too much\r\n")
        await reader.read(200_000)
        await reader.read()

    async with Scripted(script) as server:
        outcome = await send(speaker, server, delivery_of(BIG))
    assert (type(outcome), outcome.kind, outcome.detail["reply"]) == (Rejected, "permanent", 552)


async def test_a_slow_server_before_the_end_of_the_message_leaves_no_doubt(speaker):
    async def script(reader, writer):
        await greet(reader, writer)
        await reader.read()

    async with Scripted(script) as server:
        outcome = await send(speaker, server, timeout=0.3)
    assert outcome == Rejected("temporary", "adapter", None, {"reason": "connect", "why": "timeout"})


@pytest.mark.parametrize("nonsense", [b"what?\r\n", b"250" * 5000, b"25\r\n", b"\xff\xfe\r\n"])
async def test_a_server_that_talks_nonsense_sent_nothing(speaker, nonsense):
    async def script(reader, writer):
        await greet(reader, writer)
        await reader.readline()
        writer.write(nonsense)
        await reader.read()

    async with Scripted(script) as server:
        outcome = await send(speaker, server)
    assert (type(outcome), outcome.detail["reason"]) == (Rejected, "connection_lost")


async def test_nonsense_after_the_end_of_the_message_is_a_doubt(speaker):
    async def script(reader, writer):
        await until_data(reader, writer)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"hello?\r\n")
        await reader.read()

    async with Scripted(script) as server:
        assert isinstance(await send(speaker, server), Unknown)


async def test_a_server_that_says_goodbye_while_idle_is_not_used_again(speaker):
    closed = asyncio.Event()

    async def script(reader, writer):
        await until_data(reader, writer)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 ok\r\n")
        await writer.drain()
        if not closed.is_set():
            writer.write(b"421 bye\r\n")
            await writer.drain()
            assert await reader.read() in (b"", b"QUIT\r\n")
            closed.set()
        else:
            await reader.readline()

    async with Scripted(script) as server:
        assert isinstance(await send(speaker, server), Accepted)
        await asyncio.wait_for(closed.wait(), PATIENCE)
        assert isinstance(await send(speaker, server, delivery_of(number=2)), Accepted)


def login(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ann", b"secret")
    return AuthResult(success=right, handled=not right and False)


@pytest.fixture
def with_login(serve):
    return serve(authenticator=login, auth_required=True, auth_require_tls=False)


async def test_a_login_lets_us_in_and_a_wrong_one_is_the_adapters_trouble(with_login, speaker):
    assert isinstance(await send(speaker, with_login, username="ann", password="secret"), Accepted)
    outcome = await send(speaker, with_login, username="ann", password="wrong")
    assert (outcome.kind, outcome.cause) == ("temporary", "adapter")
    assert (outcome.detail["reason"], outcome.detail["reply"]) == ("login", 535)


async def test_a_server_that_wants_a_login_we_do_not_have_is_the_adapters_trouble(with_login, speaker):
    outcome = await send(speaker, with_login)
    assert (outcome.kind, outcome.cause, outcome.detail["reply"]) == ("temporary", "adapter", 530)


async def test_starttls_is_used_where_offered_and_the_certificate_checked(serve, speaker, server_tls, certificate):
    server = serve(tls_context=server_tls, require_starttls=True)
    assert isinstance(await send(speaker, server, ca_file=str(certificate[0])), Accepted)
    assert server.connections == 1
    outcome = await send(speaker, server, delivery_of(number=2))
    assert (outcome.kind, outcome.detail["why"]) == ("temporary", "certificate")
    assert isinstance(await send(speaker, server, delivery_of(number=3), verify_tls=False), Accepted)


async def test_the_certificate_must_be_of_the_name_we_asked_for(serve, speaker, server_tls, certificate):
    server = serve(tls_context=server_tls)
    outcome = await send(speaker, server, relay="localhost", ca_file=str(certificate[0]))
    assert (outcome.kind, outcome.detail["why"]) == ("temporary", "certificate")
    assert server.messages == []


async def test_starttls_always_refuses_a_server_without_it(server, speaker):
    outcome = await send(speaker, server, starttls="always")
    assert (outcome.kind, outcome.detail["why"]) == ("temporary", "not_offered")
    assert server.messages == []


async def test_implicit_tls(serve, speaker, server_tls, certificate):
    server = serve(ssl_context=server_tls)
    assert isinstance(await send(speaker, server, tls=True, ca_file=str(certificate[0])), Accepted)
    long = delivery_of(changed(text="A line of text.\n" * 100_000), number=2)
    assert isinstance(await send(speaker, server, long, tls=True, ca_file=str(certificate[0])), Accepted)
    assert len(server.messages[1][2]) > 1_500_000
    assert server.connections == 1


async def test_a_password_is_not_sent_in_the_clear_to_another_machine(with_login, speaker, monkeypatch):
    monkeypatch.setattr("dripdrop.channels.smtp._is_this_machine", lambda host: False)
    outcome = await send(speaker, with_login, username="ann", password="secret")
    assert outcome.detail["reason"] == "login_without_tls"
    assert isinstance(await send(speaker, with_login, username="ann", password="secret", starttls="never"), Accepted)


async def test_a_non_ascii_mailbox_needs_a_server_that_takes_it(serve, speaker):
    jurgen = delivery_of(changed(to=(Address("jürgen@example.de"),)), recipient="jürgen@example.de")
    plain, modern = serve(enable_SMTPUTF8=False), serve(enable_SMTPUTF8=True)
    outcome = await send(speaker, plain, jurgen)
    assert (outcome.kind, outcome.cause, outcome.detail["reason"]) == (
        "permanent",
        "recipient",
        "address_needs_smtputf8",
    )
    assert isinstance(await send(speaker, modern, jurgen), Accepted)
    assert modern.messages[0][1] == ["jürgen@example.de"]


@pytest.mark.parametrize(
    ("message", "kind", "cause", "reason"),
    [
        (changed(subject="a\r\nBcc: eve@example.net"), "permanent", "message", "header_injection"),
        (changed(to=(Address("ann@example.org>\r\nRCPT TO:<eve@example.net"),)), "permanent", "recipient", None),
        (changed(to=(Address("bob@"),)), "permanent", "recipient", "address"),
        (changed(to=()), "permanent", "message", "recipient_missing"),
        (changed(sender=None), "temporary", "adapter", "sender_missing"),
    ],
)
async def test_a_message_that_cannot_be_built_is_refused_by_us(server, speaker, message, kind, cause, reason):
    outcome = await send(speaker, server, delivery_of(message))
    assert (type(outcome), outcome.kind, outcome.cause) == (Rejected, kind, cause)
    assert reason in (None, outcome.detail["reason"])
    assert server.messages == []


async def test_check_says_what_is_wrong(server, with_login, speaker, unused_port):
    assert await speaker.check(SMTP_PROVIDER, config(server), timeout=PATIENCE) is None
    wrong = config(with_login, username="ann", password="wrong")
    assert "535" in await speaker.check(SMTP_PROVIDER, wrong, timeout=PATIENCE)
    assert "No connection" in await speaker.check(
        SMTP_PROVIDER, {"relay": "127.0.0.1", "port": unused_port}, timeout=PATIENCE
    )


def test_credentials_need_a_relay_and_a_sane_port():
    assert SMTP_PROVIDER.validate_credentials({"relay": "mail.example.com"}) == []
    assert SMTP_PROVIDER.validate_credentials({}) == [("relay", "is required")]
    assert SMTP_PROVIDER.validate_credentials({"relay": " ", "port": "x", "password": "p"}) == [
        ("relay", "is required"),
        ("port", "must be a number from 1 to 65535"),
        ("username", "is required with a password"),
    ]
    assert SMTP_PROVIDER.on_doubt == Neither()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, (587, False, None)),
        ({"port": "465"}, (465, True, False)),
        ({"tls": True}, (465, True, False)),
        ({"ssl": "true", "port": 2465}, (2465, True, False)),
        ({"port": 25, "starttls": "never"}, (25, False, False)),
        ({"starttls": "always"}, (587, False, True)),
        ({"starttls": True}, (587, False, True)),
        ({"starttls": "auto"}, (587, False, None)),
        ({"port": 465, "tls": False}, (465, False, None)),
    ],
)
def test_port_and_encryption_follow_from_each_other(given, wanted):
    settings = SMTP_PROVIDER.session_key({"relay": "mail.example.com", **given})
    assert (settings.port, settings.tls, settings.starttls) == wanted


async def test_an_idle_connection_is_closed_after_a_while(server):
    speaker = Speaker(Sender(), sessions=Sessions(idle_seconds=0.05))
    closed = asyncio.Event()
    original = SmtpProvider.close_session

    class Watched(SmtpProvider):
        async def close_session(self, session):
            await original(self, session)
            closed.set()

    outcome = await speaker.send(Watched(), delivery_of(), config(server), timeout=PATIENCE)
    assert isinstance(outcome, Accepted)
    await asyncio.wait_for(closed.wait(), PATIENCE)
    await speaker.aclose()
