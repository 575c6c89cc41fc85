"""For each operation, a world in which it has something to do, and a fresh flow of it as often as one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from tests.operations.desk import NOW

from dripdrop.errors import NotFound
from dripdrop.operations import (
    authoring,
    awaiting,
    cataloguing,
    delivering,
    dispatching,
    drafting,
    enrolling,
    explaining,
    hooking,
    keeping,
    linking,
    provisioning,
    reporting,
    resolving,
    restoring,
    stopping,
    suppressing,
    tracking,
)
from dripdrop.operations.delivering import Closing, Opened, Opening
from dripdrop.operations.dispatching import Judged, Policy
from dripdrop.rules import gates
from dripdrop.rules.claim import Claim
from dripdrop.rules.outcome import Accepted, Rejected, Unknown
from dripdrop.store import events
from dripdrop.store.database import configure
from dripdrop.store.enrollments import Enrollment
from dripdrop.store.flow import Flow
from dripdrop.store.hooks import Hook
from dripdrop.store.links import Fresh
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import GLOBAL
from dripdrop.vault import Vault

T = TypeVar("T")
BOOKED = events.Fresh("booked", ("user", "1"), None, {"kind": "live"}, NOW)
VAULT = Vault([b"k" * 32])
DUE = NOW + timedelta(minutes=1)
LEASE = timedelta(minutes=1)
DOCUMENT: Mapping[str, Any] = {
    "sequence": "onboarding",
    "name": "Onboarding",
    "exit_on": ["bought"],
    "steps": {
        "welcome": {
            "channel": "email",
            "subject": "Welcome",
            "text": "Hello",
            "next": [{"when": {"field": "plan", "is": "==", "value": "pro"}, "goto": "nudge"}, {"goto": "nudge"}],
        },
        "nudge": {"channel": "email", "timing": "in 3 days", "subject": "Still there?", "text": "Hm"},
    },
}


WAITING: Mapping[str, Any] = {
    "sequence": "waiting",
    "name": "Waiting",
    "exit_on": [{"event": "bought", "match": {"plan": "pro"}, "as": "completed"}],
    "steps": {
        "booked": {
            "channel": "email",
            "timing": {"event": "booked", "match": {"kind": "live"}, "timeout": "in 1 day"},
            "subject": "Booked",
            "text": "Hello",
        },
        "again": {"channel": "email", "timing": "in 1 day", "repeat": 3, "subject": "Again", "text": "Hm"},
    },
}


class Postbox:
    """A provider that takes any credentials; nothing is sent here."""

    name, channel = "postbox", "email"

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return []


def known(channel: str, provider: str) -> Postbox:
    if (channel, provider) != ("email", "postbox"):
        raise NotFound(f"There is no {provider}.")
    return Postbox()


class Stage:
    """A database with an adapter and an active sequence; what has to happen before a scene is carried out here."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        configure(connection)
        self.connection = connection
        self.adapter = self.do(
            provisioning.create(
                NOW, GLOBAL, "main", channel="email", provider="postbox", known=known, vault=VAULT, is_default=True,
                credentials={"key": "secret"},
            )
        )  # fmt: skip
        self.applied = self.do(authoring.apply(NOW, GLOBAL, DOCUMENT))

    def do(self, flow: Flow[T]) -> T:
        with self.connection.transaction():
            return run_sync(self.connection, flow)

    @staticmethod
    def policy() -> Policy:
        return Policy(lambda claim: [("email", str(claim.data["email"]))], lambda claim: None)

    def enroll(self, who: int = 1, **data: Any) -> Enrollment:
        facts = {"email": f"person-{who}@example.org", **data}
        return self.do(enrolling.enroll(NOW, GLOBAL, "onboarding", subscriber=("user", who), data=facts))

    def wait(self, *who: int) -> list[UUID]:
        """Who is enrolled where the first step waits for a booking."""
        self.do(authoring.apply(NOW, GLOBAL, WAITING))
        return [
            self.do(enrolling.enroll(NOW, GLOBAL, "waiting", subscriber=("user", each), data={"email": "a@b.at"})).id
            for each in who
        ]

    def hooked(self) -> tuple[UUID, list[Claim]]:
        """Whose welcome is on the wire, after which a hook decides."""
        welcome = {**DOCUMENT["steps"]["welcome"], "next": [{"when": "hook.score > 5", "goto": "nudge"}]}
        steps = {"welcome": welcome, "nudge": DOCUMENT["steps"]["nudge"]}
        hook = {"score": {"url": "https://hooks.example.org/score"}}
        self.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "steps": steps, "http_hooks": hook}))
        return self.sending(1)

    def choosing(self) -> tuple[UUID, Claim]:
        """A way on that is held, and for which a hook has been asked."""
        worker, claims = self.hooked()
        self.do(delivering.close(DUE, worker, [Closing(claim, Accepted("m")) for claim in claims]))
        (judged,) = self.claim(worker)
        assert judged.claim.kind == "advance"
        return worker, judged.claim

    def unseen(self, who: int) -> list[UUID]:
        """A booking that is on record and that nobody has looked for."""
        rows = self.do(events.record_many(NOW, GLOBAL, [replace(BOOKED, subscriber=("user", str(who)))]))
        return [row["id"] for row in rows.values()]

    def worker(self) -> UUID:
        return self.do(keeping.register(NOW, "a worker", lease=LEASE))

    def die(self, worker: UUID) -> None:
        self.connection.execute(
            b"update dripdrop.workers set heartbeat_at = heartbeat_at - interval '2 hours' where id = %s", [worker]
        )

    def claim(self, worker: UUID, now: datetime = DUE) -> list[Judged]:
        return self.do(dispatching.claim(now, worker, self.policy()))

    def opening(self, claim: Claim) -> Opening:
        return Opening(
            claim.id, claim.token, self.adapter.id, "person@example.org", claim.version.id, 1, b"digest", DUE
        )

    def open(self, worker: UUID, judged: list[Judged]) -> list[Claim]:
        claims = [each.claim for each in judged]
        results = self.do(delivering.open(DUE, worker, [self.opening(each) for each in claims]))
        for claim, result in zip(claims, results, strict=True):
            assert isinstance(result, Opened)
            claim.token, claim.attempt, claim.state = result.token, result.attempt, "sending"
        return claims

    def sending(self, *who: int) -> tuple[UUID, list[Claim]]:
        """Who is enrolled, and whose welcome is on the wire."""
        for each in who:
            self.enroll(each)
        worker = self.worker()
        return worker, self.open(worker, self.claim(worker))

    def closed(self, came: Any) -> UUID:
        """One execution whose welcome came out like this."""
        return self.closed_of(1, came)

    def closed_of(self, who: int, came: Any) -> UUID:
        """The same of somebody else."""
        worker, (claim,) = self.sending(who)
        self.do(delivering.close(DUE, worker, [Closing(claim, came)]))
        return claim.id

    def draft(self) -> Any:
        return self.do(authoring.clone_version(NOW, GLOBAL, self.applied.version))


Scene: TypeAlias = Callable[[Stage], Callable[[], Flow[Any]]]


@dataclass(frozen=True)
class Registered:
    """A scene of one operation; `writes` says whether it is there to change anything."""

    operation: str
    variant: str
    build: Scene
    writes: bool

    @property
    def name(self) -> str:
        return f"{self.operation} ({self.variant})" if self.variant else self.operation


SCENES: list[Registered] = []


def scene(operation: str, variant: str = "", *, writes: bool = True) -> Callable[[Scene], Scene]:
    def register(build: Scene) -> Scene:
        SCENES.append(Registered(operation, variant, build, writes))
        return build

    return register


def reading(operation: str, variant: str = "") -> Callable[[Scene], Scene]:
    return scene(operation, variant, writes=False)


# Cataloguing and authoring


@scene("cataloguing.create_sequence")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.create_sequence(NOW, GLOBAL, "another", name="Another")


@scene("cataloguing.update_sequence")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.update_sequence(NOW, GLOBAL, "onboarding", name="Renamed")


@scene("cataloguing.delete_sequence")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.delete_sequence(NOW, GLOBAL, "onboarding")


@reading("cataloguing.get_sequence")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.get_sequence(NOW, GLOBAL, "onboarding")


@reading("cataloguing.list_sequences")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.list_sequences(NOW, GLOBAL)


@scene("authoring.draft")
def _(stage: Stage) -> Any:
    return lambda: authoring.draft(NOW, GLOBAL, "onboarding")


@reading("cataloguing.versions")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.versions(NOW, GLOBAL, "onboarding")


@reading("cataloguing.active_version")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.active_version(NOW, GLOBAL, "onboarding")


@reading("cataloguing.max_version_number")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.max_version_number(NOW, GLOBAL, "onboarding")


@reading("cataloguing.latest_step")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.latest_step(NOW, GLOBAL, "onboarding", "nudge")


@reading("cataloguing.steps")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.steps(NOW, GLOBAL, stage.applied.version)


@reading("cataloguing.version")
def _(stage: Stage) -> Any:
    return lambda: cataloguing.version(NOW, GLOBAL, "onboarding", 1)


@reading("authoring.validate")
def _(stage: Stage) -> Any:
    return lambda: authoring.validate(NOW, GLOBAL, stage.applied.version)


@scene("authoring.activate")
def _(stage: Stage) -> Any:
    draft = stage.draft()
    return lambda: authoring.activate(NOW, GLOBAL, draft)


@scene("authoring.archive")
def _(stage: Stage) -> Any:
    return lambda: authoring.archive(NOW, GLOBAL, stage.applied.version)


@scene("authoring.clone_version")
def _(stage: Stage) -> Any:
    return lambda: authoring.clone_version(NOW, GLOBAL, stage.applied.version)


@scene("authoring.apply", "a new sequence")
def _(stage: Stage) -> Any:
    steps = {key: {**step, "adapter": "main"} for key, step in DOCUMENT["steps"].items()}
    return lambda: authoring.apply(NOW, GLOBAL, {**DOCUMENT, "sequence": "another", "steps": steps})


@scene("authoring.apply", "a changed one")
def _(stage: Stage) -> Any:
    stage.enroll()
    return lambda: authoring.apply(NOW, GLOBAL, {**DOCUMENT, "name": "Renamed", "exit_on": ["left"]})


@reading("authoring.apply", "the same again")
def _(stage: Stage) -> Any:
    return lambda: authoring.apply(NOW, GLOBAL, DOCUMENT)


# Drafting


@scene("drafting.add_step")
def _(stage: Stage) -> Any:
    draft = stage.draft()
    return lambda: drafting.add_step(
        NOW, GLOBAL, draft, key="more", channel="email", template={"subject": "More", "text": "Hi"}, adapter="main"
    )


@scene("drafting.update_step")
def _(stage: Stage) -> Any:
    (step, *_) = stage.do(cataloguing.steps(NOW, GLOBAL, stage.draft()))
    return lambda: drafting.update_step(NOW, GLOBAL, step, name="Renamed", timing="in 2 days")


@scene("drafting.remove_step")
def _(stage: Stage) -> Any:
    (step, *_) = stage.do(cataloguing.steps(NOW, GLOBAL, stage.draft()))
    return lambda: drafting.remove_step(NOW, GLOBAL, step)


@scene("drafting.add_transition")
def _(stage: Stage) -> Any:
    draft = stage.draft()
    return lambda: drafting.add_transition(NOW, GLOBAL, draft, from_step="nudge", to_step=None)


@scene("drafting.add_condition")
def _(stage: Stage) -> Any:
    draft = stage.draft()
    way = stage.do(drafting.add_transition(NOW, GLOBAL, draft, from_step="nudge", to_step="welcome", mode="all"))
    return lambda: drafting.add_condition(
        NOW, GLOBAL, transition=way, condition_type="enrollment_data", field_path="plan", expected_value="pro"
    )


# Enrolling


@scene("enrolling.enroll")
def _(stage: Stage) -> Any:
    return lambda: enrolling.enroll(NOW, GLOBAL, "onboarding", subscriber=("user", 1), data={"email": "a@example.org"})


@reading("enrolling.enroll", "who is in already")
def _(stage: Stage) -> Any:
    stage.enroll()
    return lambda: enrolling.enroll(NOW, GLOBAL, "onboarding", subscriber=("user", 1))


@scene("enrolling.enroll_many")
def _(stage: Stage) -> Any:
    stage.enroll(1)
    rows = [{"subscriber": ("user", each), "data": {"email": "a@example.org"}} for each in range(20)]
    return lambda: enrolling.enroll_many(NOW, GLOBAL, "onboarding", rows)


@scene("enrolling.pause")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: enrolling.pause(NOW, GLOBAL, enrollment, reason="asked")


@scene("enrolling.resume")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    stage.do(enrolling.pause(NOW, GLOBAL, enrollment))
    return lambda: enrolling.resume(DUE, GLOBAL, enrollment)


@scene("enrolling.resume", "nothing left")
def _(stage: Stage) -> Any:
    stage.do(
        authoring.apply(NOW, GLOBAL, {**DOCUMENT, "steps": {"welcome": {**DOCUMENT["steps"]["welcome"], "next": []}}})
    )
    worker, (claim,) = stage.sending(1)
    stage.do(enrolling.pause(DUE, GLOBAL, claim.enrollment_id))
    stage.do(delivering.close(DUE, worker, [Closing(claim, Accepted("m"))]))
    return lambda: enrolling.resume(DUE, GLOBAL, claim.enrollment_id)


@scene("enrolling.unenroll")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: enrolling.unenroll(NOW, GLOBAL, enrollment)


@scene("enrolling.update_data")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: enrolling.update_data(NOW, GLOBAL, enrollment, {"plan": "pro"})


@scene("enrolling.move")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "exit_on": []}))
    return lambda: enrolling.move(NOW, GLOBAL, enrollment, step="nudge")


# Tracking


@scene("tracking.track", "ends two enrollments")
def _(stage: Stage) -> Any:
    stage.enroll()
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "sequence": "another"}))
    stage.do(enrolling.enroll(NOW, GLOBAL, "another", subscriber=("user", 1), data={"email": "a@example.org"}))
    return lambda: tracking.track(NOW, GLOBAL, "bought", subscriber=("user", 1), data={"amount": 5})


@scene("tracking.track", "of one enrollment")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: tracking.track(NOW, GLOBAL, "looked", enrollment=enrollment.id)


@scene("tracking.track", "wakes two steps")
def _(stage: Stage) -> Any:
    stage.wait(1)
    stage.do(authoring.apply(NOW, GLOBAL, {**WAITING, "sequence": "another"}))
    stage.do(enrolling.enroll(NOW, GLOBAL, "another", subscriber=("user", 1), data={"email": "a@example.org"}))
    return lambda: tracking.track(NOW, GLOBAL, "booked", subscriber=("user", 1), data={"kind": "live"})


@scene("tracking.track_many")
def _(stage: Stage) -> Any:
    first, *_ = stage.wait(1, 2, 3)
    rows: list[Any] = [{"event": "booked", "subscriber": ("user", who), "data": {"kind": "live"}} for who in (2, 3)]
    rows += [{"event": "bought", "enrollment": first, "data": {"plan": "pro"}}, {"event": ""}]
    return lambda: tracking.track_many(NOW, GLOBAL, rows)


# Awaiting


@scene("awaiting.began")
def _(stage: Stage) -> Any:
    people = stage.wait(1, 2)
    stage.unseen(1)
    return lambda: awaiting.began(NOW, people)


@scene("awaiting.announce")
def _(stage: Stage) -> Any:
    stage.wait(1, 2)
    recorded = stage.unseen(1)
    return lambda: awaiting.announce(NOW, GLOBAL, recorded)


@scene("awaiting.sweep", "sees waits for the first time")
def _(stage: Stage) -> Any:
    stage.wait(1, 2)
    return lambda: awaiting.sweep(NOW)


@scene("awaiting.sweep", "settles")
def _(stage: Stage) -> Any:
    stage.wait(1, 2)
    stage.do(awaiting.sweep(NOW))
    stage.unseen(1)
    return lambda: awaiting.sweep(NOW)


@scene("awaiting.sweep", "hears what an older snapshot could not announce")
def _(stage: Stage) -> Any:
    stage.wait(1)
    with stage.connection.transaction():
        stage.connection.execute("set transaction isolation level repeatable read")
        run_sync(stage.connection, events.record_many(NOW, GLOBAL, [BOOKED]))
    return lambda: awaiting.sweep(NOW)


# Dispatching


@scene("dispatching.claim")
def _(stage: Stage) -> Any:
    for who in range(5):
        stage.enroll(who)
    stage.do(suppressing.suppress(NOW, GLOBAL, "email", "person-2@example.org", "manual"))
    worker = stage.worker()
    return lambda: dispatching.claim(DUE, worker, stage.policy())


@scene("dispatching.claim", "a second attempt")
def _(stage: Stage) -> Any:
    stage.closed(Rejected("temporary"))
    worker = stage.worker()
    return lambda: dispatching.claim(DUE + timedelta(hours=1), worker, stage.policy())


@scene("dispatching.claim", "who waited in vain, and who was woken")
def _(stage: Stage) -> Any:
    stage.wait(1, 2)
    stage.do(tracking.track(NOW, GLOBAL, "booked", subscriber=("user", 1), data={"kind": "live"}))
    worker = stage.worker()
    return lambda: dispatching.claim(NOW + timedelta(days=2), worker, stage.policy())


@scene("dispatching.look")
def _(stage: Stage) -> Any:
    stage.enroll(1)
    worker = stage.worker()
    return lambda: dispatching.look(DUE, worker, stage.policy())


@scene("dispatching.look", "nothing is due")
def _(stage: Stage) -> Any:
    stage.enroll(1)
    worker = stage.worker()
    return lambda: dispatching.look(NOW, worker, stage.policy())


@scene("dispatching.claim_one")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    (found,) = stage.do(reporting.executions(NOW, GLOBAL, enrollment=enrollment))
    worker = stage.worker()
    return lambda: dispatching.claim_one(DUE, worker, stage.policy(), found.id)


@scene("dispatching.take_over")
def _(stage: Stage) -> Any:
    dead, _ = stage.sending(1, 2)
    stage.enroll(3)
    stage.claim(dead)
    stage.die(dead)
    worker = stage.worker()
    return lambda: dispatching.take_over(DUE, worker, stage.policy())


@scene("dispatching.take_again")
def _(stage: Stage) -> Any:
    worker, _ = stage.sending(1, 2)
    held = stage.do(dispatching.held(DUE, worker))
    return lambda: dispatching.take_again(DUE, worker, stage.policy(), held)


@reading("dispatching.held")
def _(stage: Stage) -> Any:
    worker, _ = stage.sending(1)
    return lambda: dispatching.held(DUE, worker)


@reading("dispatching.facts")
def _(stage: Stage) -> Any:
    stage.enroll()
    (row,) = stage.do(_claimed(stage, stage.worker()))
    return lambda: dispatching.facts(DUE, [row], {})


def _claimed(stage: Stage, worker: UUID) -> Flow[Any]:
    from dripdrop.store import executions

    return executions.claim(DUE, worker, 10, None)


# Delivering


@scene("delivering.open")
def _(stage: Stage) -> Any:
    stage.enroll(1)
    paused = stage.enroll(2)
    worker = stage.worker()
    openings = [stage.opening(each.claim) for each in stage.claim(worker)]
    stage.do(enrolling.pause(DUE, GLOBAL, paused))
    return lambda: delivering.open(DUE, worker, openings)


@scene("delivering.open_again")
def _(stage: Stage) -> Any:
    stage.enroll(1)
    stage.enroll(2)
    worker = stage.worker()
    openings = [stage.opening(each.claim) for each in stage.claim(worker)]
    stage.do(delivering.open(DUE, worker, openings[:1]))
    return lambda: delivering.open_again(DUE, worker, openings)


@scene("delivering.close", "each kind of ending")
def _(stage: Stage) -> Any:
    worker, claims = stage.sending(1, 2, 3, 4)
    stage.enroll(5)
    (waiting,) = (each.claim for each in stage.claim(worker))
    hold = gates.Hold(DUE + timedelta(hours=1), "quiet_hours", {})
    came: list[Any] = [Accepted("m"), Rejected("temporary"), Rejected("bounced", "recipient"), Unknown(), hold]
    closings = [
        Closing(claim, each, recipient=("email", "person@example.org"))
        for claim, each in zip([*claims, waiting], came, strict=True)
    ]
    return lambda: delivering.close(DUE, worker, closings)


@scene("delivering.close", "handed back")
def _(stage: Stage) -> Any:
    from dripdrop.rules.following import HandBack

    stage.enroll()
    worker = stage.worker()
    (judged,) = stage.claim(worker)
    return lambda: delivering.close(DUE, worker, [Closing(judged.claim, HandBack())])


@scene("delivering.close", "all accepted")
def _(stage: Stage) -> Any:
    worker, claims = stage.sending(1, 2)
    return lambda: delivering.close(DUE, worker, [Closing(claim, Accepted("m")) for claim in claims])


@scene("delivering.close", "a wait in vain")
def _(stage: Stage) -> Any:
    from dripdrop.rules.following import TimedOut

    stage.wait(1)
    worker = stage.worker()
    (judged,) = stage.claim(worker, NOW + timedelta(days=2))
    return lambda: delivering.close(NOW + timedelta(days=2), worker, [Closing(judged.claim, TimedOut())])


@scene("delivering.close", "to a wait")
def _(stage: Stage) -> Any:
    steps = {"welcome": {**DOCUMENT["steps"]["welcome"], "next": []}, **WAITING["steps"]}
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "steps": steps}))
    worker, claims = stage.sending(1, 2)
    stage.unseen(1)
    return lambda: delivering.close(DUE, worker, [Closing(claim, Accepted("m")) for claim in claims])


@scene("delivering.close", "a repeated step")
def _(stage: Stage) -> Any:
    steps = {"again": {**WAITING["steps"]["again"], "timing": "in 1 minute"}}
    stage.do(authoring.apply(NOW, GLOBAL, {**DOCUMENT, "steps": steps}))
    worker, claims = stage.sending(1)
    return lambda: delivering.close(DUE, worker, [Closing(claim, Accepted("m")) for claim in claims])


@scene("delivering.close", "to a way that hooks decide")
def _(stage: Stage) -> Any:
    worker, claims = stage.hooked()
    return lambda: delivering.close(DUE, worker, [Closing(claim, Accepted("m")) for claim in claims])


@scene("delivering.close", "a way that hooks decided")
def _(stage: Stage) -> Any:
    from dripdrop.rules.onward import Known

    worker, claim = stage.choosing()
    return lambda: delivering.close(DUE, worker, [Closing(claim, Known({"score": 80}))])


@scene("delivering.close", "a hook that gives no answer again")
def _(stage: Stage) -> Any:
    from dripdrop.rules.following import NoAnswer

    worker, claim = stage.choosing()
    stage.do(delivering.close(DUE, worker, [Closing(claim, NoAnswer("score", "down"))]))
    later = DUE + timedelta(minutes=1)
    (again,) = stage.claim(worker, later)
    return lambda: delivering.close(later, worker, [Closing(again.claim, NoAnswer("score", "down"))])


@reading("delivering.close", "late")
def _(stage: Stage) -> Any:
    dead, (claim,) = stage.sending(1)
    stage.die(dead)
    stage.do(dispatching.take_over(DUE, stage.worker(), stage.policy()))
    return lambda: delivering.close(DUE, dead, [Closing(claim, Accepted("m"))])


# Resolving


@scene("resolving.resolve", "sent")
def _(stage: Stage) -> Any:
    execution = stage.closed(Unknown())
    return lambda: resolving.resolve(DUE, GLOBAL, execution, as_="sent")


@scene("resolving.resolve", "resend")
def _(stage: Stage) -> Any:
    execution = stage.closed(Unknown())
    return lambda: resolving.resolve(DUE, GLOBAL, execution, as_="resend")


@scene("resolving.resolve", "drop")
def _(stage: Stage) -> Any:
    execution = stage.closed(Rejected("permanent"))
    return lambda: resolving.resolve(DUE, GLOBAL, execution, as_="drop")


@scene("resolving.replay")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    return lambda: resolving.replay(DUE, GLOBAL, execution)


# Keeping


@scene("keeping.register")
def _(stage: Stage) -> Any:
    return lambda: keeping.register(NOW, "a worker", lease=LEASE)


@scene("keeping.heartbeat")
def _(stage: Stage) -> Any:
    worker = stage.worker()
    return lambda: keeping.heartbeat(NOW, worker)


@scene("keeping.farewell")
def _(stage: Stage) -> Any:
    worker = stage.worker()
    return lambda: keeping.farewell(NOW, worker)


@scene("keeping.tidy")
def _(stage: Stage) -> Any:
    stage.die(stage.worker())
    return lambda: keeping.tidy(NOW, months=9)


@scene("restoring.recognise")
def _(stage: Stage) -> Any:
    return lambda: restoring.recognise(NOW)


@scene("restoring.hold_back")
def _(stage: Stage) -> Any:
    stage.enroll()
    return lambda: restoring.hold_back(DUE, GLOBAL)


@reading("keeping.pending")
def _(stage: Stage) -> Any:
    return lambda: keeping.pending(NOW)


@reading("keeping.next_due")
def _(stage: Stage) -> Any:
    return lambda: keeping.next_due(NOW)


@scene("keeping.advance_clock")
def _(stage: Stage) -> Any:
    return lambda: keeping.advance_clock(NOW, NOW + timedelta(days=1))


@reading("keeping.clock_ahead")
def _(stage: Stage) -> Any:
    return lambda: keeping.clock_ahead(NOW)


@reading("keeping.time")
def _(stage: Stage) -> Any:
    return lambda: keeping.time(NOW)


# Provisioning


@scene("provisioning.create")
def _(stage: Stage) -> Any:
    return lambda: provisioning.create(
        NOW, GLOBAL, "second", channel="email", provider="postbox", known=known, vault=VAULT, is_default=True
    )


@scene("provisioning.update")
def _(stage: Stage) -> Any:
    return lambda: provisioning.update(
        NOW, GLOBAL, "main", known=known, vault=VAULT, credentials={"key": "new"}, is_default=False
    )


@reading("provisioning.get")
def _(stage: Stage) -> Any:
    return lambda: provisioning.get(NOW, GLOBAL, "main")


@reading("provisioning.list_")
def _(stage: Stage) -> Any:
    return lambda: provisioning.list_(NOW, GLOBAL)


@reading("provisioning.default")
def _(stage: Stage) -> Any:
    return lambda: provisioning.default(NOW, GLOBAL, "email")


# Hooks

HOOKED: Mapping[str, Any] = {**DOCUMENT, "http_hooks": {"score": {"url": "https://crm.example.com/score"}}}
KEYS = hooking.Keyring(lambda: VAULT)


def a_hook(stage: Stage) -> Hook:
    url = "https://crm.example.com/seats"
    return stage.do(hooking.create(NOW, GLOBAL, "onboarding", key="seats", url=url))


@scene("hooking.create")
def _(stage: Stage) -> Any:
    url, auth = "https://crm.example.com/score", {"bearer": "secret"}
    return lambda: hooking.create(NOW, GLOBAL, "onboarding", key="score", url=url, auth=auth, keyring=KEYS)


@scene("hooking.update")
def _(stage: Stage) -> Any:
    hook = a_hook(stage)
    return lambda: hooking.update(NOW, GLOBAL, hook, retry_count=5, auth={"bearer": "secret"}, keyring=KEYS)


@reading("hooking.get")
def _(stage: Stage) -> Any:
    a_hook(stage)
    return lambda: hooking.get(NOW, GLOBAL, "onboarding/seats")


@reading("hooking.list_")
def _(stage: Stage) -> Any:
    a_hook(stage)
    return lambda: hooking.list_(NOW, GLOBAL)


@scene("hooking.noted")
def _(stage: Stage) -> Any:
    hook = a_hook(stage)
    return lambda: hooking.noted(NOW, GLOBAL, hook, {"outcome": "answered"})


@scene("hooking.carry")
def _(stage: Stage) -> Any:
    return lambda: hooking.carry(NOW, stage.applied.sequence, HOOKED["http_hooks"], KEYS)


@scene("authoring.apply", "one with hooks")
def _(stage: Stage) -> Any:
    return lambda: authoring.apply(NOW, GLOBAL, HOOKED, keyring=KEYS)


# Stopping


@scene("stopping.stop", "everything")
def _(stage: Stage) -> Any:
    return lambda: stopping.stop(NOW, GLOBAL, everything=True, reason="wrong price")


@scene("stopping.stop", "an adapter")
def _(stage: Stage) -> Any:
    return lambda: stopping.stop(NOW, GLOBAL, adapter="main")


@scene("stopping.go")
def _(stage: Stage) -> Any:
    stage.do(stopping.stop(NOW, GLOBAL, sequence="onboarding"))
    return lambda: stopping.go(NOW, GLOBAL, sequence="onboarding")


@reading("stopping.list_")
def _(stage: Stage) -> Any:
    return lambda: stopping.list_(NOW, GLOBAL)


# Suppressing


@scene("suppressing.suppress")
def _(stage: Stage) -> Any:
    return lambda: suppressing.suppress(NOW, GLOBAL, "email", "ann@example.org", "manual")


@scene("suppressing.import_")
def _(stage: Stage) -> Any:
    rows = [{"channel": "email", "recipient": f"person-{each}@example.org"} for each in range(3)]
    return lambda: suppressing.import_(NOW, GLOBAL, rows)


@scene("suppressing.lift")
def _(stage: Stage) -> Any:
    stage.do(suppressing.suppress(NOW, GLOBAL, "email", "ann@example.org", "manual"))
    return lambda: suppressing.lift(NOW, GLOBAL, "email", "ann@example.org")


@reading("suppressing.check")
def _(stage: Stage) -> Any:
    return lambda: suppressing.check(NOW, GLOBAL, "email", "ann@example.org")


@reading("suppressing.list_")
def _(stage: Stage) -> Any:
    return lambda: suppressing.list_(NOW, GLOBAL)


@reading("suppressing.export")
def _(stage: Stage) -> Any:
    return lambda: suppressing.export(NOW, GLOBAL)


# Explaining and reporting


@reading("explaining.explain", "an enrollment")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: explaining.explain(NOW, GLOBAL, enrollment=enrollment)


@reading("explaining.explain", "an execution")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    return lambda: explaining.explain(DUE, GLOBAL, execution=execution)


@reading("reporting.enrollment")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: reporting.enrollment(NOW, GLOBAL, enrollment.id)


@reading("reporting.enrollments")
def _(stage: Stage) -> Any:
    stage.enroll()
    return lambda: reporting.enrollments(NOW, GLOBAL, sequence="onboarding")


@reading("reporting.execution")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    return lambda: reporting.execution(DUE, GLOBAL, execution)


@reading("reporting.executions")
def _(stage: Stage) -> Any:
    stage.closed(Accepted("m"))
    return lambda: reporting.executions(DUE, GLOBAL)


@reading("reporting.events")
def _(stage: Stage) -> Any:
    return lambda: reporting.events(NOW, GLOBAL)


@reading("reporting.message_events")
def _(stage: Stage) -> Any:
    return lambda: reporting.message_events(NOW, GLOBAL)


@reading("reporting.journal")
def _(stage: Stage) -> Any:
    enrollment = stage.enroll()
    return lambda: reporting.journal(NOW, GLOBAL, enrollment=enrollment)


@reading("reporting.sequences")
def _(stage: Stage) -> Any:
    return lambda: reporting.sequences(NOW, GLOBAL)


@reading("reporting.status")
def _(stage: Stage) -> Any:
    stage.enroll()
    return lambda: reporting.status(NOW, GLOBAL)


# Short links


def _fresh(*names: str) -> list[Fresh]:
    return [
        Fresh(
            f"key-{each}", f"https://a.example/{each}", f"https://a.example/{each}", f"https://s.example/l/{each}", each
        )
        for each in names
    ]


@scene("linking.keep")
def _(stage: Stage) -> Any:
    return lambda: linking.keep(NOW, GLOBAL, None, "builtin", _fresh("codecode1", "codecode2"))


@scene("linking.keep", "one that another worker has made, and one whose code is taken")
def _(stage: Stage) -> Any:
    stage.do(linking.keep(NOW, GLOBAL, None, "builtin", _fresh("codecode1", "codecode2")))
    fresh = [*_fresh("codecode1", "codecode3"), replace(_fresh("codecode2")[0], key="another")]
    return lambda: linking.keep(NOW, GLOBAL, None, "builtin", fresh)


@scene("linking.follow", "a click")
def _(stage: Stage) -> Any:
    _, (claim,) = stage.sending(1)
    stage.do(linking.keep(NOW, GLOBAL, claim.id, "builtin", _fresh("codecode1")))
    return lambda: linking.follow(DUE, "codecode1", agent="browser", counted=True)


@reading("linking.find")
def _(stage: Stage) -> Any:
    stage.do(linking.keep(NOW, GLOBAL, None, "builtin", _fresh("codecode1")))
    return lambda: linking.find(NOW, GLOBAL, ["key-codecode1", "key-unknown"])


@reading("reporting.ready")
def _(stage: Stage) -> Any:
    return lambda: reporting.ready(NOW)
