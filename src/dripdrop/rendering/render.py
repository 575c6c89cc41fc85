"""What message does a step become for this person at this moment?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from dripdrop.errors import Invalid
from dripdrop.rendering import messages
from dripdrop.rendering.fields import Compiled, compiled
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.message import Message
from dripdrop.rules.recipients import normalize
from dripdrop.rules.variation import Variation, chosen

NOTHING: Mapping[str, Any] = MappingProxyType({})

ModuleTemplate: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
Resolver: TypeAlias = Callable[[str, str], ModuleTemplate]


def render(
    step: Step,
    version: Version,
    *,
    data: Mapping[str, Any],
    system: Mapping[str, Any],
    now: datetime,
    message_id: str | None = None,
    default_from: str | None = None,
    unsubscribe_url: str | None = None,
    unsubscribe_mailto: str | None = None,
    public_url: str | None = None,
    sms_max_chars: int | None = 1600,
    answers: Mapping[str, Any] = NOTHING,
    event: Mapping[str, Any] = NOTHING,
    resolve: Resolver | None = None,
    missing: Callable[[str], Any] | None = None,
    said_in: Variation | None = None,
) -> Message:
    """The message of a step; the same for the same arguments. `now` is the business time of the recipe.

    `system` holds subscriber_id, subscriber_type and enrollment_id; `answers` are those of hooks, by their names;
    `event` is the data of the event that the step waited for; `resolve` finds the function of a module template;
    `missing` hears the name of each variable that was printed and is not there; `said_in` asks for another language or
    variant than the person's own; `sms_max_chars` None leaves the length of a text to a later `messages.measure`.
    Raises `Invalid`: `template`, `mjml` and its kin, `missing_subject`, `empty_body`, `sms_too_long`, `missing_url`,
    `missing_recipient`, `missing_chat_id`, `missing_topic`, `missing_event`, `address`, `payload`, `attachment`,
    `template_module`; and `MissingExtra`.
    """
    if step.template_type == "module":
        fields = _ask_module(step, _enrollment(version, data, system), answers, resolve)
    elif (spoken := _compiled(step, version, data, system, said_in)).constant is not None:
        fields = spoken.constant
    else:
        extra = {"public_url": public_url, "unsubscribe_url": unsubscribe_url, **system}
        said = variables(step, version, data=data, system=extra, now=now, answers=answers, event=event)
        fields = spoken.render(said, missing, str(system.get("execution_id", "")))
    made = messages.Making(
        step=step,
        fields=fields,
        data=data,
        now=now,
        message_id=message_id,
        default_from=default_from,
        unsubscribe_url=None if version.transactional else unsubscribe_url,
        unsubscribe_mailto=None if version.transactional else unsubscribe_mailto,
        sms_max_chars=None if sms_max_chars is None else messages.sms_limit(step, sms_max_chars),
    )
    return messages.make(made)


def says_the_same(step: Step, version: Version) -> bool:
    """Whether the step says the same to everybody, at the address in the data: nothing else need be known of a person.

    Raises `Invalid` as `render` does.
    """
    if step.template_type == "module":
        return False
    made = compiled(step, version.tenant_key == "")
    return made.constant is not None and not made.varied and not made.addressed


def variables(
    step: Step,
    version: Version,
    *,
    data: Mapping[str, Any],
    system: Mapping[str, Any],
    now: datetime,
    answers: Mapping[str, Any] = NOTHING,
    event: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """What a template may name, later wins: data, system values, `event`, hook answers, the step's own variables."""
    moment = now if now.tzinfo is not None else now.replace(tzinfo=UTC)
    said: dict[str, Any] = {
        **data,
        "sequence_key": version.sequence_key,
        "step_key": step.key,
        **_times(moment, moment.tzinfo, moment.fold),
    }
    if version.tenant_key:
        said["tenant_key"] = version.tenant_key
    for name, value in system.items():
        if value is not None:
            said[name] = value
    if event:
        said["event"] = event
    if answers:
        said.update(answers)
    own = step.config.get("template_variables")
    if own:
        said.update(own)
    return said


@lru_cache(maxsize=64)
def _times(now: datetime, zone: tzinfo | None, fold: int) -> Mapping[str, Any]:
    """How a template may name this moment; a batch has but one.

    What is equal is not always said alike: in two zones, and in the hour that a clock shows twice.
    """
    return {"now": now, "today": now.date(), "now_iso8601": now.isoformat()}


def addresses(
    step: Step,
    data: Mapping[str, Any],
    *,
    version: Version | None = None,
    system: Mapping[str, Any] = NOTHING,
    now: datetime | None = None,
    answers: Mapping[str, Any] = NOTHING,
    event: Mapping[str, Any] = NOTHING,
) -> tuple[tuple[str, str], ...]:
    """Every address the step really uses for this person, as (channel, normalized address); () where there is none.

    Without `to`, `cc` and `bcc` only the person's data is looked at. Otherwise `version` and `now` are needed, and
    `Invalid` (`template`, `address`) may be raised.
    """
    if step.template_type == "module" or version is None or now is None:
        return _normalized(step, messages.in_data(step, data))
    spoken = _compiled(step, version, data, system, None)
    if not spoken.addressed:
        found = messages.in_data(step, data)
    else:
        said = variables(step, version, data=data, system=system, now=now, answers=answers, event=event)
        fields = spoken.render_only(("to", "cc", "bcc", "chat_id"), said)
        found = messages.addressed(step, fields, data)
    return _normalized(step, found)


def _normalized(step: Step, found: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((step.channel, normalize(step.channel, each)) for each in found))


def _compiled(
    step: Step, version: Version, data: Mapping[str, Any], system: Mapping[str, Any], said_in: Variation | None
) -> Compiled:
    """The step's templates in the person's language and variant; tenants' authors are not trusted."""
    trusted = version.tenant_key == ""
    made = compiled(step, trusted)
    if not made.varied:
        return made
    return compiled(step, trusted, said_in or chosen(step, data, system.get("enrollment_id")))


def _enrollment(version: Version, data: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """What a module template is told of the person."""
    return {
        "id": system.get("enrollment_id"),
        "subscriber_type": system.get("subscriber_type"),
        "subscriber_id": system.get("subscriber_id"),
        "sequence_key": version.sequence_key,
        "tenant_key": version.tenant_key or None,
        "data": data,
    }


def _ask_module(
    step: Step, enrollment: Mapping[str, Any], answers: Mapping[str, Any], resolve: Resolver | None
) -> Mapping[str, Any]:
    module, function = str(step.template.get("module") or ""), str(step.template.get("function") or "")
    cure = "Name a function that takes (enrollment, answers, config) and returns the channel's fields."
    # A tenant's author may not name code to be imported and called.
    if resolve is None or enrollment["tenant_key"] is not None or not module or not function:
        raise Invalid(f"{step.key} names no template function.", cure=cure, code="template_module")
    try:
        fields = resolve(module, function)(enrollment, answers, step.config)
    except Exception as trouble:  # a host's function may raise anything
        message = f"{module}:{function} failed with {type(trouble).__name__}."
        raise Invalid(message, cure=cure, code="template_module") from trouble
    if not isinstance(fields, Mapping):
        raise Invalid(f"{module}:{function} returned no mapping.", cure=cure, code="template_module")
    return fields
