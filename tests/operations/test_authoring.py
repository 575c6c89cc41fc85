from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from dripdrop.errors import Conflict, DripDropError, IllegalMove, Invalid, NotFound, Refused
from dripdrop.operations import authoring, drafting
from dripdrop.rules.definition import Condition, Delay
from dripdrop.rules.document import canonical, document_of
from dripdrop.rules.reading import read
from dripdrop.services.judging import checks
from dripdrop.store import sequences
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import GLOBAL, Scope

NOW = datetime(2030, 3, 1, 9, tzinfo=UTC)
ACME = Scope("acme")
PRO = {"field": "plan", "value": "pro"}
TRIAL: dict[str, Any] = {
    "sequence": "trial",
    "name": "Trial",
    "timezone": "Europe/Vienna",
    "exit_on": ["cancelled"],
    "steps": {
        "welcome": {
            "channel": "email",
            "subject": "Hi {{ first_name }}",
            "html": "<p>Hi</p>",
            "next": [
                {"when": {"all": [PRO, {"field": "seats", "is": ">", "value": 5}]}, "goto": "call"},
                {"when": {"field": "free", "is": "==", "value": False}, "goto": "end"},
                {"goto": "nudge"},
            ],
        },
        "nudge": {
            "channel": "email",
            "timing": "in 3 days",
            "when": {"field": "days", "is": "in", "value": [1, 2]},
            "subject": "Still there?",
            "text": "...",
            "retries": 2,
        },
        "call": {"channel": "sms", "body": "Hi", "window": {"mon": [9, "17:30"]}, "active": True},
    },
}  # fmt: skip


class World:
    """A connection inside a transaction, on which operations are run."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.statements: list[str] = []

    def __call__(self, operation: Any, *args: Any, scope: Scope = GLOBAL, **named: Any) -> Any:
        return run_sync(self.connection, self.counted(operation(NOW, scope, *args, **named)))

    def counted(self, flow: Any) -> Any:
        self.statements = []
        query = next(flow, None)
        try:
            while query is not None:
                self.statements.append(query.name)
                query = flow.send((yield query))
        except StopIteration as stop:
            return stop.value

    def refuses(self, error: type[DripDropError], code: str, operation: Any, *args: Any, **named: Any) -> DripDropError:
        with pytest.raises(error) as refused:
            self(operation, *args, **named)
        assert refused.value.code == code
        return refused.value


@pytest.fixture
def do(database_url: str) -> Iterator[World]:
    with psycopg.connect(database_url) as connection:
        yield World(connection)
        connection.rollback()


def changed(**steps: Any) -> dict[str, Any]:
    return {**TRIAL, "steps": {**TRIAL["steps"], **steps}}


def test_a_sequence_is_made_found_changed_and_removed(do: World) -> None:
    made = do(authoring.create_sequence, " Trial ", name="Trial", metadata={"a": 1})
    assert (made.key, made.name, made.active, made.metadata) == ("trial", "Trial", True, {"a": 1})
    assert do(authoring.get_sequence, "TRIAL") == made == do(authoring.get_sequence, made.id)
    renamed = do(authoring.update_sequence, "trial", name="New", description="d", active=False)
    assert (renamed.name, renamed.description, renamed.active, renamed.metadata) == ("New", "d", False, {"a": 1})
    assert do(authoring.list_sequences) == [renamed]
    assert do(authoring.list_sequences, active=True) == []
    do(authoring.delete_sequence, "trial")
    assert do(authoring.get_sequence, "trial") is None


def test_a_key_is_taken_once_in_each_scope(do: World) -> None:
    do(authoring.create_sequence, "trial", name="Trial")
    do.refuses(Conflict, "key_taken", authoring.create_sequence, "TRIAL", name="Again")
    own = do(authoring.create_sequence, "trial", name="Acme's", scope=ACME)
    assert do(authoring.get_sequence, "trial", scope=ACME) == own
    assert do(authoring.get_sequence, "trial", scope=Scope("other")).name == "Trial"


@pytest.mark.parametrize("key", ["", "-x", "a b", "ä", "a.b", None])
def test_a_key_that_cannot_be_one_is_refused(do: World, key: Any) -> None:
    do.refuses(Invalid, "sequence_key", authoring.create_sequence, key, name="x")
    do.refuses(Invalid, "missing_name", authoring.create_sequence, "x", name=" ")


def test_a_tenant_uses_a_global_sequence_and_cannot_change_it(do: World) -> None:
    applied = do(authoring.apply, TRIAL)
    assert do(authoring.active_version, "trial", scope=ACME).id == applied.version.id
    for operation, args in (
        (authoring.update_sequence, ("trial",)),
        (authoring.draft, ("trial",)),
        (authoring.activate, (applied.version,)),
        (authoring.archive, (applied.version,)),
        (authoring.delete_sequence, ("trial",)),
    ):
        do.refuses(Refused, "global_sequence", operation, *args, scope=ACME)


def test_another_tenants_rows_look_like_missing_ones(do: World) -> None:
    applied = do(authoring.apply, TRIAL, scope=ACME)
    other = Scope("other")
    assert do(authoring.get_sequence, applied.sequence.id, scope=other) is None
    for operation, arg in (
        (authoring.versions, applied.sequence.id),
        (authoring.steps, applied.version.id),
        (authoring.validate, applied.version),
        (authoring.activate, applied.version.id),
        (authoring.clone_version, applied.version.id),
        (drafting.add_condition, None),
    ):
        args = () if arg is None else (arg,)
        more = {"step": applied.version.steps[0], **CONDITION} if arg is None else {}
        for scope in (other, GLOBAL):
            do.refuses(NotFound, "not_found", operation, *args, scope=scope, **more)


CONDITION = {"condition_type": "enrollment_data", "field_path": "plan", "expected_value": "pro"}


def test_versions_are_numbered_by_themselves(do: World) -> None:
    do(authoring.create_sequence, "trial", name="Trial")
    assert do(authoring.max_version_number, "trial") == 0
    assert [do(authoring.draft, "trial").number for _ in range(2)] == [1, 2]
    assert do(authoring.draft, "trial", version=7, mode="outbound", config={"pool_id": "p"}).config == {"pool_id": "p"}
    assert do(authoring.draft, "trial").number == 8
    assert [each.number for each in do(authoring.versions, "trial")] == [1, 2, 7, 8]
    do.refuses(Conflict, "version_taken", authoring.draft, "trial", version=7)
    do.refuses(Invalid, "version_number", authoring.draft, "trial", version=0)
    do.refuses(NotFound, "not_found", authoring.draft, "nope")


def drafted(do: World) -> Any:
    do(authoring.create_sequence, "trial", name="Trial")
    return do(authoring.draft, "trial")


def test_a_version_is_built_part_by_part_and_activated(do: World) -> None:
    version = drafted(do)
    mail = {"subject": "s", "text": "x"}
    a = do(drafting.add_step, version, key="a", channel="email", position=1, template=mail)
    b = do(
        drafting.add_step, version, key="b", channel="sms", position=2, template="Hi", timing="in 3 days", name="Bee"
    )
    assert (b.name, b.template, b.timing) == ("Bee", {"body": "Hi"}, Delay(3, "days", "in 3 days"))
    way = do(drafting.add_transition, version, from_step=a, to_step="b", mode="all", priority=1)
    for value in ("pro", ["team"]):
        do(drafting.add_condition, transition=way, **{**CONDITION, "expected_value": value})
    do(drafting.add_condition, step=b, **CONDITION, operator="!=")
    assert do(authoring.validate, version, checks=checks()) == []
    assert do(authoring.activate, version).state == "active"
    loaded = do(authoring.active_version, "trial")
    assert [each.id for each in loaded.steps] == [a.id, b.id]
    (found,) = loaded.transitions
    assert (found.origin, found.target, found.mode, found.priority) == ("a", "b", "all", 1)
    assert [each.expected for each in found.conditions] == ["pro", ["team"]]
    assert loaded.steps[1].conditions == (Condition("enrollment_data", "plan", "!=", "pro"),)
    assert do(authoring.steps, version) == list(loaded.steps)
    assert do(authoring.latest_step, "trial", "b").id == b.id
    assert do(authoring.latest_step, "trial", "zzz") is None


def test_steps_that_cannot_be_added_say_why(do: World) -> None:
    version = drafted(do)
    fine = {"key": "a", "channel": "sms", "template": "x", "position": 1}
    do(drafting.add_step, version, **fine)
    do.refuses(Conflict, "step_taken", drafting.add_step, version, **{**fine, "position": 2})
    do.refuses(Conflict, "step_taken", drafting.add_step, version, **{**fine, "key": "b"})
    do.refuses(Invalid, "timing_phrase", drafting.add_step, version, **{**fine, "timing": "soon"})
    assert do.refuses(Invalid, "step", drafting.add_step, version, **{**fine, "key": " "})
    missing = do.refuses(Invalid, "step", drafting.add_step, version, **{**fine, "key": "c", "adapter": "nope"})
    assert [each.code for each in missing.findings] == ["unknown_adapter"]  # type: ignore[attr-defined]
    do.refuses(Invalid, "unknown_goto", drafting.add_transition, version, from_step="zzz")
    do.refuses(Invalid, "unknown_goto", drafting.add_transition, version, from_step=uuid4())
    do.refuses(Invalid, "unknown_word", drafting.add_transition, version, mode="some")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"condition_type": "enrollment_data", "field_path": "x"}, "condition_incomplete"),
        ({"condition_type": "enrollment_data", "field_path": " ", "expected_value": "x"}, "condition_incomplete"),
        ({"condition_type": "hook"}, "condition_incomplete"),
        ({"condition_type": "event"}, "condition_incomplete"),
        ({"condition_type": "predicate"}, "condition_incomplete"),
        ({"condition_type": "magic"}, "condition_type"),
        ({**CONDITION, "operator": "=~"}, "operator"),
    ],
)
def test_a_condition_must_be_complete(do: World, given: dict[str, Any], code: str) -> None:
    version = drafted(do)
    step = do(drafting.add_step, version, key="a", channel="sms", template="x")
    do.refuses(Invalid, code, drafting.add_condition, step=step, **given)
    do.refuses(Invalid, "condition_owner", drafting.add_condition, **CONDITION)
    do.refuses(Invalid, "condition_owner", drafting.add_condition, step=step, transition=uuid4(), **CONDITION)


def test_activation_validates_and_says_everything_at_once(do: World) -> None:
    version = drafted(do)
    do(drafting.add_step, version, key="a", channel="email", position=1, template={"text": "{{ oops"})
    findings = do(authoring.validate, version, checks=checks())
    assert [each.code for each in findings] == ["missing_subject", "template"]
    refused = do.refuses(Invalid, "cannot_activate", authoring.activate, version, checks=checks())
    assert len(refused.findings) == 2  # type: ignore[attr-defined]
    assert do(authoring.activate, version, validated=False).state == "active"


def test_there_is_one_active_version_and_an_archived_one_can_come_back(do: World) -> None:
    first = do(authoring.apply, TRIAL)
    second = do(authoring.apply, changed(call={"channel": "sms", "body": "Hello"}))
    states = {each.number: each.state for each in do(authoring.versions, "trial")}
    assert states == {1: "archived", 2: "active"}
    again = do(authoring.activate, first.version)
    assert (again.state, again.published_at) == ("active", NOW)
    assert do(authoring.active_version, "trial").id == first.version.id
    assert do(authoring.activate, first.version).published_at == NOW
    assert do(authoring.archive, first.version).state == "archived"
    assert do(authoring.active_version, "trial") is None
    do.refuses(IllegalMove, "illegal_move", authoring.archive, second.version)


def test_what_is_published_never_changes(do: World) -> None:
    version = do(authoring.apply, TRIAL).version
    add = {"key": "x", "channel": "sms", "template": "x"}
    do.refuses(IllegalMove, "version_published", drafting.add_step, version, **add)
    do.refuses(IllegalMove, "version_published", drafting.add_transition, version, from_step="call")
    do.refuses(IllegalMove, "version_published", drafting.add_condition, step=version.steps[0], **CONDITION)


def test_a_clone_is_a_draft_with_the_same_parts(do: World) -> None:
    version = do(authoring.apply, TRIAL).version
    clone = do(authoring.clone_version, version)
    assert (clone.number, clone.state) == (2, "draft")
    loaded = do(lambda now, scope: authoring.load(scope, clone))
    assert document_of(loaded) == document_of(version)
    assert not {step.id for step in loaded.steps} & {step.id for step in version.steps}
    do(drafting.add_step, clone, key="more", channel="sms", template="x", position=9)


def test_applying_makes_a_sequence_a_version_and_puts_it_in_force(do: World) -> None:
    applied = do(authoring.apply, TRIAL, checks=checks())
    assert (applied.created, applied.changed) == (True, ["sequence"])
    assert (applied.version.number, applied.version.state) == (1, "active")
    wanted, _ = read(TRIAL)
    assert wanted is not None
    assert canonical(document_of(applied.version)) == canonical(wanted)


def test_applying_the_same_again_changes_nothing(do: World) -> None:
    first = do(authoring.apply, TRIAL)
    wanted, _ = read(TRIAL)
    again = do(authoring.apply, canonical(wanted))  # type: ignore[arg-type]
    assert (again.created, again.changed, again.version) == (False, [], first.version)
    assert len(do(authoring.versions, "trial")) == 1


def test_a_change_of_a_step_is_a_new_version_and_is_named(do: World) -> None:
    do(authoring.apply, TRIAL)
    nudge = {**TRIAL["steps"]["nudge"], "subject": "Hello?"}
    applied = do(authoring.apply, changed(nudge=nudge, extra={"channel": "sms", "body": "x"}))
    assert applied.changed == ["steps.nudge.subject", "steps.extra"]
    assert applied.version.number == 2


def test_a_change_of_the_name_is_none_of_the_version(do: World) -> None:
    first = do(authoring.apply, TRIAL)
    applied = do(authoring.apply, {**TRIAL, "name": "Better", "description": "d", "metadata": {"a": 1}})
    assert sorted(applied.changed) == ["description", "metadata", "name"]
    assert applied.version.id == first.version.id
    assert (applied.sequence.name, applied.sequence.description) == ("Better", "d")


def test_a_broken_document_leaves_nothing_behind(do: World) -> None:
    broken = changed(call={"channel": "sms", "timing": "soon", "next": "nope", "adapter": "nobody"})
    refused = do.refuses(Invalid, "cannot_apply", authoring.apply, broken)
    codes = {each.code for each in refused.findings}  # type: ignore[attr-defined]
    assert codes == {"timing_phrase", "missing_body", "unknown_goto", "unknown_adapter"}
    assert do(authoring.list_sequences) == []


def test_a_tenant_of_the_same_key_gets_a_sequence_of_its_own(do: World) -> None:
    do(authoring.apply, TRIAL)
    own = do(authoring.apply, TRIAL, scope=ACME)
    assert (own.created, own.sequence.tenant_key, own.version.tenant_key) == (True, "acme", "acme")
    assert do(authoring.apply, TRIAL, scope=ACME).changed == []


def adapter(do: World, name: str, channel: str, tenant: str = "") -> Any:
    row = do.connection.execute(
        "insert into dripdrop.channel_adapters (tenant_key, name, channel, provider, inserted_at, updated_at)"
        " values (%s, %s, %s, 'local', now(), now()) returning id",
        [tenant, name, channel],
    ).fetchone()
    assert row is not None
    return row[0]


def test_adapters_are_found_by_name_and_must_fit(do: World) -> None:
    mail, text = adapter(do, "mail", "email"), adapter(do, "text", "sms", "acme")
    fine = changed(call={"channel": "sms", "body": "x", "adapter": "text"})
    applied = do(authoring.apply, {**fine, "defaults": {}}, scope=ACME)
    assert applied.version.step("call").adapter == str(text)
    assert do(authoring.apply, {**fine, "defaults": {}}, scope=ACME).changed == []
    for named, code in (("mail", "adapter_channel_mismatch"), ("text", "unknown_adapter"), (str(mail), None)):
        channel = "email" if code is None else "sms"
        step = {"channel": channel, "subject": "s", "text": "x", "body": "x", "adapter": named}
        if code is None:
            assert do(authoring.apply, changed(call=step)).version.step("call").adapter == str(mail)
        else:
            refused = do.refuses(Invalid, "cannot_apply", authoring.apply, changed(call=step))
            assert [each.code for each in refused.findings] == [code]  # type: ignore[attr-defined]


def test_the_number_of_statements_does_not_depend_on_the_number_of_steps(do: World) -> None:
    def count(key: str, steps: int) -> tuple[int, int]:
        mail = {"channel": "sms", "body": "x", "timing": "in 1 day", "when": {"field": "a", "value": 1}}
        last = {"channel": "sms", "body": "x", "timing": "in 1 day"}
        named = {
            f"s{n}": {**mail, "next": [{"when": {"field": "b", "value": n}, "goto": f"s{n + 1}"}]} for n in range(steps)
        }
        applied = do(authoring.apply, {"sequence": key, "steps": {**named, f"s{steps}": last}})
        writing = len(do.statements)
        do(lambda now, scope: sequences.load_version(applied.version.id))
        return writing, len(do.statements)

    assert count("small", 1) == count("large", 60)
    assert len(do.statements) == 4


def test_a_sequence_somebody_was_in_cannot_be_deleted(do: World) -> None:
    applied = do(authoring.apply, TRIAL)
    do.connection.execute(
        "insert into dripdrop.enrollments (tenant_key, sequence_id, sequence_version_id, subscriber_type,"
        " subscriber_id, started_at, updated_at) values ('', %s, %s, 'user', '1', now(), now())",
        [applied.sequence.id, applied.version.id],
    )
    do.refuses(Refused, "sequence_in_use", authoring.delete_sequence, "trial")


def test_two_that_apply_at_once_make_one_version(database_url: str) -> None:
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as other:
        first = World(one)(authoring.apply, TRIAL)
        # The second waits at its first insert or lock until the first has committed.
        other.execute("set local lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            World(other)(authoring.apply, TRIAL)
        other.rollback()
        one.commit()
        second = World(other)(authoring.apply, TRIAL)
        assert (second.created, second.version.id) == (False, first.version.id)
