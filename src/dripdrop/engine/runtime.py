"""What do the loops of one process share?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dripdrop import clock
from dripdrop.channels.deliver import REFUSED, Speaker, doubt
from dripdrop.channels.http import Sender
from dripdrop.channels.tokens import Tokens
from dripdrop.config import Config
from dripdrop.contracts import Scheduler, TokenError
from dripdrop.engine import linking
from dripdrop.errors import DripDropError
from dripdrop.hooks.asking import Hooks
from dripdrop.operations.dispatching import Policy
from dripdrop.plugins import Plugins
from dripdrop.rendering import render as rendering
from dripdrop.rules import links, windows
from dripdrop.rules.answers import Subject
from dripdrop.rules.claim import Claim
from dripdrop.rules.facts import NOTHING
from dripdrop.rules.message import Delivery, Email, Message
from dripdrop.rules.outcome import Neither, OnDoubt, Outcome, Rejected
from dripdrop.rules.recipients import ANSWERED_PLAINLY, MAX_LENGTH, normalize
from dripdrop.rules.windows import Window
from dripdrop.store import adapters
from dripdrop.store.adapters import Adapter
from dripdrop.store.database import AsyncDatabase
from dripdrop.telemetry import Telemetry
from dripdrop.vault import Vault

if TYPE_CHECKING:
    from dripdrop.rules.definition import Version

_LOG = logging.getLogger("dripdrop.engine")
MAX_VERSIONS = 1000
BUILT_IN_SCHEDULER = "postgres"


@dataclass(slots=True)
class Runtime:
    """Settings are a question, asked at each use; versions are immutable and kept."""

    database: AsyncDatabase
    config: Callable[[], Config]
    plugins: Plugins
    vault: Callable[[], Vault]
    speaker: Speaker
    telemetry: Telemetry
    hooks: Hooks
    tokens: Tokens
    resolve_template: rendering.Resolver | None = None
    sender: Sender | None = None
    versions: dict[UUID, Version] = field(default_factory=dict)
    _opened: dict[UUID, tuple[datetime | None, Mapping[str, Any]]] = field(default_factory=dict)

    async def close(self) -> None:
        """Close connections of every kind."""
        await self.speaker.aclose()
        if self.sender is not None:
            await self.sender.aclose()
        await self.database.close()

    def policy(self) -> Policy:
        """What the claim asks: addresses, windows, zone, allow-list, by the settings of this moment."""
        config = self.config()
        if len(self.versions) > MAX_VERSIONS:
            self.versions.clear()
        return Policy(
            addresses=self._addresses,
            window=_windows(config),
            default_zone=config.default_timezone,
            allows=config.allows if config.only_to is not None else None,
            versions=self.versions,
        )

    def scheduler(self) -> Scheduler | None:
        """The host's scheduler; None is the built-in one, which has no jobs."""
        name = self.config().scheduler
        return None if name == BUILT_IN_SCHEDULER else self.plugins.get("scheduler", name)

    def provider(self, adapter: Adapter) -> Any:
        """The provider of an adapter; raises NotFound naming the known ones."""
        return self.plugins.get("provider", adapter.provider, adapter.channel)

    def on_doubt(self, adapter: Adapter | None) -> OnDoubt:
        """What can be done about a doubt; without adapter or provider, nothing."""
        if adapter is None:
            return Neither()
        try:
            return doubt(self.provider(adapter))
        except DripDropError:
            return Neither()

    def call_config(self, adapter: Adapter, now: datetime, public_url: str | None = None) -> Mapping[str, Any]:
        """What a provider is handed: the adapter's config, its opened credentials, the time, and where it may call."""
        known = self._opened.get(adapter.id)
        if known is None or known[0] != adapter.updated_at:
            known = (adapter.updated_at, {**adapter.config, **adapters.credentials(adapter, self.vault())})
            self._opened[adapter.id] = known
        if not public_url:
            return {**known[1], "now": now}
        place = f"{public_url.rstrip('/')}/webhooks/{adapter.provider}/{adapter.id}"
        return {"webhook_url": place, **known[1], "now": now}

    async def with_token(
        self, adapter: Adapter, config: Mapping[str, Any], *, timeout: float | None = None
    ) -> Mapping[str, Any]:
        """The config with the token of the adapter's `token_source`, where it names one; raises `TokenError`."""
        if "token_source" not in config:
            return config
        seconds = self.config().adapter_timeout_seconds if timeout is None else timeout
        return {**config, "token": await self.tokens.token(adapter.ref, config, timeout=seconds)}

    async def with_another_token(
        self, adapter: Adapter, config: Mapping[str, Any], *, timeout: float
    ) -> Mapping[str, Any] | None:
        """The config after its token was refused: with one fetched anew; None where there is no other one in time."""
        if "token" not in config:
            return None
        self.tokens.evict(adapter.id, config["token"])
        if timeout <= 0:
            return None
        try:
            fresh = await self.with_token(adapter, config, timeout=timeout)
        except TokenError:
            return None
        return fresh if fresh["token"] != config["token"] else None

    async def send(
        self,
        provider: Any,
        adapter: Adapter,
        delivery: Delivery,
        config: Mapping[str, Any],
        *,
        timeout: float,
        guard: Callable[[], bool] | None = None,
    ) -> Outcome:
        """One call to the provider, or two: who refuses a token has sent nothing, and is asked once more with another.

        Both have the time of one, `timeout` seconds. Raises nothing but the caller's own cancellation.
        """
        ends = clock.monotonic() + timeout
        outcome = await self.speaker.send(provider, delivery, config, timeout=timeout, guard=guard)
        if "token" not in config or not _unauthorized(outcome):
            return outcome
        fresh = await self.with_another_token(adapter, config, timeout=ends - clock.monotonic())
        left = ends - clock.monotonic()
        if fresh is None or left <= 0:
            return outcome
        outcome = await self.speaker.send(provider, delivery, fresh, timeout=left, guard=guard)
        if _unauthorized(outcome):
            self.tokens.evict(adapter.id, fresh["token"])
        return outcome

    async def check(self, adapter: Adapter, now: datetime) -> str | None:
        """Would a send through this adapter be taken? Asked as a send is; None is well, a text says what is wrong."""
        seconds, provider = self.config().adapter_timeout_seconds, self.provider(adapter)
        try:
            config = await self.with_token(adapter, self.call_config(adapter, now, self.config().public_url))
        except TokenError as error:
            return f"It has no token: {error.reason}."
        wrong = await self.speaker.check(provider, config, timeout=seconds)
        if wrong is None or not wrong.startswith(REFUSED):
            return wrong
        fresh = await self.with_another_token(adapter, config, timeout=seconds)
        return wrong if fresh is None else await self.speaker.check(provider, fresh, timeout=seconds)

    def render(self, claim: Claim, adapter: Adapter, config: Config) -> Message:
        """The message of a claim: by the recipe while the provider may have it, else anew; raises Invalid."""
        recipe, said = claim.recipe if claim.in_doubt else None, claim.said
        return rendering.render(
            claim.step,
            claim.version,
            data=recipe.data if recipe else claim.data,
            system=_system(claim),
            now=recipe.business_at if recipe else claim.now,
            message_id=self.message_id(claim, adapter),
            default_from=adapter.config.get("from"),
            unsubscribe_url=self.unsubscribe_url(claim, config) if _may_say_where_to_leave(claim) else None,
            unsubscribe_mailto=config.unsubscribe_mailto,
            public_url=config.public_url,
            # With short links it is measured when it has them.
            sms_max_chars=None
            if claim.step.channel == "sms" and self.shortens(claim, config)
            else config.sms_max_chars,
            answers=said.get("hooks", NOTHING),
            event=said.get("event", NOTHING),
            resolve=self.resolve_template,
            missing=(lambda name: self.telemetry.emit("template.missing_variable", metadata={"variable": name}))
            if self.telemetry.wants("template.missing_variable")
            else None,
        )

    def subject(self, claim: Claim) -> Subject:
        """Whom the hooks of a claim are asked about."""
        version, system = claim.version, claim.system
        enrollment = {
            "id": str(claim.enrollment_id),
            "subscriber_type": claim.subscriber_type,
            "subscriber_id": claim.subscriber_id,
            "tenant_key": claim.tenant or None,
            "sequence_key": version.sequence_key,
            "visit": claim.visit,
            "data": claim.data,
        }
        variables = rendering.variables(
            claim.step, version, data=claim.data, system=system, now=claim.now, event=claim.event
        )
        return Subject(claim.id, claim.tenant, version, claim.step, enrollment, variables, claim.now)

    def shortens(self, claim: Claim, config: Config) -> bool:
        """Whether the links of this step are shortened."""
        return linking.wanted(claim.step, claim.version, config)

    async def shortened(self, claim: Claim, message: Message, config: Config) -> linking.Shortened | Rejected:
        """The message with short links where the step asks for them; the rejection of one that cannot get them."""
        subject = linking.Subject(
            claim.version,
            claim.step,
            claim.tenant,
            claim.now,
            claim.id,
            self.unsubscribe_url(claim, config),
            again=claim.in_doubt,
        )
        return await linking.shortened(self, subject, message, config)

    def message_id(self, claim: Claim, adapter: Adapter) -> str | None:
        """Derived from the execution, so that a message rendered again is the same message."""
        if claim.step.channel != "email":
            return None
        sender = str(adapter.config.get("from") or "")
        domain = sender.rpartition("@")[2].rstrip("> ") or "dripdrop.invalid"
        return f"{claim.name}.{claim.refusals}@{domain}"

    def unsubscribe_url(self, claim: Claim, config: Config) -> str | None:
        """Where this person says no more; None for transactional messages and without a public address."""
        if claim.version.transactional or not config.public_url or claim.step.config.get("unsubscribe") is False:
            return None
        found = self._addresses(claim)
        if not found:
            return None
        token = links.unsubscribe_token(
            config.secrets()[0],
            tenant_key=claim.tenant,
            channel=found[0][0],
            recipient=found[0][1],
            sequence=str(claim.sequence_id),
            execution=claim.name,
            topic=claim.version.config.get("topic"),
        )
        return f"{config.public_url.rstrip('/')}/u/{token}"

    def _addresses(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        try:
            return rendering.addresses(
                claim.step,
                claim.data,
                version=claim.version,
                system=_system(claim),
                now=claim.now,
                event=claim.event,
            )
        except Exception:
            # A person's data may be anything; it must not hold up a whole batch.
            # Rendering says the same in the right place, with a reason that is kept.
            return ()


def _system(claim: Claim) -> Mapping[str, Any]:
    """What templates may name of an execution, put together where they can."""
    return NOTHING if rendering.says_the_same(claim.step, claim.version) else claim.system


def _may_say_where_to_leave(claim: Claim) -> bool:
    """Whether the message can carry a link to unsubscribe: in a header, or where a template names it."""
    return claim.step.channel == "email" or not rendering.says_the_same(claim.step, claim.version)


def _windows(config: Config) -> Callable[[Claim], Window | None]:
    """The hours of a claim's step, or else of its channel, read once for each step of a batch."""
    known: dict[UUID, Window | None] = {}

    def window(claim: Claim) -> Window | None:
        step = claim.step
        if step.id not in known:
            own = [step.config[key] for key in ("window", "quiet_hours") if key in step.config]
            known[step.id] = windows.parse(own[0] if own else config.quiet_hours(step.channel))
        return known[step.id]

    return window


def _unauthorized(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.detail.get("status") == 401


def recipient_of(message: Message, claim: Claim) -> str:
    """Who gets it, as the attempt's row keeps it: spelt as whoever answers from there is looked for."""
    if isinstance(message, Email):
        return message.to[0].email
    found = str(getattr(message, "to", None) or getattr(message, "url", None) or claim.subscriber_id)
    channel = claim.step.channel
    return normalize(channel, found) if channel in ANSWERED_PLAINLY and len(found) <= MAX_LENGTH else found
