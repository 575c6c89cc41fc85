"""Which provider accounts may messages go through, and which one is the default?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias, TypedDict, Unpack
from uuid import UUID

import orjson

from dripdrop.errors import BadSettings, Conflict, Finding, Invalid, NotFound, Refused
from dripdrop.plugins import slug
from dripdrop.store import adapters
from dripdrop.store.adapters import Adapter
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.vault import Vault

Known: TypeAlias = Callable[[str, str], Any]
"""(channel, provider's name) -> the provider; raises NotFound naming what is known, as `Plugins.get` does."""


def nobody(channel: str, name: str) -> Any:
    """No provider is known: a facade hands in its own registry."""
    raise NotFound(f"There is no provider {name} for {channel}.", cure="Ask through a DripDrop object.")


# Least allowed value of each setting that is a number.
_LEAST = {"daily_cap": 1, "ramp_increment": 1, "ramp_floor": 0, "min_gap_seconds": 0}
_CHANGES = ("name", "config", "is_default", "active", "ramp_started_at", *_LEAST)


class Limits(TypedDict, total=False):
    """How much may go through an adapter: messages a day, a growing ceiling, and the seconds between two."""

    daily_cap: int | None
    ramp_started_at: datetime | None
    ramp_increment: int | None
    ramp_floor: int | None
    min_gap_seconds: int | None


def create(
    now: datetime,
    scope: Scope,
    name: str,
    *,
    channel: str,
    provider: str,
    known: Known = nobody,
    vault: Vault | None = None,
    credentials: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    is_default: bool = False,
    active: bool = True,
    **limits: Unpack[Limits],
) -> Flow[Adapter]:
    """A provider account of the scope; as the default it takes that place from the one before.

    Raises `NotFound` for an unknown provider, `Invalid` with a finding for every problem, `Conflict` for a taken name.
    The credentials are sealed with `vault`, which may be None where there are none.
    """
    speaker = known(channel, provider)
    adapter = Adapter(
        id=(yield from adapters.new_id()),
        tenant_key=scope.tenant,
        name=name,
        channel=slug(channel),
        provider=slug(provider),
        config=config or {},
        is_default=is_default,
        active=active,
        **limits,
    )
    _check(adapter, _wrong_credentials(speaker, credentials or {}))
    adapter = replace(adapter, credentials_sealed=_sealed(adapter, credentials or {}, vault))
    yield from _make_room(now, adapter)
    if (yield from adapters.insert(now, adapter)) is None:
        raise _taken(name)
    return replace(adapter, inserted_at=now, updated_at=now)


def update(
    now: datetime,
    scope: Scope,
    /,
    adapter: Adapter | UUID | str,
    *,
    known: Known = nobody,
    vault: Vault | None = None,
    credentials: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Flow[Adapter]:
    """Change what is named and leave the rest; `credentials` are replaced as a whole, `config` too.

    Channel and provider stay: another provider is another adapter. Raises as `create` does, and `Refused` for a tenant
    that would change a global one.
    """
    if unknown := sorted(set(changes) - set(_CHANGES)):
        raise Invalid(
            f"An adapter's {', '.join(unknown)} cannot be changed.",
            cure=f"These can: {', '.join(_CHANGES)}, credentials.",
            code="unknown_key",
        )
    yield from adapters.lock(scope.tenant)
    before = yield from get(now, scope, adapter)
    if before.tenant_key != scope.tenant:
        raise Refused(
            "A tenant cannot change a global adapter.", cure="Create one of the tenant's own.", code="global_adapter"
        )
    after = replace(before, **changes)
    if credentials is None:
        _check(after, [])
    else:
        _check(after, _wrong_credentials(known(after.channel, after.provider), credentials))
        after = replace(after, credentials_sealed=_sealed(after, credentials, vault))
    yield from _make_room(now, after)
    if (yield from adapters.update(now, after)) is None:
        raise _taken(after.name)
    return replace(after, updated_at=now)


def get(now: datetime, scope: Scope, adapter: Adapter | UUID | str) -> Flow[Adapter]:
    """An adapter that the scope sees, by id or name (its own before a global one); raises `NotFound`."""
    if isinstance(adapter, Adapter):
        adapter = adapter.id
    wanted = _uuid(adapter)
    found = (yield from adapters.get(scope, wanted)) if wanted else None
    if found is None and isinstance(adapter, str):
        found = yield from adapters.named(scope, adapter)
    if found is None:
        raise NotFound(f"There is no adapter {adapter}.", cure="List them: dripdrop adapters")
    return found


def list_(
    now: datetime, scope: Scope, *, channel: str | None = None, active: bool | None = None
) -> Flow[list[Adapter]]:
    """The scope's own and the global ones, by channel and name; without credentials, sealed or not."""
    return (yield from adapters.listed(scope, channel=channel, active=active))


def default(now: datetime, scope: Scope, channel: str) -> Flow[Adapter | None]:
    """The active default of a channel: the scope's own, else the global one, else None."""
    rows = yield from adapters.usable([scope.tenant], [channel])
    return adapters.default_for(rows, scope.tenant, channel)


def _make_room(now: datetime, adapter: Adapter) -> Flow[None]:
    yield from adapters.lock(adapter.tenant_key)
    if adapter.is_default:
        yield from adapters.clear_default(now, adapter)


def _check(adapter: Adapter, findings: list[Finding]) -> None:
    """Every problem at once."""
    if not isinstance(adapter.name, str) or not adapter.name.strip():
        findings.append(Finding("required", "name", "name is required.", "Give it one."))
    for key, least in _LEAST.items():
        value = getattr(adapter, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            findings.append(Finding("out_of_range", key, f"{key} is {value!r}.", f"It must be at least {least}."))
    started = adapter.ramp_started_at
    if started is not None and (not isinstance(started, datetime) or started.tzinfo is None):
        findings.append(
            Finding("bad_time", "ramp_started_at", "ramp_started_at has no zone.", "Pass an aware datetime.")
        )
    if problem := _not_json(adapter.config):
        findings.append(Finding("not_json", "config", f"config cannot be stored: {problem}.", "Pass text and numbers."))
    if findings:
        raise Invalid(
            f"The adapter {adapter.name} cannot be saved: " + " ".join(finding.message for finding in findings),
            cure=" ".join(dict.fromkeys(finding.cure for finding in findings)),
            findings=findings,
        )


def _wrong_credentials(provider: Any, credentials: Mapping[str, Any]) -> list[Finding]:
    return [
        Finding("credentials", f"credentials.{key}", _sentence(key, text), "Complete the credentials.")
        for key, text in provider.validate_credentials(credentials)
    ]


def _sentence(field: str, text: str) -> str:
    """A provider may say `is required` of a field, or name it itself."""
    return f"{text if text.lower().startswith(field.lower()) else f'{field} {text}'}.".replace("..", ".")


def _not_json(value: Any) -> str | None:
    try:
        orjson.dumps(dict(value))
    except (TypeError, ValueError) as problem:
        return str(problem).rstrip(".")
    return None


def _sealed(adapter: Adapter, credentials: Mapping[str, Any], vault: Vault | None) -> bytes | None:
    if not credentials:
        return None
    if vault is None:
        raise BadSettings("Credentials are sealed with a key.", cure="Set DRIPDROP_ENCRYPTION_KEY.", code="missing")
    return vault.seal(credentials, adapters.binding(adapter.id))


def _taken(name: str) -> Conflict:
    return Conflict(f"There is already an adapter {name}.", cure="Choose another name.", code="name_taken")


def _uuid(text: Any) -> UUID | None:
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None
