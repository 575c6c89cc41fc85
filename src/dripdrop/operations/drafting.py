"""How is a draft put together, part by part?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.errors import Conflict, Invalid, NotFound
from dripdrop.operations import adopting, hooking, owning
from dripdrop.operations.hooking import HookName
from dripdrop.operations.owning import AnyVersion
from dripdrop.rules import reading
from dripdrop.rules.checks.common import blank
from dripdrop.rules.comparator import OPERATORS
from dripdrop.rules.definition import Condition, Mode, Step, Timing, Transition, Version
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.plain import plain
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.scope import Scope
from dripdrop.store.sequences import Edition

StepName: TypeAlias = Step | UUID | str
_KEEP: Any = object()


@dataclass(frozen=True, slots=True)
class AddedTransition:
    """A transition of a draft, with the id that conditions are added to."""

    id: UUID
    version_id: UUID
    transition: Transition


@dataclass(frozen=True, slots=True)
class AddedCondition:
    """A condition of a draft's step or transition."""

    id: UUID
    version_id: UUID
    condition: Condition


def add_step(
    now: datetime,
    scope: Scope,
    version: AnyVersion,
    *,
    key: str,
    channel: str,
    template: Mapping[str, Any] | str,
    timing: Timing | Mapping[str, Any] | str | None = None,
    name: str | None = None,
    position: int | None = None,
    adapter: str | UUID | None = None,
    adapter_override: str | UUID | None = None,
    config: Mapping[str, Any] | None = None,
    active: bool = True,
) -> Flow[Step]:
    """A step of a draft; one without a position is only reached by a transition. A bare text is the message's body.

    Raises Invalid (with findings), Conflict (`step_taken`), IllegalMove (`version_published`).
    """
    edition = yield from owning.own_draft(scope, version)
    written = {
        "name": name,
        "channel": channel,
        "adapter": _adapter(adapter),
        "adapter_override": _adapter(adapter_override),
        "template": _said(template, channel),
        "config": dict(config or {}),
        "active": active,
    }
    step = replace(_step(key, written, position), timing=reading.read_timing(timing))
    step = yield from _with_adapters(scope, step)
    ids = yield from sequences.insert_steps(now, edition, [step])
    if ids is None:
        message = f"Version {edition.number} has a step of the key {key!r} or the position {position} already."
        raise Conflict(message, cure="Choose another.", code="step_taken")
    return replace(step, id=ids[0])


def update_step(
    now: datetime,
    scope: Scope,
    step: Step | UUID,
    *,
    name: str = _KEEP,
    channel: str = _KEEP,
    position: int | None = _KEEP,
    timing: Timing | Mapping[str, Any] | str | None = _KEEP,
    template: Mapping[str, Any] | str = _KEEP,
    adapter: str | UUID | None = _KEEP,
    adapter_override: str | UUID | None = _KEEP,
    config: Mapping[str, Any] = _KEEP,
    active: bool = _KEEP,
) -> Flow[Step]:
    """A draft's step with what is given changed, `template` and `config` whole; its key and conditions stay.

    Raises Invalid (with findings), Conflict (`step_taken`), IllegalMove (`version_published`), NotFound.
    """
    edition, before = yield from _drafted(scope, step)
    channel = before.channel if channel is _KEEP else channel
    written = {
        "name": before.name if name is _KEEP else name,
        "channel": channel,
        "adapter": _adapter(before.adapter if adapter is _KEEP else adapter),
        "adapter_override": _adapter(before.adapter_override if adapter_override is _KEEP else adapter_override),
        "template": {} if template is _KEEP else _said(template, channel),
        "config": dict(before.config if config is _KEEP else config or {}),
        "active": before.active if active is _KEEP else active,
    }
    wanted = replace(_step(before.key, written, before.position if position is _KEEP else position), id=before.id)
    wanted = replace(wanted, timing=before.timing if timing is _KEEP else reading.read_timing(timing))
    if template is _KEEP:
        wanted = replace(wanted, template=before.template, template_type=before.template_type)
    wanted = yield from _with_adapters(scope, wanted)
    if not (yield from sequences.update_step(now, edition, wanted)):
        message = f"Version {edition.number} has a step of the position {wanted.position} already."
        raise Conflict(message, cure="Choose another.", code="step_taken")
    return replace(wanted, conditions=before.conditions, gate_mode=before.gate_mode)


def remove_step(now: datetime, scope: Scope, step: Step | UUID) -> Flow[None]:
    """Take a step out of a draft, with its conditions and the ways from and to it.

    Raises IllegalMove (`version_published`), NotFound.
    """
    edition, before = yield from _drafted(scope, step)
    yield from sequences.delete_step(edition, before)


def _drafted(scope: Scope, step: Step | UUID) -> Flow[tuple[Edition, Step]]:
    """The scope's own draft that a step is part of, and the step as it is now."""
    step_id = step.id if isinstance(step, Step) else step
    owner = yield from sequences.owner_of(scope, step=step_id)
    if owner is None:
        raise NotFound("There is no such step.", cure="Name one of a draft's: drip.sequences.steps(version).")
    edition = yield from owning.own_draft(scope, owner)
    found = (yield from sequences.load_version(edition.id)).step_by_id(step_id)
    assert found is not None
    return edition, found


def _said(template: Mapping[str, Any] | str, channel: str) -> Mapping[str, Any]:
    """A bare text is the message's body."""
    return {("body" if channel == "sms" else "text"): template} if isinstance(template, str) else template


def _adapter(named: str | UUID | None) -> str | None:
    return str(named) if named else None


def _step(key: str, written: Mapping[str, Any], position: int | None) -> Step:
    """The step as a file would have it; a position that is None stays so."""
    source = {"sequence": "draft", "steps": [{"key": key, **written, "position": position}]}
    document, problems = reading.read(source)
    if document is None or problems:
        raise owning.refusal("step", "The step cannot be added", problems)
    return document.steps[0]


def _with_adapters(scope: Scope, step: Step) -> Flow[Step]:
    document, problems = yield from adopting.resolved(scope, SequenceDocument("draft", "Draft", (step,)))
    if problems:
        raise owning.refusal("step", "The step cannot be added", problems)
    return document.steps[0]


def add_transition(
    now: datetime,
    scope: Scope,
    version: AnyVersion,
    *,
    from_step: StepName | None = None,
    to_step: StepName | None = None,
    mode: Mode = "always",
    priority: int = 0,
) -> Flow[AddedTransition]:
    """A way of a draft from a step (None: the way in) to a step (None: the end), the lowest priority first."""
    edition = yield from owning.own_draft(scope, version)
    loaded = yield from sequences.load_version(edition.id)
    if mode not in ("always", "all", "any"):
        raise Invalid(f"There is no mode {mode!r}.", cure="Use always, all or any.", code="unknown_word")
    if type(priority) is not int or abs(priority) >= 2**31:
        raise Invalid("A priority is a whole number.", cure="Use 0, 1, 2, ...", code="wrong_type")
    way = Transition(_key(loaded, from_step), _key(loaded, to_step), mode, (), priority)
    ids = yield from sequences.insert_transitions(now, edition, [way], {step.key: step.id for step in loaded.steps})
    return AddedTransition(ids[0], edition.id, way)


def add_condition(
    now: datetime,
    scope: Scope,
    *,
    step: Step | UUID | None = None,
    transition: AddedTransition | UUID | None = None,
    condition_type: str,
    field_path: str | None = None,
    operator: str = "==",
    expected_value: Any = None,
    hook: str | None = None,
    http_hook: HookName | None = None,
    config: Mapping[str, Any] | None = None,
) -> Flow[AddedCondition]:
    """A condition of exactly one step or transition of a draft; raises Invalid, NotFound, IllegalMove.

    `hook` is the name of a hook; `http_hook` (a hook, its id or `sequence/key`) stands for its key.
    """
    if (step is None) == (transition is None):
        raise Invalid("A condition has one owner.", cure="Give step or transition.", code="condition_owner")
    if http_hook is not None:
        hook = (yield from hooking.get(now, scope, http_hook)).key
    condition = _condition(condition_type, field_path, operator, plain(expected_value), hook, plain(dict(config or {})))
    step_id = step.id if isinstance(step, Step) else step
    way_id = transition.id if isinstance(transition, AddedTransition) else transition
    owner = yield from sequences.owner_of(scope, step=step_id, transition=way_id)
    if owner is None:
        raise NotFound("There is no such step or transition.", cure="Add the condition to one of a draft's.")
    edition = yield from owning.own_draft(scope, owner)
    begin = yield from sequences.count_conditions(step_id or way_id)
    ids = yield from sequences.insert_conditions(now, edition, [(step_id, way_id, [condition])], begin=begin)
    return AddedCondition(ids[0], edition.id, condition)


def _key(version: Version, step: StepName | None) -> str | None:
    if step is None:
        return None
    wanted = step.id if isinstance(step, Step) else sequences.as_uuid(step)
    found = version.step_by_id(wanted) if wanted is not None else version.step(str(step))
    if found is None:
        keys = ", ".join(each.key for each in version.steps)
        raise Invalid(f"Version {version.number} has no such step.", cure=f"Name one of: {keys}.", code="unknown_goto")
    return found.key


def _condition(
    kind: str, field_path: str | None, operator: str, expected: Any, hook: str | None, config: Any
) -> Condition:
    if operator not in OPERATORS:
        raise Invalid(
            f"There is no operator {operator!r}.", cure=f"Use one of: {', '.join(OPERATORS)}.", code="operator"
        )
    missing = Invalid("The condition is not complete.", cure=_NEEDED.get(kind, ""), code="condition_incomplete")
    match kind:
        case "enrollment_data":
            if blank(field_path) or blank(expected):
                raise missing
            return Condition("enrollment_data", str(field_path), operator, expected, config)
        case "hook":
            if blank(hook):
                raise missing
            return Condition("hook", str(hook), operator, expected, config)
        case "event":
            event = config.pop("event_key", None)
            if event is not None and field_path is not None:
                config.setdefault("field_path", field_path)
            subject = event or field_path
            if blank(subject):
                raise missing
            return Condition("event", str(subject), operator, expected, config)
        case "predicate":
            if blank(config.get("predicate")):
                raise missing
            return Condition("predicate", str(config.pop("predicate")), operator, expected, config)
        case "time_window":
            if blank(config):
                raise missing
            window = config.get("window", config)
            return Condition("time_window", "", operator, expected, {"window": window})
    cure = f"Use one of: {', '.join(_NEEDED)}."
    raise Invalid(f"There is no condition of type {kind!r}.", cure=cure, code="condition_type")


_NEEDED = {
    "enrollment_data": "Give field_path and expected_value.",
    "hook": "Give hook or http_hook.",
    "event": "Give config={'event_key': 'signed_up'}; field_path and expected_value compare its data.",
    "predicate": "Give config={'predicate': \"plan == 'pro'\"}.",
    "time_window": "Give config={'days': ['mon'], 'from': '09:00', 'to': '17:00'}.",
}
