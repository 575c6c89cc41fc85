"""What does a message look like with its links shortened?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dripdrop.contracts import HttpRequest, HttpResponse, LinkRequest, ShortLink, ShortLinkFailed
from dripdrop.errors import DripDropError, Invalid
from dripdrop.operations import linking
from dripdrop.rendering.messages import measure, sms_limit
from dripdrop.rules import shortening
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.message import Message, Sms
from dripdrop.rules.outcome import Rejected
from dripdrop.rules.shortening import Link, Settings
from dripdrop.rules.urls import check_url
from dripdrop.shorteners.asking import ask, checked
from dripdrop.store.links import Fresh
from dripdrop.store.scope import Scope

if TYPE_CHECKING:
    from dripdrop.config import Config
    from dripdrop.engine.runtime import Runtime
    from dripdrop.plugins import Plugins

AT_ONCE = 8
CODES = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose message it is. `again`: the provider may have it, so it must become the very message that was sent."""

    version: Version
    step: Step
    tenant: str
    now: datetime
    execution: UUID | None = None
    unsubscribe_url: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Shortened:
    """The message as it goes out; `fallback` says why some of its links stayed as they were, where that is so."""

    message: Message
    fallback: str | None = None


def wanted(step: Step, version: Version, config: Config) -> bool:
    """Whether this step's links are shortened."""
    return shortening.wanted(step.config, (version.config, version.metadata), config.short_links)


def settings_of(subject: Subject, config: Config) -> Settings:
    """What holds for the step of this subject."""
    version, step = subject.version, subject.step
    return shortening.settings(
        step.config,
        (version.config, version.metadata),
        config.short_links,
        channel=step.channel,
        sequence_key=version.sequence_key,
        step_key=step.key,
        trusted=version.tenant_key == "",
    )


async def shortened(runtime: Runtime, subject: Subject, message: Message, config: Config) -> Shortened | Rejected:
    """The message with short links, each made once and found again ever after; or why it cannot go out like this.

    A temporary failure puts it off and spends no retry; a permanent one rejects the message. Raises `Invalid`
    (`sms_too_long`): a text is measured with its links shortened.
    """
    if not wanted(subject.step, subject.version, config):
        return Shortened(message)
    settings = settings_of(subject, config)
    places = shortening.places(message, images=settings.images)
    links = _links(places.urls(), subject, settings, config)
    if not links:
        return Shortened(_measured(message, subject, config))
    work = _Work(runtime, subject, settings, config)
    short = await work.known(links)
    failed: ShortLinkFailed | None = None
    missing = [link for link in links if link.key not in short]
    if missing and not subject.again:
        made, failed = await work.make(missing)
        short |= made
    if failed is not None and settings.on_error == "fail":
        told = {"reason": f"short_link_{failed.reason}"}
        if failed.kind == "permanent":
            return Rejected("permanent", "message", detail=told)
        return Rejected("temporary", "adapter", detail=told)
    if failed is not None:
        work.tell_fallback(failed)
    rewritten = places.rewritten({link.original: short[link.key] for link in links if link.key in short})
    return Shortened(_measured(rewritten, subject, config), failed.reason if failed is not None else None)


def previewed(plugins: Plugins, subject: Subject, message: Message, config: Config) -> Message:
    """The message as a preview shows it: nothing is called and nothing kept.

    A link whose short form only its shortener could tell is shown with its destination. Raises as `shortened` does.
    """
    if not wanted(subject.step, subject.version, config):
        return message
    settings = settings_of(subject, config)
    places = shortening.places(message, images=settings.images)
    by = {}
    for link in _links(places.urls(), subject, settings, config):
        try:
            shortener = plugins.get("shortener", settings.provider)
            options = {**settings.options, "now": subject.now, "public_url": config.public_url}
            shown = checked(shortener.preview_link(_request(link, subject, settings), options))
            by[link.original] = link.original if shown.skipped else str(shown.short_url)
        except (AttributeError, ShortLinkFailed, DripDropError):
            by[link.original] = link.destination
    return _measured(places.rewritten(by), subject, config)


class _Work:
    """One message's links, from question to answer."""

    def __init__(self, runtime: Runtime, subject: Subject, settings: Settings, config: Config) -> None:
        self.runtime = runtime
        self.subject = subject
        self.settings = settings
        self.config = config
        self.scope = Scope(subject.tenant)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def known(self, links: Sequence[Link]) -> dict[str, str]:
        keys = [link.key for link in links]
        return await self.runtime.database.run(lambda now: linking.find(now, self.scope, keys))

    async def make(self, links: Sequence[Link]) -> tuple[dict[str, str], ShortLinkFailed | None]:
        """What was made and kept, by key, and the gravest failure; a code that is taken is made anew."""
        kept: dict[str, str] = {}
        failures: list[ShortLinkFailed] = []
        wanting = list(links)
        for collisions in range(CODES):
            answers = await asyncio.gather(*(self._ask(link, collisions) for link in wanting))
            failures += [each for each in answers if isinstance(each, ShortLinkFailed)]
            made = [
                (link, each)
                for link, each in zip(wanting, answers, strict=True)
                if isinstance(each, ShortLink) and not each.skipped
            ]
            kept |= await self._keep([_fresh(*each) for each in made])
            wanting = [link for link, _ in made if link.key not in kept]
            if not wanting:
                break
        else:
            failures.append(ShortLinkFailed("temporary", "code_taken"))
        failures.sort(key=lambda each: each.kind)  # permanent before temporary
        return kept, failures[0] if failures else None

    def tell_fallback(self, failed: ShortLinkFailed) -> None:
        subject = self.subject
        self.runtime.telemetry.emit(
            "short_link.fallback",
            metadata={
                "step_execution_id": str(subject.execution) if subject.execution else None,
                "sequence_key": subject.version.sequence_key,
                "step_key": subject.step.key,
                "channel": subject.step.channel,
                "tenant_key": subject.tenant or None,
                "reason": failed.reason,
            },
        )

    async def _keep(self, fresh: Sequence[Fresh]) -> dict[str, str]:
        if not fresh:
            return {}
        execution, provider = self.subject.execution, self.settings.provider
        return await self.runtime.database.run(lambda now: linking.keep(now, self.scope, execution, provider, fresh))

    async def _ask(self, link: Link, collisions: int) -> ShortLink | ShortLinkFailed:
        async with self._room:
            try:
                shortener = self.runtime.plugins.get("shortener", self.settings.provider)
                request = _request(link, self.subject, self.settings, collisions)
                return await ask(shortener, request, self._options(), timeout=self._timeout())
            except ShortLinkFailed as failed:
                return failed
            except DripDropError as error:
                return ShortLinkFailed("temporary", error.code)  # it is not installed here: nothing is lost

    def _options(self) -> Mapping[str, Any]:
        return {
            **self.settings.options,
            "now": self.subject.now,
            "public_url": self.config.public_url,
            "send": self._send,
        }

    def _timeout(self) -> float:
        asked = self.settings.options.get("timeout")
        most = self.config.adapter_timeout_seconds
        return min(float(asked), most) if isinstance(asked, (int, float)) and asked > 0 else most

    async def _send(self, request: HttpRequest) -> HttpResponse:
        """The guarded sender, as a shortener is given it: what it raises says whether to try again."""
        sender = self.runtime.sender
        if sender is None:
            raise ShortLinkFailed("temporary", "no_sender")
        try:
            return await sender.send(request, timeout=self._timeout(), max_bytes=100_000)
        except Invalid as blocked:
            if blocked.code == "url_blocked":
                self.runtime.telemetry.emit("short_links.url_blocked", metadata={"endpoint": _origin(request.url)})
            raise ShortLinkFailed("permanent", blocked.code) from None
        except Exception as error:
            raise ShortLinkFailed("temporary", f"unreachable_{type(error).__name__}") from error


def _measured(message: Message, subject: Subject, config: Config) -> Message:
    if isinstance(message, Sms):
        measure(subject.step, message.body, sms_limit(subject.step, config.sms_max_chars))
    return message


def _links(urls: Sequence[str], subject: Subject, settings: Settings, config: Config) -> list[Link]:
    base = (config.public_url or "").rstrip("/")
    own = [each for each in (base and f"{base}/u/", base and f"{base}/l/", subject.unsubscribe_url) if each]
    execution = str(subject.execution) if subject.execution else None
    return shortening.links(urls, settings, execution=execution, tenant=subject.tenant, own=own)


def _request(link: Link, subject: Subject, settings: Settings, collisions: int = 0) -> LinkRequest:
    options = settings.options
    metadata = options.get("metadata")
    return LinkRequest(
        original_url=link.original,
        destination_url=link.destination,
        idempotency_key=link.key,
        tenant_key=subject.tenant,
        channel=subject.step.channel,
        sequence_key=subject.version.sequence_key,
        step_key=subject.step.key,
        domain=_text(options.get("domain")),
        key=_text(options.get("key")),
        prefix=_text(options.get("prefix")),
        metadata=metadata if isinstance(metadata, Mapping) else {},
        utm=settings.utm,
        collisions=collisions,
    )


def _fresh(link: Link, made: ShortLink) -> Fresh:
    return Fresh(link.key, link.original, link.destination, str(made.short_url), made.provider_id, made.response)


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


def _origin(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        return check_url(url).origin
    except Invalid:
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2][:200]
