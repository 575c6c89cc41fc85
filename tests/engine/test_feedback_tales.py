"""What comes back finds its message, whatever its order, and changes what it should: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.engine.telling import Telling, posted, signed
from tests.world import NOON, World

from dripdrop.engine.matcher import Matcher
from dripdrop.operations import matching
from dripdrop.rules.heard import Reply
from dripdrop.rules.outcome import Unknown
from dripdrop.testing import FrozenClock

ANN = "ann@example.org"


class Told(World):
    """A world whose provider tells; `tell` posts events, signed, to the adapter."""

    provider: Telling

    async def adapter(self) -> UUID:
        (found,) = await self.drip.adapters.list(channel="email")
        return found.id  # type: ignore[no-any-return]

    async def post(self, request: dict[str, Any]) -> int:
        answer = await self.drip.webhooks.receive("telling", await self.adapter(), **request)
        return answer.status  # type: ignore[no-any-return]

    async def tell(self, *events: dict[str, Any]) -> None:
        assert await self.post(signed(*events)) == 200

    async def sent(self, who: Any = 42, **data: Any) -> UUID:
        """Somebody whose welcome went out; the execution."""
        enrollment = await self.enroll(who, **data)
        await self.drip.run_due()
        (first,) = await self.drip.executions.list(enrollment=enrollment, state="sent")
        return first.id  # type: ignore[no-any-return]

    async def status(self, execution: UUID) -> str | None:
        return (await self.drip.executions.get(execution)).delivery_status  # type: ignore[no-any-return]

    async def person(self, execution: UUID) -> str:
        found = await self.drip.executions.get(execution)
        return (await self.drip.enrollments.get(found.enrollment_id)).state  # type: ignore[no-any-return]

    async def suppressed(self, address: str = ANN) -> str | None:
        found = await self.drip.suppressions.check("email", address)
        return found.reason if found else None


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Told]:
    told = Told(database_url, Telling(), FrozenClock(NOON))
    await told.begin()
    yield told
    await told.close()


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "type": kind, **more}


async def test_a_delivery_is_confirmed_by_our_own_id(world: Told) -> None:
    welcome = await world.sent()
    assert await world.status(welcome) == "accepted"
    await world.tell(event("delivered", ours=str(welcome), to=ANN))
    await world.drip.run_due()
    assert await world.status(welcome) == "delivered"
    (told,) = (await world.drip.executions.get(welcome)).events
    assert (told.event_type, told.event_data["recipient"]) == ("delivered", ANN)


@pytest.mark.parametrize("spelt", ["telling-{}", "<telling-{}>", " telling-{} "])
async def test_a_message_is_found_by_its_providers_id_however_it_is_spelt(world: Told, spelt: str) -> None:
    welcome = await world.sent()
    await world.tell(event("delivered", theirs=spelt.format(welcome)))
    await world.drip.run_due()
    assert await world.status(welcome) == "delivered"


async def test_the_same_event_counts_once_however_often_it_is_told(world: Told) -> None:
    welcome = await world.sent()
    same = event("opened", ours=str(welcome))
    await world.tell(same, same)
    await world.tell(same)
    await world.drip.run_due()
    await world.tell(same)
    await world.drip.run_due()
    assert [each.event_type for each in await world.drip.message_events.list()] == ["opened"]
    assert {each.state for each in await world.drip.webhooks.list()} == {"processed"}


async def test_a_late_event_never_moves_a_status_back(world: Told) -> None:
    welcome = await world.sent()
    for kind in ("delivered", "bounced", "sent", "deferred", "delivered"):
        await world.tell(event(kind, ours=str(welcome)))
        await world.drip.run_due()
    assert await world.status(welcome) == "bounced"


async def test_a_hard_bounce_suppresses_and_ends_who_cannot_be_reached_otherwise(world: Told) -> None:
    welcome = await world.sent()
    await world.tell(event("bounced", ours=str(welcome), to=ANN, severity="permanent"))
    await world.drip.run_due()
    assert await world.suppressed() == "bounce"
    assert await world.person(welcome) == "cancelled"
    (change,) = await world.drip.suppressions.history("email", ANN)
    assert (change.action, change.reason, change.source) == ("added", "bounce", "telling")


@pytest.mark.parametrize("event_type", ["bounced", "deferred", "blocked", "rejected", "failed"])
async def test_what_says_nothing_against_the_address_suppresses_nobody(world: Told, event_type: str) -> None:
    welcome = await world.sent()
    await world.tell(event(event_type, ours=str(welcome), to=ANN, severity="temporary"))
    await world.drip.run_due()
    assert await world.suppressed() is None
    assert await world.person(welcome) == "active"


async def test_a_complaint_outweighs_an_unsubscribe_and_is_not_taken_back(world: Told) -> None:
    welcome = await world.sent()
    await world.tell(
        event("complained", ours=str(welcome), to=ANN), event("unsubscribed", ours=str(welcome), to=ANN),
        event("resubscribed", ours=str(welcome), to=ANN),
    )  # fmt: skip
    await world.drip.run_due()
    assert await world.suppressed() == "complaint"
    assert await world.person(welcome) == "cancelled"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_who_came_back_later_is_written_to_in_whatever_order_we_hear_of_it(
    world: Told, order: tuple[int, int]
) -> None:
    welcome = await world.sent()
    wishes = [
        event("unsubscribed", ours=str(welcome), to=ANN, at="2030-03-04T11:00:00+00:00"),
        event("resubscribed", ours=str(welcome), to=ANN, at="2030-03-04T11:30:00+00:00"),
    ]
    for each in order:
        await world.tell(wishes[each])
        await world.drip.run_due()
    assert await world.suppressed() is None


async def test_an_early_event_waits_for_its_message(world: Told) -> None:
    early = event("delivered", theirs="telling-not-yet")
    await world.tell(early)
    await world.drip.run_due()
    (waiting,) = await world.drip.webhooks.list()
    assert (waiting.state, waiting.reason) == ("stored", "unmatched:1")
    welcome = await world.sent()
    world.query("insert into dripdrop.message_keys (key, execution_id) values ('telling-not-yet', %s)", welcome)
    world.clock.advance(seconds=6)
    await world.drip.run_due()
    assert await world.status(welcome) == "delivered"
    assert [each.state for each in await world.drip.webhooks.list()] == ["processed"]


async def test_an_event_of_nobodys_message_is_left_in_the_end_and_can_be_tried_again(world: Told) -> None:
    await world.tell(event("bounced", theirs="lost", to="bob@example.org", severity="permanent"))
    await world.drip.drain(until=world.clock.now() + timedelta(days=1))
    (left,) = await world.drip.webhooks.list(state="failed")
    assert (left.reason, left.retries) == ("unmatched:1", matching.MOST_TRIES)
    # Whoever it was sent by, the address is dead.
    assert await world.suppressed("bob@example.org") == "bounce"
    welcome = await world.sent()
    world.query("insert into dripdrop.message_keys (key, execution_id) values ('lost', %s)", welcome)
    await world.drip.webhooks.replay(left.id)
    await world.drip.run_due()
    assert await world.status(welcome) == "bounced"


async def test_a_batch_of_a_thousand_loses_nothing(world: Told) -> None:
    welcome = await world.sent()
    events = [event("clicked" if nth % 2 else "opened", ours=str(welcome)) for nth in range(1000)]
    await world.tell(*events)
    await world.tell(*events[::-1])
    await world.drip.run_due()
    assert world.query("select count(*), count(distinct provider_event_id) from dripdrop.message_events") == [
        (1000, 1000)
    ]


async def test_a_body_that_cannot_be_read_is_kept_and_holds_up_nobody(world: Told) -> None:
    welcome = await world.sent()
    assert await world.post(posted(b"this is no JSON")) == 200
    assert await world.post(posted(b'[{"type": "delivered", "at": "tomorrow"}, 7]')) == 200
    await world.tell(event("delivered", ours=str(welcome)), {"id": "x", "type": "exploded"})
    await world.drip.run_due()
    failed = {each.reason for each in await world.drip.webhooks.list(state="failed")}
    assert failed == {"unparseable:JSONDecodeError", "unreadable_event:ValueError", "unreadable_event:TypeError"}
    assert await world.status(welcome) == "delivered"


async def test_what_the_database_cannot_hold_costs_only_itself(world: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    welcome = await world.sent()
    bad = {"id": "bad", "type": "delivered", "ours": str(welcome)}
    monkeypatch.setattr("dripdrop.rules.heard.shortened", lambda text: f"{text}\0" if text == "bad" else str(text))
    await world.tell(bad)
    await world.tell(event("opened", ours=str(welcome)))
    await world.tell(event("clicked", ours=str(welcome)))
    await world.drip.run_due()
    assert {each.event_type for each in await world.drip.message_events.list()} == {"opened", "clicked"}
    (left,) = await world.drip.webhooks.list(state="failed")
    assert left.reason == "unwritable:22P02"


async def test_a_doubt_is_settled_by_feedback_and_the_path_goes_on(world: Told) -> None:
    world.provider.answers = lambda delivery: Unknown({"reason": "timeout"})
    enrollment = await world.enroll()
    await world.drip.run_due()
    (held,) = await world.drip.executions.list(enrollment=enrollment)
    assert held.state == "unknown"
    await world.tell(event("delivered", ours=str(held.id)))
    await world.drip.run_due()
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "scheduled")]
    assert await world.status(held.id) == "delivered"
    world.clock.advance(minutes=1)
    await world.drip.run_due()
    assert world.query("select count(*) from dripdrop.proofs") == [(0,)]


async def test_feedback_that_is_faster_than_the_doubt_settles_it_too(world: Told) -> None:
    enrollment = await world.enroll()

    def doubtful(delivery: Any) -> Unknown:
        world.query(
            "insert into dripdrop.webhook_requests"
            " (tenant_key, adapter_id, provider, headers, body, due_at, received_at)"
            " values ('', %s, 'telling', '{}', %s, '2030-03-04T12:00:00Z', '2030-03-04T12:00:00Z')",
            delivery.adapter.id,
            signed(event("delivered", ours=str(delivery.id)))["body"],
        )
        return Unknown({"reason": "timeout"})

    world.provider.answers = doubtful
    await world.drip.run_due()
    await world.drip.run_due()
    assert await world.state(enrollment) == [("welcome", "sent"), ("nudge", "scheduled")]


async def test_opens_say_whether_a_person_or_a_machine_made_them(world: Told) -> None:
    welcome = await world.sent()
    world.clock.advance(minutes=10)
    await world.tell(
        event("opened", ours=str(welcome), agent="Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15"),
        event("opened", ours=str(welcome), agent="Mozilla/5.0"),
        event("clicked", ours=str(welcome), agent="Barracuda Sentinel (EE)"),
        event("opened", ours=str(welcome), at="2030-03-04T12:00:01+00:00", agent="Thunderbird/115"),
    )  # fmt: skip
    await world.drip.run_due()
    told = await world.drip.message_events.list()
    assert sorted((each.event_data["machine"], tuple(each.event_data["why"])) for each in told) == [
        (False, ()), (True, ("machine_agent",)), (True, ("privacy_prefetch",)), (True, ("too_soon",)),
    ]  # fmt: skip


async def test_a_tenants_adapter_cannot_speak_of_another_tenants_messages(world: Told) -> None:
    welcome = await world.sent()
    acme = world.drip.for_tenant("acme")
    own = await acme.adapters.create("own", channel="email", provider="telling")
    answer = await acme.webhooks.receive(
        "telling", own.id, **signed(event("complained", ours=str(welcome), to=ANN), event("opened", theirs="x"))
    )
    assert answer.status == 200
    await world.drip.drain(until=world.clock.now() + timedelta(days=1))
    assert await world.suppressed() is None
    assert await world.status(welcome) == "accepted"
    found = await acme.suppressions.check("email", ANN)
    assert found is not None
    assert found.tenant_key == "acme"


async def test_a_global_adapter_speaks_of_whoever_it_sent_for(world: Told) -> None:
    acme = world.drip.for_tenant("acme")
    enrolled = await acme.enroll("onboarding", subscriber=("user", 7), data={"email": "ann@example.org", "name": "A"})
    await world.drip.run_due()
    (welcome,) = await acme.executions.list(enrollment=enrolled.id, state="sent")
    await world.tell(event("unsubscribed", theirs=f"telling-{welcome.id}", to=ANN))
    await world.drip.run_due()
    assert await world.suppressed() is None, "what a tenant's person wishes is that tenant's alone"
    assert (await acme.suppressions.check("email", ANN)).reason == "unsubscribe"


async def test_a_hundred_requests_cost_less_than_a_fifth_of_a_round_trip_each(world: Told) -> None:
    executions = [await world.sent(who, email=f"person-{who}@example.org") for who in range(5)]
    for nth in range(100):
        await world.tell(event("delivered", ours=str(executions[nth % 5])))
    database = world.runtime.database
    before = database.round_trips
    assert await Matcher(world.runtime).once() == 100
    assert (database.round_trips - before) / 100 < 0.2
    assert world.query("select count(*) from dripdrop.message_events") == [(100,)]


REPLIES = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "steps": {
        "welcome": {"channel": "email", "subject": "Welcome", "text": "Hello", "reply_behavior": "pause"},
        "nudge": {"channel": "email", "timing": "in 3 days", "subject": "Still there?", "text": "Hm"},
    },
}


@pytest.fixture
async def listening(database_url: str) -> AsyncIterator[tuple[Told, list[Reply]]]:
    heard: list[Reply] = []
    told = Told(database_url, Telling(), FrozenClock(NOON), on_reply=heard.append)
    await told.begin(REPLIES)
    yield told, heard
    await told.close()


def answer(execution: UUID, text: str, **more: Any) -> dict[str, Any]:
    return event("inbound", **{"from": ANN, "text": text, "in_reply_to": f"<{execution}.0@example.com>"}, **more)


async def test_a_reply_holds_its_enrollment_and_the_host_is_told_once(listening: tuple[Told, list[Reply]]) -> None:
    world, heard = listening
    welcome = await world.sent()
    reply = answer(welcome, "Gladly!\n\nOn Mon, Bob <bob@example.com> wrote:\n> Hello")
    await world.tell(reply, reply)
    await world.drip.run_due()
    await world.tell(reply)
    await world.drip.run_due()
    assert await world.person(welcome) == "paused"
    (one,) = heard
    assert (one.text, one.sender, one.execution_id, one.subscriber_id) == ("Gladly!", ANN, welcome, "42")
    (told,) = await world.drip.message_events.list()
    assert (told.event_type, told.event_data["intent"]) == ("replied", "reply")


async def test_a_host_that_fails_is_told_again(database_url: str) -> None:
    tries: list[Reply] = []

    async def busy(reply: Reply) -> None:
        tries.append(reply)
        if len(tries) < 3:
            raise ConnectionError("the host is down")

    world = Told(database_url, Telling(), FrozenClock(NOON), on_reply=busy)
    await world.begin(REPLIES)
    welcome = await world.sent()
    await world.tell(answer(welcome, "Gladly!"))
    await world.drip.drain(until=world.clock.now() + timedelta(hours=1))
    assert len(tries) == 3
    assert len({each.id for each in tries}) == 1, "the host can know it again"
    assert world.query("select count(*) from dripdrop.callbacks") == [(0,)]
    await world.close()


async def test_somebody_who_is_away_is_written_to_on_return(listening: tuple[Told, list[Reply]]) -> None:
    world, heard = listening
    welcome = await world.sent(timezone="Europe/Vienna")
    raw = (
        f"From: {ANN}\r\nTo: us@example.com\r\nSubject: Automatic reply: Welcome\r\nMessage-ID: <away@example.org>\r\n"
        f"In-Reply-To: <{welcome}.0@example.com>\r\nAuto-Submitted: auto-replied\r\n\r\n"
        "I am out of the office until 14 March 2030.\r\n"
    )
    found = await world.drip.ingest_raw_email("main", raw.encode())
    assert (found.intent, found.execution_id) == ("ooo", welcome)
    assert await world.person(welcome) == "active", "an absence is no reply"
    (nudge,) = await world.drip.executions.list(state="scheduled")
    assert nudge.scheduled_for.isoformat() == "2030-03-14T08:00:00+00:00"
    await world.drip.drain(until=world.clock.now() + timedelta(days=9))
    assert world.provider.outbox.steps() == ["welcome"]
    await world.drip.drain(until=world.clock.now() + timedelta(days=2))
    assert world.provider.outbox.steps() == ["welcome", "nudge"]
    assert heard == []


async def test_a_matcher_that_is_killed_loses_nothing(world: Told) -> None:
    welcome = await world.sent()
    await world.tell(event("delivered", ours=str(welcome)), event("opened", ours=str(welcome)))
    database = world.runtime.database
    taken = await database.run(lambda now: matching.claim(now))
    assert len(taken) == 1
    # It dies here, with the request in its hands. Nobody else takes it before its time.
    await world.drip.run_due()
    assert await world.status(welcome) == "accepted"
    world.clock.advance(seconds=61)
    await world.drip.run_due()
    assert await world.status(welcome) == "delivered"
    assert len(await world.drip.message_events.list()) == 2


async def test_what_kills_every_reader_is_left_in_the_end(world: Told) -> None:
    await world.tell(event("delivered", theirs="x"))
    database = world.runtime.database
    for _ in range(matching.MOST_TRIES):
        assert len(await database.run(lambda now: matching.claim(now))) == 1
        world.clock.advance(hours=2)
    assert await database.run(lambda now: matching.claim(now)) == []
    (left,) = await world.drip.webhooks.list(state="failed")
    assert left.reason == "given_up"


async def test_a_whole_domain_can_be_suppressed(world: Told) -> None:
    await world.drip.suppress("email", "@Example.ORG", "manual")
    assert await world.suppressed("ann@example.org") == "manual"
    assert await world.suppressed("ann@mail.example.org") is None
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert (await world.state(enrollment))[0] == ("welcome", "skipped")
    await world.drip.suppressions.lift("email", "@example.org")
    assert await world.suppressed("ann@example.org") is None
