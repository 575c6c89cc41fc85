"""What is one execution's way from its claim to its close?"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dripdrop.contracts import TokenError
from dripdrop.engine import asking, telling
from dripdrop.engine.collectors import Guilty
from dripdrop.engine.runtime import recipient_of
from dripdrop.errors import Invalid, MissingExtra
from dripdrop.operations.delivering import Closed, CloseResult, Closing, Opened, Opening, Refused
from dripdrop.operations.dispatching import Judged
from dripdrop.rules import gates, retry
from dripdrop.rules.claim import Claim
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
    from dripdrop.engine.batch import Batch, Way
    from dripdrop.engine.dispatcher import Dispatcher

_LOG = logging.getLogger("dripdrop.engine")


class Item:
    """One execution's way, with others or alone; alone, each of its two counters is stepped once whatever happens."""

    __slots__ = (
        "_past_close", "_past_open", "_way", "adapter", "batch", "claim", "config", "fallback", "goes_alone", "judged",
        "owner", "runtime",
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
        self._way: Way | None = None
        # Whether a task of its own carries it, whatever becomes of its batch.
        self.goes_alone = False
        self._past_open = self._past_close = True

    @property
    def way(self) -> Way:
        """How its message leaves."""
        if self._way is None:
            self._way = self.batch.way(self.claim, self.adapter)
        return self._way

    def go_alone(self, *, opened: bool = False) -> None:
        """From here on others may wait for it to open, unless that is done, and to close."""
        self.goes_alone, self._past_open, self._past_close = True, opened, False

    def past_open(self) -> None:
        if not self._past_open:
            self._past_open = True
            self.owner.opened_or_not()

    def past_close(self) -> None:
        if not self._past_close:
            self._past_close = True
            self.owner.closed_or_not()

    def at_once(self) -> Came | None:
        """What is known of it without asking anybody: it is settled, put off, skipped or free again."""
        claim = self.claim
        if claim.state == "sending":
            return Unknown({"reason": "worker_died"})
        if self.judged.rescued or claim.state not in ("claiming", "unknown", "waiting"):
            # Nothing of it was on the wire: it is free again.
            return HandBack()
        if claim.state == "unknown":
            return None
        if not isinstance(judgement := self.judged.judgement, gates.Pass):
            return judgement
        if claim.enrollment_state != "active" and claim.kind != "replay":
            return HandBack()
        return TimedOut() if claim.state == "waiting" else None

    @property
    def alone(self) -> bool:
        """Whether somebody is asked or waited for before its message may leave; others go together."""
        claim = self.claim
        return claim.state != "claiming" or claim.kind == "advance" or claim.recipe is not None or not self.way.direct

    async def go(self) -> None:
        """Put off, skip, ask, settle or send."""
        claim = self.claim
        if (came := self.at_once()) is not None:
            await self.close(came)
        elif claim.state == "unknown":
            await self._ask()
        elif claim.kind == "advance":
            await asking.choose(self)
        elif await asking.informed(self):
            await self._deliver()

    async def _deliver(self) -> None:
        adapter, claim, way = self.adapter, self.claim, self.way
        if adapter is None or way.config is None or way.trouble is not None:
            await self.close(Rejected("temporary", "adapter", detail={"reason": way.trouble or "no_adapter"}))
            return
        made = await self._made(adapter)
        # A copy: what one call does to it must not reach the next.
        ready = await self._equipped(adapter, {**way.config})
        if not claim.in_doubt:
            for refused in (made, ready):
                if isinstance(refused, Rejected):
                    await self.close(refused)
                    return
        message = None if isinstance(made, Rejected) else made
        mark = digest(message) if message is not None else b""
        if why := self._unrepeatable(mark, way.doubt) or ("no_token" if isinstance(ready, Rejected) else None):
            # It is noted as a doubt, and does not go out.
            if await self._open(adapter, message, mark):
                await self.close(Unknown({"reason": why}))
            return
        assert message is not None
        if isinstance(way.doubt, Neither):
            async with self.owner.connections(adapter):
                outcome = await self._open_and_send(way.provider, adapter, message, mark, ready)
        else:
            outcome = await self._open_and_send(way.provider, adapter, message, mark, ready)
        if outcome is not None:
            await self.close(self._noted(outcome))

    async def _made(self, adapter: Adapter) -> Message | Rejected:
        """The message as it goes out; or why there is none."""
        message = self.rendered(adapter)
        if isinstance(message, Rejected) or not self.way.shortens:
            return message
        try:
            made = await self.runtime.shortened(self.claim, message, self.config)
        except Invalid as error:
            return Rejected("permanent", "message", detail={"reason": error.code})
        if isinstance(made, Rejected):
            return made
        self.fallback = made.fallback
        return made.message

    def rendered(self, adapter: Adapter) -> Message | Rejected:
        """The message as its step says it, with the links as they are written; or why there is none."""
        try:
            return self.runtime.render(self.claim, adapter, self.config)
        except Invalid as error:
            return Rejected("permanent", "message", detail={"reason": error.code})
        except MissingExtra as error:
            # Another worker may have it, or this one after its next start.
            return Rejected("temporary", "adapter", detail={"reason": error.code})

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
            return lease_lost()
        return await self.runtime.send(
            provider,
            adapter,
            self._delivery(adapter, message),
            config,
            timeout=self.config.adapter_timeout_seconds,
            guard=lambda: lease.holds(turn),
        )

    def opening(self, adapter: Adapter, message: Message | None, mark: bytes) -> Opening:
        """The attempt as it is written down before the wire."""
        claim = self.claim
        recipe = claim.recipe if claim.in_doubt else None
        return Opening(
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

    def opened(self, result: Opened) -> None:
        """The attempt is on record."""
        claim = self.claim
        claim.token, claim.attempt, claim.state = result.token, result.attempt, "sending"

    async def _open(self, adapter: Adapter, message: Message | None, mark: bytes) -> bool:
        future = self.owner.opens.put(self.opening(adapter, message, mark))
        self.past_open()
        try:
            result = await future
        except Guilty as guilty:
            await self.close(unstorable(self.claim, guilty))
            return False
        if isinstance(result, Opened):
            self.opened(result)
            return True
        if isinstance(result, Refused):
            await self.close(HandBack())
        return False

    def _delivery(self, adapter: Adapter, message: Message) -> Delivery:
        return self.delivery(adapter, message, recipient_of(message, self.claim))

    def delivery(self, adapter: Adapter, message: Message, recipient: str) -> Delivery:
        """What the provider is given."""
        claim = self.claim
        return Delivery(
            claim.id,
            claim.key,
            message,
            recipient,
            self.way.step,
            EnrollmentRef(
                claim.enrollment_id,
                claim.version.sequence_key,
                claim.subscriber_type,
                claim.subscriber_id,
                claim.visit,
            ),
            self.way.ref or adapter.ref,
            claim.tenant,
        )

    async def _ask(self) -> None:
        """A provider that can be asked is asked; one that cannot any more leaves the doubt to a person."""
        adapter, claim = self.adapter, self.claim
        doubt = self.way.doubt
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
        await self.close(Decided(verdict, reason="asked", provider_message_id=key))

    async def _found(self, adapter: Adapter, message: Message) -> Found:
        ready = await self._equipped(adapter, self.runtime.call_config(adapter, self.claim.now))
        if isinstance(ready, Rejected):
            return CannotTell(ready.detail)
        provider, delivery = self.runtime.provider(adapter), self._delivery(adapter, message)
        return await self.runtime.speaker.find(provider, delivery, ready, timeout=self.config.adapter_timeout_seconds)

    def gave_up(self, error: Exception) -> Came:
        """Something broke that nobody foresaw: it is tried again a limited number of times, or a person is asked."""
        told = {"reason": "internal_error", "exception": type(error).__name__}
        if self.claim.state == "sending":
            return Unknown(told)
        if self.claim.state == "unknown":
            return Decided(retry.Hold("internal_error"), reason="internal_error")
        return Rejected("temporary", "message", detail=told)

    async def hand_in(self, came: Came) -> None:
        """Close it, whatever happens: what cannot be closed is left to the rescuer."""
        try:
            await self.close(came)
        except Exception:
            _LOG.exception("execution %s was left to the rescuer", self.claim.id)

    def closing(self, came: Came) -> Closing:
        """What came of it, as it is handed in."""
        recipients = self.judged.recipients
        return Closing(self.claim, came, self.way.setting, recipients[0] if recipients else None)

    async def close(self, came: Came) -> None:
        """Hand in what came of it; the outcome and what follows are written together."""
        self.past_open()
        closing = self.closing(came)
        future = self.owner.closes.put(closing)
        self.past_close()
        try:
            result = await future
        except Guilty as guilty:
            result = await self.owner.closes.put(self.without_answer(closing, guilty))
        self.closed(result)

    def without_answer(self, closing: Closing, guilty: Guilty) -> Closing:
        """What the provider said cannot be stored: that it said so is."""
        _LOG.error("what came of execution %s cannot be stored: %s", self.claim.id, guilty.__cause__)
        closing.response = {"reason": "unstorable"}
        return closing

    def closed(self, result: CloseResult) -> None:
        """It is written down, or somebody else has it."""
        if isinstance(result, Closed):
            name = telling.counted(result.following)
            self.owner.counts[name] += 1
            telling.tell(self.runtime.telemetry, name, self.claim)


def lease_lost() -> Rejected:
    """Another may have taken it over, and then this is stale; else it is known that nothing went out."""
    return Rejected("temporary", "adapter", detail={"reason": "lease_lost"})


def unstorable(claim: Claim, guilty: Guilty) -> Rejected:
    """The database refuses what this message is made of."""
    _LOG.error("an attempt of execution %s cannot be stored: %s", claim.id, guilty.__cause__)
    return Rejected("permanent", "message", detail={"reason": "unstorable"})
