"""What is one execution's way from its claim to its close?"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dripdrop.contracts import TokenError
from dripdrop.engine import asking
from dripdrop.engine.collectors import Guilty
from dripdrop.engine.runtime import recipient_of
from dripdrop.errors import Invalid, MissingExtra
from dripdrop.operations.delivering import Closed, Closing, Opened, Opening, Refused
from dripdrop.operations.dispatching import Judged
from dripdrop.rules import gates, retry, variation
from dripdrop.rules.claim import Claim
from dripdrop.rules.endings import Defer, Ending, Requeue, Setting
from dripdrop.rules.following import Came, Decided, HandBack, TimedOut
from dripdrop.rules.message import Delivery, EnrollmentRef, Message, digest
from dripdrop.rules.outcome import (
    Accepted,
    Askable,
    CannotTell,
    Found,
    Idempotent,
    Neither,
    OnDoubt,
    Outcome,
    Rejected,
    Unknown,
)
from dripdrop.store.adapters import Adapter

if TYPE_CHECKING:
    from dripdrop.config import Config
    from dripdrop.engine.batch import Batch
    from dripdrop.engine.dispatcher import Dispatcher

_LOG = logging.getLogger("dripdrop.engine")


class Item:
    """One execution's way; each of its two counters is stepped once whatever happens."""

    __slots__ = (
        "_past_close", "_past_open", "adapter", "batch", "claim", "config", "fallback", "judged", "owner", "runtime",
    )  # fmt: skip

    def __init__(self, owner: Dispatcher, judged: Judged, batch: Batch) -> None:
        self.batch = batch
        self.config: Config = batch.config
        self.owner = owner
        self.runtime = owner.runtime
        self.judged = judged
        self.claim: Claim = judged.claim
        self.adapter: Adapter | None = judged.adapter
        self.fallback: str | None = None
        self._past_open = self._past_close = False

    def past_open(self) -> None:
        if not self._past_open:
            self._past_open = True
            self.owner.opened_or_not()

    def past_close(self) -> None:
        if not self._past_close:
            self._past_close = True
            self.owner.closed_or_not()

    async def go(self) -> None:
        """Put off, skip, ask, settle or send."""
        claim = self.claim
        if claim.state == "sending":
            await self.close(Unknown({"reason": "worker_died"}))
        elif self.judged.rescued or claim.state not in ("claiming", "unknown", "waiting"):
            # Nothing of it was on the wire: it is free again.
            await self.close(HandBack())
        elif claim.state == "unknown":
            await self._ask()
        elif not isinstance(self.judged.judgement, gates.Pass):
            await self.close(self.judged.judgement)
        elif claim.enrollment_state != "active" and claim.kind != "replay":
            await self.close(HandBack())
        elif claim.state == "waiting":
            await self.close(TimedOut())
        elif claim.kind == "advance":
            await asking.choose(self)
        elif await asking.informed(self):
            await self._deliver()

    async def _deliver(self) -> None:
        adapter, claim = self.adapter, self.claim
        if adapter is None:
            await self.close(Rejected("temporary", "adapter", detail={"reason": "no_adapter"}))
            return
        outfit = self.batch.outfit(adapter, claim.now)
        if outfit.config is None:
            await self.close(Rejected("temporary", "adapter", detail={"reason": outfit.trouble}))
            return
        # A copy: what one call does to it must not reach the next.
        provider, config, doubt = outfit.provider, {**outfit.config}, outfit.doubt
        made = await self._made(adapter)
        ready = await self._equipped(adapter, config)
        if not claim.in_doubt:
            for refused in (made, ready):
                if isinstance(refused, Rejected):
                    await self.close(refused)
                    return
        message = None if isinstance(made, Rejected) else made
        mark = digest(message) if message is not None else b""
        if why := self._unrepeatable(mark, doubt) or ("no_token" if isinstance(ready, Rejected) else None):
            # It is noted as a doubt, and does not go out.
            if await self._open(adapter, message, mark):
                await self.close(Unknown({"reason": why}), doubt)
            return
        assert message is not None
        if isinstance(doubt, Neither):
            async with self.owner.connections(adapter):
                outcome = await self._open_and_send(provider, adapter, message, mark, ready)
        else:
            outcome = await self._open_and_send(provider, adapter, message, mark, ready)
        if outcome is not None:
            await self.close(self._noted(outcome), doubt)

    async def _made(self, adapter: Adapter) -> Message | Rejected:
        """The message as it goes out; or why there is none."""
        runtime, claim = self.runtime, self.claim
        try:
            message = runtime.render(claim, adapter, self.config)
            if not self.batch.shortens(claim):
                return message
            made = await runtime.shortened(claim, message, self.config)
        except Invalid as error:
            return Rejected("permanent", "message", detail={"reason": error.code})
        except MissingExtra as error:
            # Another worker may have it, or this one after its next start.
            return Rejected("temporary", "adapter", detail={"reason": error.code})
        if isinstance(made, Rejected):
            return made
        self.fallback = made.fallback
        return made.message

    def _noted(self, outcome: Outcome) -> Outcome:
        """With the outcome is kept that links went out as they were."""
        if self.fallback is None:
            return outcome
        told = {"short_links_fallback": self.fallback}
        if isinstance(outcome, Accepted):
            return replace(outcome, meta={**outcome.meta, **told})
        return replace(outcome, detail={**outcome.detail, **told})

    async def _equipped(self, adapter: Adapter, config: Mapping[str, Any]) -> Mapping[str, Any] | Rejected:
        """The config with its token, where the adapter names a source of one; or why there is none."""
        if "token_source" not in config:
            return config
        try:
            return await self.runtime.with_token(adapter, config)
        except TokenError as error:
            return Rejected(error.kind, "adapter", detail={"reason": "token", "why": error.reason})

    def _unrepeatable(self, mark: bytes, doubt: OnDoubt) -> str | None:
        """Why a message that may have arrived must not be sent again, if it must not."""
        claim, recipe = self.claim, self.claim.recipe
        if not claim.in_doubt or recipe is None:
            return None
        if recipe.digest != mark:
            return retry.CONTENT_CHANGED
        wanted = recipe.asked_for or claim.step.on_unknown == "resend"
        if isinstance(doubt, Idempotent) and not wanted and not retry.remembers(doubt, recipe.key_at, claim.now):
            return "key_forgotten"
        return None

    async def _open_and_send(self, provider: Any, adapter: Adapter, message: Message, mark: bytes, config: Any) -> Any:
        """Nothing waits between open and wire; None where it may not go."""
        lease, turn = self.owner.lease, self.owner.lease.turn
        if not lease.holds(turn):
            await self.close(HandBack())
            return None
        if not await self._open(adapter, message, mark):
            return None
        if not lease.holds(turn):
            # Another may have taken it over, and then this is stale; else it is known that nothing went out.
            return Rejected("temporary", "adapter", detail={"reason": "lease_lost"})
        return await self.runtime.send(
            provider,
            adapter,
            self._delivery(adapter, message),
            config,
            timeout=self.config.adapter_timeout_seconds,
            guard=lambda: lease.holds(turn),
        )

    async def _open(self, adapter: Adapter, message: Message | None, mark: bytes) -> bool:
        claim = self.claim
        recipe = claim.recipe if claim.in_doubt else None
        opening = Opening(
            claim.id,
            claim.token,
            adapter.id,
            recipient_of(message, claim) if message is not None else claim.subscriber_id,
            claim.version.id,
            recipe.data_revision if recipe else claim.data_revision,
            mark,
            recipe.business_at if recipe else claim.now,
            claim.said or None,
        )
        future = self.owner.opens.put(opening)
        self.past_open()
        try:
            result = await future
        except Guilty:
            await self.close(Rejected("permanent", "message", detail={"reason": "unstorable"}))
            return False
        if isinstance(result, Opened):
            claim.token, claim.attempt, claim.state = result.token, result.attempt, "sending"
            return True
        if isinstance(result, Refused):
            await self.close(HandBack())
        return False

    def _delivery(self, adapter: Adapter, message: Message) -> Delivery:
        claim = self.claim
        return Delivery(
            claim.id,
            claim.key,
            message,
            recipient_of(message, claim),
            self.batch.step(claim),
            EnrollmentRef(
                claim.enrollment_id,
                claim.version.sequence_key,
                claim.subscriber_type,
                claim.subscriber_id,
                claim.visit,
            ),
            self.batch.outfit(adapter, claim.now).ref,
            claim.tenant,
        )

    async def _ask(self) -> None:
        """A provider that can be asked is asked; one that cannot any more leaves the doubt to a person."""
        adapter, claim = self.adapter, self.claim
        doubt = self.runtime.on_doubt(adapter)
        if adapter is None or not isinstance(doubt, Askable) or claim.recipe is None:
            await self.close(Decided(retry.Hold("cannot_be_asked"), reason="cannot_be_asked"))
            return
        message = await self._made(adapter)
        if isinstance(message, Rejected):
            await self.close(Decided(retry.Hold("content_changed"), reason="content_changed"))
            return
        found = await self._found(adapter, message)
        verdict = retry.after_asking(
            found,
            on_doubt=doubt,
            on_unknown=claim.step.on_unknown,
            attempt=claim.attempt,
            refusals=claim.refusals,
            max_retries=retry.DEFAULT_RETRIES if claim.step.retries is None else claim.step.retries,
            doubted_at=claim.recipe.started_at,
            now=claim.now,
            seed=claim.id.hex,
        )
        key = found.provider_message_id if isinstance(found, Accepted) else None
        await self.close(Decided(verdict, reason="asked", provider_message_id=key), doubt)

    async def _found(self, adapter: Adapter, message: Message) -> Found:
        ready = await self._equipped(adapter, self.runtime.call_config(adapter, self.claim.now))
        if isinstance(ready, Rejected):
            return CannotTell(ready.detail)
        provider, delivery = self.runtime.provider(adapter), self._delivery(adapter, message)
        return await self.runtime.speaker.find(provider, delivery, ready, timeout=self.config.adapter_timeout_seconds)

    async def give_up(self, error: Exception) -> None:
        """Something broke that nobody foresaw: it is tried again a limited number of times, or a person is asked."""
        told = {"reason": "internal_error", "exception": type(error).__name__}
        came: Came = Rejected("temporary", "message", detail=told)
        if self.claim.state == "sending":
            came = Unknown(told)
        elif self.claim.state == "unknown":
            came = Decided(retry.Hold("internal_error"), reason="internal_error")
        try:
            await self.close(came)
        except Exception:
            _LOG.exception("execution %s was left to the rescuer", self.claim.id)

    async def close(self, came: Came, doubt: OnDoubt | None = None) -> None:
        """Hand in what came of it; the outcome and what follows are written together."""
        self.past_open()
        owner, claim = self.owner, self.claim
        setting = self.batch.setting(self.adapter)
        if doubt is not None and doubt is not setting.on_doubt:
            setting = Setting(self.config.default_timezone, doubt)
        recipients = self.judged.recipients
        closing = Closing(claim, came, setting, recipients[0] if recipients else None)
        future = owner.closes.put(closing)
        self.past_close()
        try:
            result = await future
        except Guilty as guilty:
            _LOG.error("what came of execution %s cannot be stored: %s", claim.id, guilty.__cause__)
            closing.response = {"reason": "unstorable"}
            result = await owner.closes.put(closing)
        if isinstance(result, Closed):
            name = _counted(result)
            owner.counts[name] += 1
            self._tell(name, came)

    def _tell(self, name: str, came: Came) -> None:
        telemetry = self.runtime.telemetry
        event = _EVENTS.get(name)
        if event is None or not telemetry.wants(event):
            return
        claim = self.claim
        telemetry.emit(
            event,
            metadata={
                "step_execution_id": str(claim.id),
                "enrollment_id": str(claim.enrollment_id),
                "sequence_key": claim.version.sequence_key,
                "step_key": claim.step.key,
                "channel": claim.step.channel,
                "tenant_key": claim.tenant or None,
                **_variation(claim),
            },
        )


def _variation(claim: Claim) -> dict[str, str | None]:
    """In which language and variant it was said, where there is a choice."""
    if not variation.varies(claim.step):
        return {}
    said = variation.chosen(claim.step, claim.data, claim.enrollment_id)
    return {"locale": said.locale, "variant": said.variant}


_EVENTS = {
    "sent": "dispatch.sent",
    "skipped": "dispatch.skipped",
    "deferred": "dispatch.deferred",
    "failed": "dispatch.failed",
    "retried": "dispatch.retried",
    "unknown": "dispatch.unknown",
}


def _counted(result: Closed) -> str:
    match result.following:
        case Ending(state=state):
            return state
        case Requeue(event=event):
            return {"retry": "retried"}.get(event, event)
        case Defer():
            return "deferred"
        case _:
            return "handed_back"
