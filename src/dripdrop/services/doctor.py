"""What is wrong, or not yet right, with this installation?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any

from dripdrop.config import Config
from dripdrop.errors import DripDropError, Finding, Invalid
from dripdrop.operations import authoring, keeping, provisioning, reporting
from dripdrop.plugins import Plugins
from dripdrop.rules.definition import Version
from dripdrop.store import adapters as opening
from dripdrop.store import catalogue
from dripdrop.store.adapters import Adapter
from dripdrop.store.database import Database
from dripdrop.store.flow import Flow
from dripdrop.store.scope import GLOBAL, Scope
from dripdrop.vault import Vault

# Provider -> what it imports, and the extra that brings it.
_PACKAGES = {"smtp": ("aiosmtplib", "smtp"), "redis": ("redis", "redis")}
# No more sequences than this are looked into: a doctor must answer while somebody waits.
_MOST_SEQUENCES = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database holds, as far as advice depends on it. `status` is that of `reporting.status`."""

    status: dict[str, Any]
    adapters: list[Adapter]
    versions: list[Version]
    ahead: timedelta


async def findings(
    config: Callable[[], Config], url: Callable[[], str], *, plugins: Plugins | None = None
) -> list[Finding]:
    """Every problem that can be seen from here: errors keep it from working, warnings will surprise somebody."""
    return await asyncio.to_thread(lambda: list(_examined(config, url, plugins)))


def unreadable(adapters: list[Adapter], config: Config) -> list[Finding]:
    """The adapters whose credentials the keys at hand do not open."""
    sealed = [each for each in adapters if each.credentials_sealed is not None]
    if not sealed:
        return []
    try:
        vault = Vault(config.encryption_keys())
    except DripDropError as trouble:
        return [_of("encryption_key", trouble)]
    found = []
    for each in sealed:
        try:
            opening.credentials(each, vault)
        except DripDropError as trouble:
            found.append(Finding(trouble.code, f"adapter {each.name}", trouble.message, trouble.cure))
    return found


def all_adapters(now: datetime, scope: Scope) -> Flow[list[Adapter]]:
    """The scope's adapters with their sealed credentials, which lists leave out."""
    listed = yield from provisioning.list_(now, scope, active=True)
    return (yield from opening.load([each.id for each in listed]))


def _examined(config: Callable[[], Config], url: Callable[[], str], plugins: Plugins | None) -> Iterator[Finding]:
    try:
        settings = config()
    except Invalid as trouble:
        yield from trouble.findings or [_of("settings", trouble)]
        return
    except DripDropError as trouble:
        yield _of("settings", trouble)
        return
    yield from _settings(settings)
    yield from _plugins(settings, plugins)
    try:
        there = url()
        schema = catalogue.check_database(there, settings.schema)
    except DripDropError as trouble:
        yield _of("database", trouble)
        return
    except Exception as trouble:  # a URL that cannot even be read
        line = (str(trouble).splitlines() or [""])[0].rstrip(".")
        yield Finding(
            "unavailable", "database", f"The database cannot be used: {line}.", "Check DRIPDROP_DATABASE_URL."
        )
        return
    yield from schema
    if not any(each.severity == "error" for each in schema):
        yield from _contents(settings, there, plugins)


def _settings(config: Config) -> Iterator[Finding]:
    try:
        config.encryption_keys()
    except DripDropError as trouble:
        yield _of("encryption_key", trouble)
    if not config.is_set("default_timezone"):
        yield _advice(
            "default_timezone",
            "default_timezone",
            "Nobody has said in which time zone people live of whom none is known: quiet hours count in Etc/UTC.",
            "Set DRIPDROP_DEFAULT_TIMEZONE, to Etc/UTC if that is meant.",
        )
    if config.lease_seconds < 3 * config.heartbeat_seconds:
        yield _advice(
            "heartbeat_seldom",
            "heartbeat_seconds",
            f"A lease of {config.lease_seconds:g} s holds less than three heartbeats of {config.heartbeat_seconds:g} s:"
            " a short hiccup makes a living worker look dead.",
            "Lower heartbeat_seconds, or raise lease_seconds.",
        )
    links = config.short_links
    if (
        links.get("enabled")
        and links.get("provider") in (None, "builtin")
        and not (config.public_url or links.get("domain"))
    ):
        yield _advice(
            "short_links_address",
            "short_links",
            "Short links of our own need an address that leads here: messages wait until there is one.",
            "Set DRIPDROP_PUBLIC_URL.",
        )
    if config.public_url and find_spec("starlette") is None:
        yield _lacking("public_url", "Serving unsubscribe pages", "web")


def _plugins(config: Config, plugins: Plugins | None) -> Iterator[Finding]:
    if plugins is None:
        return
    try:
        plugins.get("scheduler", config.scheduler)
    except DripDropError as trouble:
        yield _of("scheduler", trouble)
    known = plugins.channels()
    for channel in config.channels:
        if channel not in known:
            yield Finding(
                "unknown_channel",
                f"channels: {channel}",
                f"Nothing here speaks to the channel {channel}.",
                f"Channels with a provider are: {', '.join(known)}. Install or register one.",
            )
        elif channel == "email" and find_spec("aiosmtplib") is None:
            yield _lacking("channels: email", "Sending e-mail by SMTP", "smtp")


def _contents(config: Config, url: str, plugins: Plugins | None) -> Iterator[Finding]:
    database = Database(url, config.schema, size=1)
    try:
        seen = database.run(_seen)
    except DripDropError as trouble:
        yield _of("database", trouble)
        return
    finally:
        database.close()
    yield from unreadable(seen.adapters, config)
    for adapter in seen.adapters:
        yield from _speaks(adapter, plugins)
    yield from _sending(config, seen)
    if seen.ahead and not config.virtual_clock:
        yield Finding(
            "virtual_clock",
            "clock",
            f"Business time is {seen.ahead} ahead of real time, so no worker begins.",
            "Set the clock back for real work; for a demo set DRIPDROP_VIRTUAL_CLOCK=1.",
        )
    if seen.status["due_now"] and not seen.status["workers"]["alive"]:
        yield _advice(
            "no_worker", "workers", f"{seen.status['due_now']} messages are due and no worker runs.", "dripdrop worker"
        )


def _seen(now: datetime) -> Flow[Seen]:
    status = yield from reporting.status(now, GLOBAL)
    found = yield from all_adapters(now, GLOBAL)
    ahead = yield from keeping.clock_ahead(now)
    versions = []
    for each in status["sequences"][:_MOST_SEQUENCES]:
        if each["active"] and each["version"] and each["tenant"] is None:
            version = yield from authoring.active_version(now, GLOBAL, each["key"])
            versions += [version] if version is not None else []
    return Seen(status, found, versions, ahead)


def _speaks(adapter: Adapter, plugins: Plugins | None) -> Iterator[Finding]:
    package, extra = _PACKAGES.get(adapter.provider, (None, ""))
    if package is not None and find_spec(package) is None:
        yield _lacking(f"adapter {adapter.name}", f"The provider {adapter.provider}", extra)
    elif plugins is not None:
        try:
            plugins.get("provider", adapter.provider, adapter.channel)
        except DripDropError as trouble:
            yield _of(f"adapter {adapter.name}", trouble)


def _sending(config: Config, seen: Seen) -> Iterator[Finding]:
    """What the active sequences need and do not have."""
    mailing = [
        version.sequence_key
        for version in seen.versions
        if not version.transactional and any(step.active and step.channel == "email" for step in version.steps)
    ]
    if mailing and not config.public_url and not config.unsubscribe_mailto:
        yield _advice(
            "public_url",
            "public_url",
            f"{', '.join(mailing[:3])} sends marketing e-mail without an unsubscribe link: nobody knows our address.",
            "Set DRIPDROP_PUBLIC_URL and run dripdrop serve; or say `class: transactional` where it is.",
        )
    defaults = {each.channel for each in seen.adapters if each.is_default}
    needed = {step.channel for version in seen.versions for step in version.steps if step.active and not step.adapter}
    for channel in sorted(needed - defaults):
        yield _advice(
            "no_adapter",
            f"channel {channel}",
            f"Active steps send by {channel}, and it has no default adapter.",
            f"dripdrop adapters create NAME --channel {channel} --provider ... --default",
        )


def _of(place: str, trouble: DripDropError) -> Finding:
    return Finding(trouble.code, place, trouble.message, trouble.cure)


def _advice(code: str, place: str, message: str, cure: str) -> Finding:
    return Finding(code, place, message, cure, severity="warning")


def _lacking(place: str, what: str, extra: str) -> Finding:
    message = f"{what} needs a package that is not installed."
    return Finding("missing_extra", place, message, f"pip install 'dripdrop-engine[{extra}]'")
