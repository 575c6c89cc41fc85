"""The scenes of what comes back: requests, events, replies, calls owed to the host."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.operations.desk import NOW
from tests.operations.scenes import DUE, Stage, known, reading, scene

from dripdrop.operations import (
    authoring,
    calling,
    consequences,
    delivering,
    ingesting,
    keeping,
    matching,
    receiving,
    resolving,
    suppressing,
    unsubscribing,
)
from dripdrop.operations.consequences import Happened, Policy
from dripdrop.operations.matching import Opened
from dripdrop.rules import inbound, links, threads
from dripdrop.rules.feedback import Feedback, InboundMessage
from dripdrop.rules.heard import Heard, of_message
from dripdrop.rules.outcome import Accepted, Unknown
from dripdrop.store import feedback, inbox
from dripdrop.store.scope import GLOBAL

LATER = DUE + timedelta(minutes=5)
TELLS = Policy(tells_replies=True)


def stored(stage: Stage) -> UUID:
    made = stage.do(receiving.accept(DUE, stage.adapter, {"content-type": "application/json"}, b"[]"))
    assert made is not None
    return made


def heard(execution: UUID, status: Any = "bounced", **more: Any) -> Heard:
    told = Feedback(status, "person-1@example.org", severity="permanent")
    return Heard(f"event:{status}", told, threads.of_delivery(str(execution), None), waits=True, **more)


def replied(execution: UUID) -> Heard:
    message = InboundMessage("person-1@example.org", "us@example.com", DUE, "reply-1@example.org", text="Gladly")
    return heard(execution, "replied", message=message, read=inbound.Read("reply"))


def happened(stage: Stage, one: Heard, execution: UUID) -> Happened:
    sought = feedback.Sought(0, stage.adapter.id, "", threads.of_delivery(str(execution), None))
    about = stage.do(feedback.correlate([sought]))[0]
    return Happened(one, LATER, "", "email", "postbox", stage.adapter.id, about)


def owed(stage: Stage) -> UUID:
    stage.do(inbox.owe(DUE, [("", consequences.ON_REPLY, {"text": "Gladly"})]))
    (call,) = stage.do(calling.claim(LATER, [consequences.ON_REPLY]))
    return call.id


@scene("receiving.accept")
def _(stage: Stage) -> Any:
    return lambda: receiving.accept(DUE, stage.adapter, {}, b"[]", once=["token"])


@scene("receiving.replay")
def _(stage: Stage) -> Any:
    request = stored(stage)
    stage.do(matching.claim(DUE))
    return lambda: receiving.replay(LATER, GLOBAL, request)


@reading("receiving.destination")
def _(stage: Stage) -> Any:
    return lambda: receiving.destination(NOW, GLOBAL, stage.adapter.id)


@reading("receiving.list_")
def _(stage: Stage) -> Any:
    stored(stage)
    return lambda: receiving.list_(NOW, GLOBAL)


@reading("receiving.get")
def _(stage: Stage) -> Any:
    request = stored(stage)
    return lambda: receiving.get(NOW, GLOBAL, request)


@reading("receiving.routes")
def _(stage: Stage) -> Any:
    return lambda: receiving.routes(NOW, GLOBAL, known=known)


@scene("matching.claim")
def _(stage: Stage) -> Any:
    stored(stage)
    return lambda: matching.claim(LATER)


@scene("matching.take_in", "a bounce that ends an enrollment")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    stored(stage)
    (taken,) = stage.do(matching.claim(LATER))
    return lambda: matching.take_in(LATER, [Opened(taken, [heard(execution)])], Policy())


@scene("matching.take_in", "a doubt, a wish and its end")
def _(stage: Stage) -> Any:
    execution = stage.closed(Unknown())
    stored(stage)
    (taken,) = stage.do(matching.claim(LATER))
    events = [heard(execution, "delivered"), heard(execution, "unsubscribed"), heard(execution, "resubscribed")]
    return lambda: matching.take_in(LATER, [Opened(taken, events)], Policy())


@scene("matching.take_in", "a STOP that quotes nothing, while its message is on the wire")
def _(stage: Stage) -> Any:
    sms = {"channel": "sms", "body": "Hello"}
    stage.do(authoring.apply(NOW, GLOBAL, {"sequence": "onboarding", "name": "Onboarding", "steps": {"hello": sms}}))
    stage.enroll(1)
    worker = stage.worker()
    (judged,) = stage.claim(worker)
    stage.do(delivering.open(DUE, worker, [replace(stage.opening(judged.claim), recipient="+14155550123")]))
    stored(stage)
    (taken,) = stage.do(matching.claim(LATER))
    message = InboundMessage("+14155550123", "+14155550100", text="STOP", provider_message_id="SM1")
    texts = list(of_message(message, channel="sms", provider="twilio", received=LATER))
    return lambda: matching.take_in(LATER, [Opened(replace(taken, channel="sms"), texts)], TELLS)


@scene("matching.apply")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    stored(stage)
    (taken,) = stage.do(matching.claim(LATER))
    return lambda: matching.apply(LATER, [Opened(taken, [heard(execution, "complained")])], Policy())


@scene("matching.settle")
def _(stage: Stage) -> Any:
    execution = stage.closed(Unknown())
    stage.do(feedback.prove([(execution, "delivered", "m", LATER)]))
    return lambda: matching.settle(LATER)


@scene("resolving.confirm")
def _(stage: Stage) -> Any:
    execution = stage.closed(Unknown())
    return lambda: resolving.confirm(LATER, [resolving.Proof("", execution, "m")])


@scene("consequences.carry_out", "a reply that the host is told of")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    event = happened(stage, replied(execution), execution)
    return lambda: consequences.carry_out(LATER, [event], TELLS)


@scene("ingesting.ingest_inbound_message")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    message = {
        "from": "person-1@example.org", "to": "us@example.com", "received_at": LATER, "message_id": "<r@example.org>",
        "in_reply_to": f"<{execution}.0@example.com>", "body_text": "Please unsubscribe",
    }  # fmt: skip
    return lambda: ingesting.ingest_inbound_message(LATER, GLOBAL, "main", message)


@scene("ingesting.ingest_raw_email", "somebody who is away")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    raw = (
        f"From: person-1@example.org\r\nTo: us@example.com\r\nSubject: Automatic reply\r\n"
        f"Message-ID: <away@example.org>\r\nIn-Reply-To: <{execution}.0@example.com>\r\n"
        "Auto-Submitted: auto-replied\r\n\r\nI am out of the office and back on 2030-03-14.\r\n"
    ).encode()
    return lambda: ingesting.ingest_raw_email(LATER, GLOBAL, "main", raw)


@scene("calling.claim")
def _(stage: Stage) -> Any:
    stage.do(inbox.owe(DUE, [("", consequences.ON_REPLY, {"text": "Gladly"})]))
    return lambda: calling.claim(LATER, [consequences.ON_REPLY])


@scene("calling.done")
def _(stage: Stage) -> Any:
    call = owed(stage)
    return lambda: calling.done(LATER, [call])


@scene("calling.failed")
def _(stage: Stage) -> Any:
    call = owed(stage)
    return lambda: calling.failed(LATER, call, "ValueError")


@reading("suppressing.history")
def _(stage: Stage) -> Any:
    stage.do(suppressing.suppress(NOW, GLOBAL, "email", "ann@example.org", "manual"))
    return lambda: suppressing.history(NOW, GLOBAL, "email", "ann@example.org")


# Unsubscribing


@scene("unsubscribing.unsubscribe", "by the link of a message")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    token = links.Unsubscribe("", "email", "person-1@example.org", execution=str(execution))
    return lambda: unsubscribing.unsubscribe(DUE, token)


@scene("unsubscribing.unsubscribe", "by a link to a sequence")
def _(stage: Stage) -> Any:
    stage.enroll()
    token = links.Unsubscribe("", "email", "person-1@example.org", "onboarding", topic="news")
    return lambda: unsubscribing.unsubscribe(DUE, token)


@reading("unsubscribing.named")
def _(stage: Stage) -> Any:
    execution = stage.closed(Accepted("m"))
    return lambda: unsubscribing.named(DUE, GLOBAL, execution)


@scene("keeping.prune")
def _(stage: Stage) -> Any:
    stage.do(suppressing.suppress(NOW, GLOBAL, "email", "ann@example.org", "manual"))
    stage.do(suppressing.lift(NOW, GLOBAL, "email", "ann@example.org"))
    return lambda: keeping.prune(DUE + timedelta(days=31), keep=timedelta(days=30))
