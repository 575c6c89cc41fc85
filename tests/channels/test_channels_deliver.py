"""Does every provider, however it behaves, come back as an outcome?"""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import httpx2
import pytest
from tests.channels.deliveries import NOW, delivery_of

from dripdrop.channels import BUILT_IN
from dripdrop.channels.deliver import Speaker, checked, doubt, session_key
from dripdrop.channels.http import Sender
from dripdrop.channels.sessions import NotOpened
from dripdrop.contracts import HttpRequest
from dripdrop.errors import Invalid
from dripdrop.plugins import Plugins
from dripdrop.rules.outcome import Accepted, Askable, CannotTell, Neither, NotFound, Rejected, Unknown

CONFIG = {"now": NOW}


class Plain:
    channel = "sms"
    name = "plain"

    def __init__(self, behave):
        self.behave = behave

    async def deliver(self, delivery, config):
        return await self.behave()

    def validate_credentials(self, credentials):
        return []


class Blocking(Plain):
    def deliver(self, delivery, config):
        return self.behave()


class Http(Plain):
    def __init__(self, behave=None, read=lambda response: Accepted(response.body.decode())):
        super().__init__(behave)
        self.read = read

    deliver = None

    def request(self, delivery, config):
        if self.behave is not None:
            return self.behave()
        return HttpRequest("POST", "https://api.example.com/send", body=b"{}")

    def outcome(self, response):
        return self.read(response)


class Session:
    def __init__(self, number):
        self.number = number
        self.usable = True
        self.left = True


class Keeping(Plain):
    """Holds sessions; `behave` is given the session."""

    def __init__(self, behave, opening=None):
        super().__init__(behave)
        self.opening = opening
        self.opened = []
        self.closed = []

    async def open_session(self, config):
        if self.opening is not None:
            await self.opening()
        self.opened.append(Session(len(self.opened) + 1))
        return self.opened[-1]

    async def deliver(self, delivery, config, session):
        return await self.behave(session)

    async def close_session(self, session):
        self.closed.append(session.number)


def returning(value):
    async def behave(*_):
        return value

    return behave


def raising(error):
    async def behave(*_):
        raise error

    return behave


async def forever(*_):
    await asyncio.Event().wait()


@pytest.fixture
async def speaker():
    speaker = Speaker(Sender(transport=httpx2.MockTransport(lambda request: httpx2.Response(200, content=b"m1"))))
    yield speaker
    await speaker.aclose()


async def say(speaker, provider, *, timeout=5.0, number=1, **config):
    return await speaker.send(provider, delivery_of(number=number), {**CONFIG, **config}, timeout=timeout)


async def test_every_shape_of_provider_can_say_yes(speaker):
    yes = Accepted("m1")
    assert await say(speaker, Plain(returning(yes))) == yes
    assert await say(speaker, Blocking(lambda: yes)) == yes
    assert await say(speaker, Http()) == yes
    assert await say(speaker, Keeping(returning(yes))) == yes


@pytest.mark.parametrize("shape", [Plain, Keeping], ids=["plain", "session"])
@pytest.mark.parametrize(
    "error", [ValueError("ann@example.org"), TimeoutError(), ConnectionResetError(), KeyError("x")]
)
async def test_what_an_adapter_raises_is_a_doubt_that_names_the_class_only(speaker, shape, error):
    outcome = await say(speaker, shape(raising(error)))
    assert outcome == Unknown({"reason": "adapter_raised", "exception": type(error).__name__})


async def test_what_a_blocking_adapter_raises_is_a_doubt(speaker):
    def behave():
        raise ValueError("secret")

    assert await say(speaker, Blocking(behave)) == Unknown({"reason": "adapter_raised", "exception": "ValueError"})


@pytest.mark.parametrize("shape", [Plain, Keeping], ids=["plain", "session"])
async def test_what_takes_too_long_is_a_doubt(speaker, shape):
    assert await say(speaker, shape(forever), timeout=0.05) == Unknown({"reason": "timeout"})


async def test_a_blocking_adapter_that_takes_too_long_is_a_doubt_unless_it_never_began():
    release = threading.Event()
    speaker = Speaker(Sender(), threads=1)

    def behave():
        release.wait(10)
        return Accepted()

    first, second = await asyncio.gather(
        say(speaker, Blocking(behave), timeout=0.1), say(speaker, Blocking(behave), timeout=0.1)
    )
    release.set()
    await speaker.aclose()
    assert first == Unknown({"reason": "timeout"})
    assert second == Rejected("temporary", "adapter", None, {"reason": "no_free_thread"})


@pytest.mark.parametrize("value", [None, True, "ok", 200, {"ok": True}, (Accepted(),), Accepted, NotFound()])
async def test_nonsense_is_a_doubt(speaker, value):
    for provider in (Plain(returning(value)), Blocking(lambda: value), Keeping(returning(value))):
        outcome = await say(speaker, provider)
        assert (type(outcome), outcome.detail["reason"]) == (Unknown, "nonsense")
    assert (await say(speaker, Http(read=lambda response: value))).detail["reason"] == "nonsense"


@pytest.mark.parametrize("outcome", [Rejected(kind="maybe"), Rejected(cause="weather"), Rejected(kind=None)])
async def test_a_rejection_of_an_unknown_kind_is_nonsense(speaker, outcome):
    assert (await say(speaker, Plain(returning(outcome)))).detail["reason"] == "nonsense"


async def test_the_callers_cancellation_goes_through(speaker):
    for provider in (Plain(forever), Keeping(forever), Blocking(threading.Event().wait)):
        if isinstance(provider, Blocking):
            provider.behave = lambda: threading.Event().wait(0.2)
        task = asyncio.create_task(say(speaker, provider))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_cancellation_of_the_adapters_own_making_is_a_doubt(speaker):
    outcome = await say(speaker, Plain(raising(asyncio.CancelledError())))
    assert outcome == Unknown({"reason": "adapter_raised", "exception": "CancelledError"})


async def test_a_request_that_cannot_be_made_is_refused_for_good(speaker):
    def broken():
        raise ZeroDivisionError

    def unfit():
        raise Invalid("no", cure="yes", code="payload_unfit")

    assert await say(speaker, Http(broken)) == Rejected(
        "permanent", "adapter", None, {"reason": "adapter_raised", "exception": "ZeroDivisionError", "stage": "request"}
    )
    assert await say(speaker, Http(unfit)) == Rejected("permanent", "message", None, {"reason": "payload_unfit"})
    assert (await say(speaker, Http(lambda: "POST https://x"))).detail == {"reason": "nonsense", "stage": "request"}


async def test_an_answer_that_cannot_be_read_is_a_doubt_with_its_status(speaker):
    def read(response):
        raise KeyError("id")

    outcome = await say(speaker, Http(read=read))
    assert outcome == Unknown({"reason": "adapter_raised", "exception": "KeyError", "status": 200})


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (
            httpx2.ConnectError("x"),
            Rejected("temporary", "adapter", None, {"reason": "connect", "why": "ConnectError"}),
        ),
        (httpx2.ReadTimeout("x"), Unknown({"reason": "connection", "why": "ReadTimeout"})),
    ],
)
async def test_the_wire_decides_between_no_and_perhaps(error, wanted):
    def answer(request):
        raise error

    assert await say(Speaker(Sender(transport=httpx2.MockTransport(answer))), Http()) == wanted


async def test_detail_is_bounded_and_holds_nothing_personal(speaker):
    detail = {
        "text": "mailbox of Ann.Lee@example.org (+4915112345678) is full " + "x" * 5000,
        "api_key": "sk_live_1",
        "many": list(range(10_000)),
        "object": object(),
        "nul": "a\0b",
    }
    outcome = await say(speaker, Plain(returning(Rejected("permanent", "recipient", 5, detail))))
    shown = str(outcome.detail)
    assert len(shown) < 2000
    assert all(secret not in shown for secret in ("example.org", "4915112345678", "sk_live_1", "\0"))
    assert "mailbox of" in outcome.detail["text"]
    assert outcome.retry_after == 5.0


class Hostile(dict):
    """Looks like a mapping, and breaks when it is looked at."""

    def __bool__(self):
        return True

    def items(self):
        raise RuntimeError("ann@example.org")


class Unsayable:
    def __str__(self):
        raise RuntimeError("no")

    __eq__ = __hash__ = __str__


@pytest.mark.parametrize(
    "make", [lambda bad: Accepted("m1", bad), lambda bad: Rejected("permanent", detail=bad), Unknown]
)
async def test_what_it_says_may_be_unreadable_the_outcome_stays(speaker, make):
    outcome = await say(speaker, Plain(returning(make(Hostile()))))
    assert type(outcome) is type(make({}))
    assert "detail_unreadable" in str(outcome)
    assert "ann@" not in str(outcome)


@pytest.mark.parametrize(
    "bad",
    [Rejected(Unsayable()), Rejected("permanent", Unsayable()), Rejected(["permanent"]), object(), None, "ok", True],
)
async def test_what_is_no_outcome_is_a_doubt(speaker, bad):
    assert (await say(speaker, Plain(returning(bad)))).detail["reason"] == "nonsense"


async def test_an_accepted_message_stays_accepted_whatever_its_id(speaker):
    assert await say(speaker, Plain(returning(Accepted(Unsayable())))) == Accepted(None)


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit(), BaseException("x")])
async def test_an_adapter_cannot_end_the_worker(speaker, error):
    for provider in (Plain(raising(error)), Keeping(raising(error))):
        assert (await say(speaker, provider)).detail["exception"] == type(error).__name__

    def behave():
        raise SystemExit(1)

    assert isinstance(await say(speaker, Blocking(behave)), Unknown)
    outcome = await say(speaker, Http(behave))
    assert (outcome.kind, outcome.cause, outcome.detail["stage"]) == ("permanent", "adapter", "request")
    assert isinstance(await say(speaker, Http(read=lambda response: behave())), Unknown)


async def test_ctrl_c_is_the_users_and_passes_through(speaker):
    with pytest.raises(KeyboardInterrupt):
        await say(speaker, Plain(raising(KeyboardInterrupt())))


async def test_the_adapters_own_secrets_are_taken_out_wherever_they_stand(speaker):
    secret = "open-sesame-123"
    meta = {"status": 200, "note": f"used {secret}!", "deep": [{"x": [secret]}, {secret: 1}]}
    outcome = await say(
        speaker, Plain(returning(Accepted("m1", meta))), api_key=secret, webhook_secret=["other-secret"]
    )
    assert secret not in str(outcome)
    assert outcome.meta["note"] == "used [REDACTED]!"


async def test_a_whole_body_does_not_fit_into_the_detail(speaker):
    body = {f"part{n}": "x" * 5000 for n in range(200)}
    outcome = await say(speaker, Plain(returning(Unknown(body))))
    assert len(str(outcome.detail)) < 5000


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "soon", None])
def test_an_impossible_retry_after_is_dropped(bad):
    assert checked(Rejected("temporary", "throttled", bad)).retry_after is None


def test_a_provider_message_id_is_text():
    assert checked(Accepted(12345)).provider_message_id == "12345"
    assert checked(Accepted("a\0b" + "c" * 5000)).provider_message_id == "ab" + "c" * 996


async def test_a_session_serves_one_delivery_after_the_other(speaker):
    provider = Keeping(returning(Accepted()))
    for number in range(5):
        await say(speaker, provider, number=number)
    assert len(provider.opened) == 1
    await speaker.aclose()
    assert provider.closed == [1]


async def test_sessions_serve_one_delivery_at_a_time_and_are_no_more_than_allowed(speaker):
    busy, most = set(), 0

    async def behave(session):
        nonlocal most
        assert session.number not in busy
        busy.add(session.number)
        most = max(most, len(busy))
        await asyncio.sleep(0)
        busy.remove(session.number)
        return Accepted()

    provider = Keeping(behave)
    outcomes = await asyncio.gather(*(say(speaker, provider, number=each, connections=4) for each in range(50)))
    assert all(isinstance(each, Accepted) for each in outcomes)
    assert most == len(provider.opened) == 4


async def test_each_adapter_and_each_configuration_has_sessions_of_its_own(speaker):
    provider = Keeping(returning(Accepted()))
    await say(speaker, provider, password="old")
    await say(speaker, provider, password="new")
    await say(speaker, provider, password="old", now=NOW + timedelta(days=1), token="t", url="u")
    await speaker.send(provider, delivery_of(adapter="second"), {**CONFIG, "password": "old"}, timeout=5)
    assert len(provider.opened) == 3
    assert session_key(provider, {"a": 1, "now": NOW}) == session_key(provider, {"now": NOW + timedelta(1), "a": 1})


async def test_a_session_that_broke_is_dropped(speaker):
    async def behave(session):
        session.usable = False
        return Rejected("temporary", "message")

    provider = Keeping(behave)
    await say(speaker, provider)
    await say(speaker, provider)
    assert len(provider.opened) == 2
    await speaker.aclose()
    assert sorted(provider.closed) == [1, 2]


@pytest.mark.parametrize("behave", [raising(ValueError()), forever])
async def test_a_session_in_the_midst_of_something_is_not_used_again(speaker, behave):
    provider = Keeping(behave)
    await say(speaker, provider, timeout=0.05)
    provider.behave = returning(Accepted())
    await say(speaker, provider)
    assert len(provider.opened) == 2


async def test_a_stale_session_is_replaced_once_and_a_fresh_one_is_not(speaker):
    provider = Keeping(returning(Accepted()))
    await say(speaker, provider)
    calls = []

    async def lost(session):
        calls.append(session.number)
        session.usable = False
        return Rejected("temporary", "adapter", None, {"reason": "connection_lost"})

    provider.behave = lost
    outcome = await say(speaker, provider)
    assert outcome.detail["reason"] == "connection_lost"
    assert calls == [1, 2]
    assert (await say(speaker, provider)).kind == "temporary"
    assert calls == [1, 2, 3]


async def test_a_session_that_cannot_be_opened_is_a_temporary_trouble_of_the_adapter(speaker):
    provider = Keeping(returning(Accepted()), opening=raising(OSError("no route")))
    assert await say(speaker, provider) == Rejected(
        "temporary", "adapter", None, {"reason": "connect", "why": "OSError"}
    )
    provider.opening = raising(NotOpened(Rejected("temporary", "throttled", 60.0, {"reason": "busy"})))
    assert await say(speaker, provider) == Rejected("temporary", "throttled", 60.0, {"reason": "busy"})
    provider.opening = forever
    assert await say(speaker, provider, timeout=0.05) == Rejected(
        "temporary", "adapter", None, {"reason": "connect", "why": "timeout"}
    )
    provider.opening = None
    assert isinstance(await say(speaker, provider, connections=1), Accepted)


async def test_a_failed_opening_gives_its_place_to_the_next(speaker):
    attempts = []

    async def opening():
        attempts.append(1)
        await asyncio.sleep(0)
        if len(attempts) == 1:
            raise OSError

    provider = Keeping(returning(Accepted()), opening=opening)
    first, second = await asyncio.gather(
        say(speaker, provider, connections=1), say(speaker, provider, connections=1, number=2)
    )
    assert isinstance(first, Rejected)
    assert isinstance(second, Accepted)


async def test_waiting_for_a_session_in_vain_sent_nothing_and_blocks_nobody(speaker):
    release = asyncio.Event()

    async def behave(session):
        await release.wait()
        return Accepted()

    provider = Keeping(behave)
    first = asyncio.create_task(say(speaker, provider, connections=1))
    await asyncio.sleep(0)
    waiting = await say(speaker, provider, connections=1, number=2, timeout=0.05)
    assert (waiting.kind, waiting.cause) == ("temporary", "adapter")
    third = asyncio.create_task(say(speaker, provider, connections=1, number=3))
    release.set()
    assert isinstance(await first, Accepted)
    assert isinstance(await third, Accepted)
    assert len(provider.opened) == 1


async def test_a_timeout_before_the_message_left_is_no_doubt(speaker):
    async def behave(session):
        session.left = False
        await asyncio.Event().wait()

    assert (await say(speaker, Keeping(behave), timeout=0.05)).kind == "temporary"


class Asked(Plain):
    def __init__(self, find=None, check=None):
        super().__init__(returning(Accepted()))
        if find is not None:
            self.find = find
        if check is not None:
            self.check = check


async def find(speaker, provider, timeout=5.0):
    return await speaker.find(provider, delivery_of(), CONFIG, timeout=timeout)


async def test_find_gives_the_providers_answer_or_cannot_tell(speaker):
    async def broken(delivery, config):
        raise OSError

    async def found(delivery, config):
        return Accepted(str(delivery.id))

    assert await find(speaker, Asked(found)) == Accepted("00000000-0000-0000-0000-000000000001")
    assert await find(speaker, Asked(lambda delivery, config: NotFound())) == NotFound()
    assert await find(speaker, Asked(lambda delivery, config: "yes")) == CannotTell({"reason": "nonsense"})
    assert (await find(speaker, Asked(broken))).detail["exception"] == "OSError"
    assert (await find(speaker, Asked(forever), timeout=0.05)).detail["exception"] == "TimeoutError"
    assert await find(speaker, Plain(returning(Accepted()))) == CannotTell({"reason": "not_supported"})


async def test_an_http_provider_is_asked_through_the_sender(speaker):
    class Findable(Http):
        def find_request(self, delivery, config):
            return HttpRequest("GET", f"https://api.example.com/messages/{delivery.id}")

        def found(self, response):
            return Accepted(response.body.decode()) if response.status == 200 else NotFound()

        def check_request(self, config):
            return HttpRequest("GET", "https://api.example.com/me")

        def checked(self, response):
            return None if response.status == 401 else "no key"

    assert await find(speaker, Findable()) == Accepted("m1")
    assert await speaker.check(Findable(), CONFIG, timeout=5) == "no key"


async def test_check_is_a_text_or_none_and_never_an_exception(speaker):
    def broken(config):
        raise OSError

    async def slow(config):
        await asyncio.Event().wait()

    assert await speaker.check(Asked(check=lambda config: None), CONFIG, timeout=5) is None
    assert await speaker.check(Asked(check=lambda config: "wrong key"), CONFIG, timeout=5) == "wrong key"
    assert "OSError" in await speaker.check(Asked(check=broken), CONFIG, timeout=5)
    assert "did not answer" in await speaker.check(Asked(check=slow), CONFIG, timeout=0.05)
    assert await speaker.check(Plain(returning(None)), CONFIG, timeout=5) is None


def test_where_a_provider_does_not_say_nothing_can_be_done_about_a_doubt():
    provider = Plain(returning(None))
    assert doubt(provider) == Neither()
    provider.on_doubt = Askable()
    assert doubt(provider) == Askable()
    provider.on_doubt = "whatever"
    assert doubt(provider) == Neither()


def test_the_built_in_providers_are_one_of_each():
    import dripdrop.channels

    rows = Plugins(builtin=BUILT_IN).list("provider")
    names = {(row.channel, row.name) for row in rows}
    assert len(names) == len(rows)
    assert {row.origin for row in rows} == {"built in"}
    assert {("email", "smtp"), ("webhook", "default"), ("email", "local"), ("webhook", "local")} <= names
    assert dripdrop.channels.BUILT_IN is BUILT_IN
    with pytest.raises(AttributeError):
        dripdrop.channels.nothing  # noqa: B018


async def test_a_built_in_provider_is_imported_when_its_name_is_asked_for():
    code = (
        "import sys, dripdrop.channels, dripdrop.plugins as p; "
        "p.Plugins(builtin=dripdrop.channels.BUILT_IN).list(); "
        "names = ('aiosmtplib', 'httpx2', 'httpcore2', 'dripdrop.channels.smtp', 'dripdrop.channels.email'); "
        "print([each for each in names if each in sys.modules])"
    )
    import os
    import sys

    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"}
    )
    printed, _ = await run.communicate()
    assert printed.strip() == b"[]"
