"""What is a sequence made of, and what is each part called?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

ConditionType: TypeAlias = Literal["hook", "enrollment_data", "event", "predicate", "time_window"]
Mode: TypeAlias = Literal["always", "all", "any"]
Policy: TypeAlias = Literal["continue", "complete", "pause", "cancel"]
OnUnknown: TypeAlias = Literal["hold", "resend"]

CHANNELS = ("email", "sms", "webhook", "slack", "telegram", "whatsapp", "pubsub")
UNITS = ("seconds", "minutes", "hours", "days", "weeks")


@dataclass(frozen=True, slots=True)
class Immediate:
    """Due as soon as the path reaches the step."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Due an amount after the step is reached; days and weeks keep the local time of day when a zone is set."""

    amount: int
    unit: str
    phrase: str = ""

    @property
    def span(self) -> timedelta:
        return timedelta(**{self.unit: self.amount})


@dataclass(frozen=True, slots=True)
class Cron:
    """Due at the next occurrence after the step is reached: five fields in the step's zone."""

    expression: str
    phrase: str = ""


@dataclass(frozen=True, slots=True)
class OnEvent:
    """Due when the named event arrives; `match` is containment in the event's data."""

    event: str
    match: Mapping[str, Any] = field(default_factory=dict)
    timeout: Delay | None = None
    timeout_goto: str | None = None


Timing: TypeAlias = Immediate | Delay | Cron | OnEvent


@dataclass(frozen=True, slots=True)
class Condition:
    """One test on facts: `subject` is a field path, hook name, event key or predicate text, by `type`.

    A time window has no subject: it stands in `config["window"]` as written.
    """

    type: ConditionType
    subject: str
    operator: str = "=="
    expected: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transition:
    """A way on from a step (`origin` None: the way in) to a step (`target` None: the end), lowest priority first."""

    origin: str | None
    target: str | None
    mode: Mode = "always"
    conditions: tuple[Condition, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One message of a sequence. `template` holds the channel's fields (subject, html, text, body, payload, to, ...).

    `config` holds the step's remaining keys as written: retries, on_failure, on_exhausted, on_no_match, on_unknown,
    window, timezone, unsubscribe, late, and so on.
    """

    id: UUID
    key: str
    name: str
    channel: str
    position: int | None
    timing: Timing
    template: Mapping[str, Any]
    template_type: Literal["inline", "module", "external"] = "inline"
    adapter: str | None = None
    adapter_override: str | None = None
    gate_mode: Mode = "all"
    conditions: tuple[Condition, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    active: bool = True

    @property
    def on_failure(self) -> Policy:
        return self.config.get("on_failure", "pause")  # type: ignore[no-any-return]

    @property
    def on_exhausted(self) -> Policy:
        return self.config.get("on_exhausted", "cancel")  # type: ignore[no-any-return]

    @property
    def on_no_match(self) -> Policy:
        return self.config.get("on_no_match", "complete")  # type: ignore[no-any-return]

    @property
    def on_unknown(self) -> OnUnknown:
        return self.config.get("on_unknown", "hold")  # type: ignore[no-any-return]

    @property
    def retries(self) -> int | None:
        return self.config.get("retries")

    @property
    def repeat(self) -> bool | int:
        """How many sends of the step there are before the path goes on: True is for ever, False is one."""
        return self.config.get("repeat", False)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable edition of a sequence, loaded whole: what the engine decides by.

    `config` holds the sequence-level keys as written: timezone, topic, class, reentry, exit_on, defaults, start, pool.
    """

    id: UUID
    sequence_id: UUID
    sequence_key: str
    sequence_name: str
    tenant_key: str
    number: int
    state: Literal["draft", "active", "archived"]
    mode: Literal["lifecycle", "outbound"]
    steps: tuple[Step, ...]
    transitions: tuple[Transition, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    hook_module: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # What rules have worked out about this version once, since it never changes.
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def step(self, key: str) -> Step | None:
        """The step of that key, or None."""
        return next((step for step in self.steps if step.key == key), None)

    def step_by_id(self, step_id: UUID) -> Step | None:
        """The step of that id, or None (it belongs to another version)."""
        return next((step for step in self.steps if step.id == step_id), None)

    @property
    def transactional(self) -> bool:
        return self.config.get("class") == "transactional"

    @property
    def exit_on(self) -> tuple[str | Mapping[str, Any], ...]:
        """What ends an enrollment: events by key, or `{event, match, as: completed | cancelled}`."""
        return tuple(self.config.get("exit_on", ()))
