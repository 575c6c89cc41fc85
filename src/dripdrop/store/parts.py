"""How do the parts of a version stand in their tables?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from dripdrop.rules import timing
from dripdrop.rules.definition import Condition, Step, Transition, Version
from dripdrop.store.flow import Row


def version(head: Row, steps: Sequence[Row], ways: Sequence[Row], conditions: Sequence[Row]) -> Version:
    """A version of its rows; each list in its own order."""
    owned: dict[UUID, list[Condition]] = {}
    for row in conditions:
        owned.setdefault(row["step_id"] or row["transition_id"], []).append(condition(row))
    return Version(
        id=head["id"],
        sequence_id=head["sequence_id"],
        sequence_key=head["sequence_key"],
        sequence_name=head["sequence_name"],
        tenant_key=head["tenant_key"],
        number=head["version"],
        state=head["state"],
        mode=head["mode"],
        steps=tuple(step(row, owned.get(row["id"], ())) for row in steps),
        transitions=tuple(
            Transition(
                row["origin"], row["target"], row["condition_mode"], tuple(owned.get(row["id"], ())), row["priority"]
            )
            for row in ways
        ),
        config=head["config"],
        hook_module=head["hook_module"],
        metadata=head["metadata"],
    )


def step(row: Row, conditions: Sequence[Condition]) -> Step:
    """A step of its row."""
    template = row["template_content"]
    if row["template_type"] == "module":
        template = {"module": row["template_module"], "function": row["template_function"], **template}
    return Step(
        id=row["id"],
        key=row["key"],
        name=row["name"],
        channel=row["channel"],
        position=row["position"],
        timing=timing.from_stored(row["timing"]),
        template=template,
        template_type=row["template_type"],
        adapter=str(row["channel_adapter_id"]) if row["channel_adapter_id"] else None,
        adapter_override=str(row["adapter_override_id"]) if row["adapter_override_id"] else None,
        gate_mode=row["gate_mode"],
        conditions=tuple(conditions),
        config=row["config"],
        active=row["active"],
    )


def step_row(step_id: UUID, written: Step) -> dict[str, Any]:
    """The row of a step; `adapter` and `adapter_override` must be ids by now."""
    template = dict(written.template)
    module = written.template_type == "module"
    return {
        "id": step_id,
        "key": written.key,
        "name": written.name,
        "channel": written.channel,
        "position": written.position,
        "timing": timing.stored(written.timing),
        "template_type": written.template_type,
        "template_module": template.pop("module", None) if module else None,
        "template_function": template.pop("function", None) if module else None,
        "template_content": template,
        "channel_adapter_id": written.adapter,
        "adapter_override_id": written.adapter_override,
        "gate_mode": written.gate_mode,
        "config": written.config,
        "active": written.active,
    }


def transition_row(transition_id: UUID, way: Transition, steps: Mapping[str, UUID]) -> dict[str, Any]:
    """The row of a transition between steps of those ids."""
    return {
        "id": transition_id,
        "from_step_id": steps[way.origin] if way.origin is not None else None,
        "to_step_id": steps[way.target] if way.target is not None else None,
        "condition_mode": way.mode,
        "priority": way.priority,
    }


def condition(row: Row) -> Condition:
    """A condition of its row."""
    config = dict(row["config"])
    kind = row["condition_type"]
    if kind == "enrollment_data":
        subject = row["field_path"]
    elif kind == "hook":
        subject = row["hook_function"]
    else:
        subject = config.pop(_KEPT_IN[kind], None) if kind in _KEPT_IN else None
    return Condition(kind, subject or "", row["operator"], row["expected_value"], config)


def condition_row(
    condition_id: UUID, step_id: UUID | None, transition_id: UUID | None, ordinal: int, written: Condition
) -> dict[str, Any]:
    """The row of a condition of a step or a transition."""
    config = dict(written.config)
    if written.type in _KEPT_IN:
        config[_KEPT_IN[written.type]] = written.subject
    return {
        "id": condition_id,
        "step_id": step_id,
        "transition_id": transition_id,
        "ordinal": ordinal,
        "condition_type": written.type,
        "operator": written.operator,
        "hook_function": written.subject if written.type == "hook" else None,
        "field_path": written.subject if written.type == "enrollment_data" else None,
        "expected_value": written.expected,
        "config": config,
    }


_KEPT_IN = {"event": "event_key", "predicate": "predicate"}
