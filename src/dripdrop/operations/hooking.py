"""Which HTTP endpoints may a sequence ask, and with which credentials?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.errors import BadSettings, Conflict, Finding, NotFound, Refused
from dripdrop.operations import owning
from dripdrop.rules import http_hooks
from dripdrop.rules.checks.common import Checks
from dripdrop.rules.condition import asked
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.http_hooks import DEFINED, Auth, HttpHook
from dripdrop.store import hooks, sequences
from dripdrop.store.flow import Flow
from dripdrop.store.hooks import Hook
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Named, Sequence
from dripdrop.vault import Vault

HookName: TypeAlias = Hook | UUID | str
"""A hook, its id, or `sequence/key`."""


def _no_vault() -> Vault:
    raise BadSettings("Credentials are sealed with a key.", cure="Set DRIPDROP_ENCRYPTION_KEY.", code="missing")


@dataclass(frozen=True, slots=True)
class Keyring:
    """What a facade knows of secrets: how they are sealed, where `${NAME}` is looked up, what `http_allow` names."""

    vault: Callable[[], Vault] = _no_vault
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    allow: tuple[str, ...] = ()


NO_KEYS = Keyring()


def create(
    now: datetime,
    scope: Scope,
    sequence: Named,
    /,
    *,
    key: str,
    url: str,
    keyring: Keyring = NO_KEYS,
    **said: Any,
) -> Flow[Hook]:
    """An HTTP hook of one of the scope's own sequences, under a key that conditions and templates name.

    Further: name, description, method, timeout_ms (each call), retry_count, auth (`{"bearer": token}`,
    `{"basic": {"username": ..., "password": ...}}`, `{"header": {"name": ..., "value": ...}}`; sealed at once),
    headers, body_template, response_path, response_type, active. Raises Invalid (`hook`, with findings), NotFound,
    Conflict (`hook_taken`), Refused (`global_sequence`).
    """
    held = yield from owning.held(scope, sequence)
    defined, auth = _read(key, {"url": url, **said}, keyring)
    return (yield from _insert(now, held, defined, auth, keyring))


def update(now: datetime, scope: Scope, hook: HookName, /, *, keyring: Keyring = NO_KEYS, **changes: Any) -> Flow[Hook]:
    """Change what is named and leave the rest, for everybody in the sequence; `auth` is replaced as a whole.

    Its key stays: versions name it. Raises as `create` does, and Refused (`global_sequence`) for a tenant that would
    change a global one.
    """
    before = yield from get(now, scope, hook)
    if before.tenant_key != scope.tenant:
        raise Refused(
            "A tenant cannot change a hook of a global sequence.",
            cure="Make a sequence of that key of your own: it comes first.",
            code="global_sequence",
        )
    defined, auth = _read(before.key, {**http_hooks.written(before), **changes}, keyring)
    after = replace(before, **{name: getattr(defined, name) for name in DEFINED})
    if "auth" in changes:
        after = replace(after, auth_sealed=_sealed(after, auth, keyring))
    elif before.auth_sealed is not None and http_hooks.origin(before.url) != http_hooks.origin(after.url):
        cure = "Give `auth` together with the URL."
        moved = Finding("hook_moved", "url", "The credentials were given for another host.", cure)
        raise owning.refusal("hook", f"The hook {before.key} cannot be saved", [moved])
    else:
        after = replace(after, auth_type=before.auth_type)
    return (yield from _update(now, after))


def get(now: datetime, scope: Scope, hook: HookName) -> Flow[Hook]:
    """The hook of an id or of `sequence/key`; raises NotFound."""
    wanted = hook.id if isinstance(hook, Hook) else _uuid(hook)
    found: Hook | None = None
    if wanted is not None:
        found = yield from hooks.get(scope, wanted)
    elif "/" in str(hook):
        sequence, _, key = str(hook).partition("/")
        owner = yield from owning.sequence_of(scope, sequence)
        several = yield from hooks.listed(owner.tenant_key, owner.id)
        found = next((each for each in several if each.key == http_hooks.normalised(key)), None)
    if found is None:
        raise NotFound(f"There is no hook {hook}.", cure="Name it as sequence/key; see: dripdrop hooks")
    return found


def list_(now: datetime, scope: Scope, sequence: Named | None = None) -> Flow[list[Hook]]:
    """The hooks of a sequence, or of all that the scope sees, by sequence and key."""
    if sequence is None:
        return (yield from hooks.seen(scope))
    owner = yield from owning.sequence_of(scope, sequence)
    return (yield from hooks.listed(owner.tenant_key, owner.id))


def noted(now: datetime, scope: Scope, hook: Hook, result: Mapping[str, Any]) -> Flow[None]:
    """Keep what came of a test; a global hook that a tenant tried out keeps what it had."""
    if hook.tenant_key == scope.tenant:
        yield from hooks.tested(now, hook, result)


def carry(now: datetime, sequence: Sequence, written: Any, keyring: Keyring) -> Flow[list[str]]:
    """Make the hooks of a definition those of its sequence; answers the places that changed.

    What a definition does not name stays: an earlier version may ask it. Credentials named `${NAME}` come from the
    environment of whoever does this; where there is none, those that are sealed already stay, else it raises Invalid
    (`cannot_apply`).
    """
    if not written:
        return []
    stored = {each.key: each for each in (yield from hooks.listed(sequence.tenant_key, sequence.id))}
    changed: list[str] = []
    for key, said in written.items():
        defined, named = _read(key, said, keyring)
        before = stored.get(defined.key)
        auth = _resolved(defined, named, before, keyring)
        if before is None:
            yield from _insert(now, sequence, defined, auth or {}, keyring)
            changed.append(f"http_hooks.{defined.key}")
            continue
        after = replace(before, **{name: getattr(defined, name) for name in DEFINED})
        places = [
            f"http_hooks.{defined.key}.{name}" for name in DEFINED if getattr(before, name) != getattr(after, name)
        ]
        if auth is not None and auth != _opened(before, keyring):
            after = replace(after, auth_sealed=_sealed(after, auth, keyring))
            places.append(f"http_hooks.{defined.key}.auth")
        if places:
            yield from _update(now, after)
            changed += places
    return changed


def known(scope: Scope, sequence: Named, document: SequenceDocument, checks: Checks | None) -> Flow[Checks | None]:
    """The checks with the hooks that a sequence has already, where a definition asks any."""
    several = [step.conditions for step in document.steps] + [way.conditions for way in document.transitions]
    if not any(asked(conditions).hooks for conditions in several):
        return checks
    owner = yield from sequences.find(scope, sequence)
    stored = (yield from hooks.listed(owner.tenant_key, owner.id)) if owner is not None else []
    return replace(checks or Checks(), http_hooks=tuple(each.key for each in stored))


def refuse_clear(config: Mapping[str, Any]) -> None:
    """Raise Invalid (`cannot_apply`) where the config of a version would keep credentials in clear."""
    found = [each for key, said in _mapping(config.get("http_hooks")).items() for each in _clear(key, said)]
    if found:
        raise owning.refusal("cannot_apply", "The definition cannot be kept", found)


def _clear(key: str, said: Any) -> Iterator[Finding]:
    if isinstance(said, Mapping):
        hook, auth, _ = http_hooks.read(key, said)
        for each in http_hooks.secrets_in_clear(hook, auth):
            yield replace(each, path=f"http_hooks.{key}.{each.path}")


def _read(key: str, said: Mapping[str, Any], keyring: Keyring) -> tuple[HttpHook, Auth]:
    defined, auth, problems = http_hooks.read(key, said, allow=keyring.allow)
    if problems:
        raise owning.refusal("hook", f"The hook {defined.key} cannot be saved", problems)
    return defined, auth


def _insert(now: datetime, sequence: Sequence, defined: HttpHook, auth: Auth, keyring: Keyring) -> Flow[Hook]:
    made = Hook(
        id=(yield from hooks.new_id()),
        sequence_id=sequence.id,
        sequence_key=sequence.key,
        tenant_key=sequence.tenant_key,
        key=defined.key,
        inserted_at=now,
        updated_at=now,
        **{name: getattr(defined, name) for name in DEFINED},
    )
    made = replace(made, auth_sealed=_sealed(made, auth, keyring))
    if (yield from hooks.insert(now, made)) is None:
        message = f"{sequence.key} has a hook {made.key!r} already."
        raise Conflict(message, cure="Change that one: drip.hooks.update(hook, ...).", code="hook_taken")
    return made


def _update(now: datetime, hook: Hook) -> Flow[Hook]:
    if (yield from hooks.update(now, hook)) is None:
        raise Conflict(f"The hook {hook.key} is gone.", cure="See: dripdrop hooks")
    return replace(hook, updated_at=now)


def _resolved(defined: HttpHook, named: Auth, before: Hook | None, keyring: Keyring) -> Auth | None:
    """The credentials with each `${NAME}` replaced; None where those that are sealed already stay."""
    values, absent = {}, []
    for name, text in named.items():
        variable = http_hooks.variable(text)
        values[name] = text if variable is None else keyring.environ.get(variable, "")
        if not values[name].strip():
            absent.append(variable)
    if not absent:
        return values
    if before is not None and before.auth_sealed is not None and _same_place(before, defined):
        return None
    cure = f"Set {absent[0]} where this is applied, and apply it again."
    finding = Finding("hook_secret", f"http_hooks.{defined.key}.auth", f"The environment has no {absent[0]}.", cure)
    raise owning.refusal("cannot_apply", "The definition cannot be applied", [finding])


def _same_place(before: HttpHook, after: HttpHook) -> bool:
    """Whether sealed credentials may stay: they were given for this host and this way."""
    return before.auth_type == after.auth_type and http_hooks.origin(before.url) == http_hooks.origin(after.url)


def _opened(hook: Hook, keyring: Keyring) -> Auth:
    return hooks.credentials(hook, keyring.vault()) if hook.auth_sealed else {}


def _sealed(hook: Hook, auth: Auth, keyring: Keyring) -> bytes | None:
    return keyring.vault().seal(auth, hooks.binding(hook.id)) if auth else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _uuid(text: Any) -> UUID | None:
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None
