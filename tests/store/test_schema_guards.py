"""Does the database itself refuse what must never be: an illegal move, a changed publication, a stranger's row?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import product

import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Jsonb

from dripdrop.rules.lifecycle import ENDED, ENROLLMENT, EXECUTION, LIVE, VERSION, Lifecycle


@pytest.fixture(scope="module")
def database(postgres, migrated_template) -> Iterator[str]:
    """The URL of one migrated database, in which every test rolls back."""
    with postgres.database(migrated_template) as name:
        yield postgres.url_of(name)


class World:
    """Rows as short as they can be, in a transaction that is rolled back."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def insert(self, table: str, **values: object) -> uuid.UUID:
        columns = ", ".join([*values, "inserted_at", "updated_at"])
        marks = ", ".join(["%s"] * len(values) + ["now()", "now()"])
        found = self.run(f"insert into dripdrop.{table} ({columns}) values ({marks}) returning id", *values.values())
        return found.fetchone()[0]

    def run(self, text: str, *values: object) -> psycopg.Cursor:
        return self.connection.execute(text.encode(), values)

    def refuses(self, error: type[Exception], text: str, *values: object, constraint: str | None = None) -> bool:
        """Whether a statement fails as it should; the transaction goes on either way."""
        try:
            with self.connection.transaction(force_rollback=True):
                self.run(text, *values)
        except error as refused:
            return constraint is None or refused.diag.constraint_name == constraint
        return False

    def sequence(self, tenant: str = "acme") -> uuid.UUID:
        return self.insert("sequences", tenant_key=tenant, key=f"s{uuid.uuid4().hex}", name="S")

    def version(self, tenant: str = "acme", sequence: uuid.UUID | None = None, number: int = 1) -> uuid.UUID:
        sequence = sequence or self.sequence(tenant)
        return self.insert("sequence_versions", sequence_id=sequence, tenant_key=tenant, version=number)

    def step(self, version: uuid.UUID, key: str = "one", tenant: str = "acme", **more: object) -> uuid.UUID:
        return self.insert(
            "steps", sequence_version_id=version, tenant_key=tenant, name=key, key=key, channel="email", **more
        )

    def adapter(self, tenant: str = "acme") -> uuid.UUID:
        name = uuid.uuid4().hex
        return self.insert("channel_adapters", tenant_key=tenant, name=name, channel="email", provider="smtp")

    def enrollment(
        self, tenant: str, version: uuid.UUID, sequence: uuid.UUID | None = None, **more: object
    ) -> uuid.UUID:
        more = {"state": "active", **more}
        names = "".join(f", {name}" for name in more)
        return self.run(
            "insert into dripdrop.enrollments (tenant_key, sequence_id, sequence_version_id, subscriber_type,"
            f" subscriber_id, started_at, updated_at{names}) values (%s, coalesce(%s,"
            " (select sequence_id from dripdrop.sequence_versions where id = %s)), %s, 'user', %s, now(), now()"
            f"{', %s' * len(more)}) returning id",
            tenant,
            sequence,
            version,
            version,
            uuid.uuid4().hex,
            *more.values(),
        ).fetchone()[0]

    def queued(self, state: str = "scheduled", **more: object) -> uuid.UUID:
        values = {
            "tenant_key": "",
            "enrollment_id": uuid.uuid4(),
            "step_id": uuid.uuid4(),
            "visit": 1,
            "state": state,
            **more,
        }
        return self.run(
            f"insert into dripdrop.execution_queue ({', '.join(values)}, due_at)"
            f" values ({', '.join(['%s'] * len(values))}, now()) returning id",
            *values.values(),
        ).fetchone()[0]


@pytest.fixture
def world(database) -> Iterator[World]:
    with psycopg.connect(database) as connection:
        yield World(connection)
        connection.rollback()


def edges(lifecycle: Lifecycle) -> set[tuple[str, str]]:
    return {edge for moves in lifecycle.moves.values() for edge in moves.items()}


def way_to(state: str) -> list[str]:
    """Moves inside the queue that lead from `scheduled` to a state, by the table itself."""
    ways = [["scheduled"]]
    for way in ways:
        if way[-1] == state:
            return way[1:]
        ways += [[*way, to] for to in EXECUTION[way[-1]] if to in LIVE and to not in way]
    raise AssertionError(state)


def put_into(world: World, state: str) -> uuid.UUID:
    execution = world.queued(worker_id=uuid.uuid4())
    for each in way_to(state):
        world.run("update dripdrop.execution_queue set state = %s where id = %s", each, execution)
    return execution


@pytest.mark.parametrize("state", LIVE)
def test_the_queue_allows_exactly_the_moves_of_the_table(world, state):
    execution = put_into(world, state)
    for to in EXECUTION:
        refused = world.refuses(
            errors.CheckViolation, "update dripdrop.execution_queue set state = %s where id = %s", to, execution
        )
        assert refused == (to not in (state, *(each for each in EXECUTION[state] if each in LIVE))), to


def test_an_execution_begins_scheduled_or_waiting(world):
    for state in EXECUTION:
        refused = world.refuses(
            errors.CheckViolation,
            "insert into dripdrop.execution_queue (tenant_key, enrollment_id, step_id, visit, state, due_at, worker_id)"
            " values ('', %s, %s, 1, %s, now(), %s)",
            *(uuid.uuid4(), uuid.uuid4(), state, uuid.uuid4()),
        )
        assert refused == (state not in ("scheduled", "waiting")), state


def test_history_allows_exactly_the_endings_of_the_table(world):
    for state, to in product(EXECUTION, EXECUTION):
        refused = world.refuses(
            errors.CheckViolation,
            "insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind, from_state,"
            " state, due_at, ended_at, attempt, refusals, retries) values (dripdrop.uuid7(), '', %s, %s, 1, 'path', %s,"
            " %s, now(), now(), 0, 0, 0)",
            *(uuid.uuid4(), uuid.uuid4(), state, to),
            constraint="execution_history_move",
        )
        assert refused == (to not in ENDED or to not in EXECUTION[state]), (state, to)


def test_what_is_held_has_a_worker(world):
    execution = world.queued()
    claim = "update dripdrop.execution_queue set state = 'claiming' where id = %s"
    assert world.refuses(errors.CheckViolation, claim, execution, constraint="execution_queue_held")


def test_an_enrollment_has_one_live_execution_and_any_number_of_replays(world):
    enrollment = uuid.uuid4()
    of = world.queued(enrollment_id=enrollment)
    for _ in range(2):
        world.queued(enrollment_id=enrollment, kind="replay", of_id=of)
    for kind in ("path", "advance"):
        with pytest.raises(errors.UniqueViolation), world.connection.transaction():
            world.queued(enrollment_id=enrollment, kind=kind)
    with pytest.raises(errors.CheckViolation), world.connection.transaction():
        world.queued(enrollment_id=enrollment, kind="replay")


@pytest.mark.parametrize("state", ["active", "paused", "completed", "cancelled"])
def test_enrollments_allow_exactly_the_moves_of_the_table(world, state):
    enrollment = world.enrollment("acme", world.version())
    if state != "active":
        world.run("update dripdrop.enrollments set state = %s where id = %s", state, enrollment)
    for to in ("active", "paused", "completed", "cancelled"):
        refused = world.refuses(
            errors.CheckViolation, "update dripdrop.enrollments set state = %s where id = %s", to, enrollment
        )
        assert refused == (to != state and (state, to) not in edges(ENROLLMENT)), to


def test_an_enrollment_begins_active(world):
    for state in ("paused", "completed", "cancelled"):
        with pytest.raises(errors.CheckViolation), world.connection.transaction():
            world.enrollment("acme", world.version(), state=state)


@pytest.mark.parametrize("state", ["draft", "active", "archived"])
def test_versions_allow_exactly_the_moves_of_the_table(world, state):
    version = world.version()
    for each in {"draft": [], "active": ["active"], "archived": ["active", "archived"]}[state]:
        world.run("update dripdrop.sequence_versions set state = %s where id = %s", each, version)
    for to in ("draft", "active", "archived"):
        refused = world.refuses(
            errors.CheckViolation, "update dripdrop.sequence_versions set state = %s where id = %s", to, version
        )
        assert refused == (to != state and (state, to) not in edges(VERSION)), to


def test_a_sequence_has_one_active_version(world):
    sequence = world.sequence()
    first, second = world.version(sequence=sequence), world.version(sequence=sequence, number=2)
    activate = "update dripdrop.sequence_versions set state = 'active' where id = %s"
    world.run(activate, first)
    assert world.refuses(errors.UniqueViolation, activate, second, constraint="sequence_versions_one_active")


@pytest.fixture
def published(world) -> dict[str, uuid.UUID]:
    """A published version with a row of each kind, and a draft of the same sequence."""
    sequence = world.sequence()
    version, draft = world.version(sequence=sequence), world.version(sequence=sequence, number=2)
    one, two, draft_step = world.step(version), world.step(version, "two"), world.step(draft)
    way = world.insert(
        "step_transitions", sequence_version_id=version, tenant_key="acme", from_step_id=one, to_step_id=two
    )
    hook = world.insert(
        "http_hooks", sequence_id=sequence, tenant_key="acme", name="h", key="h", url="https://example.com"
    )
    gate = world.insert("conditions", tenant_key="acme", step_id=one, condition_type="hook", http_hook_id=hook)
    fork = world.insert("conditions", tenant_key="acme", transition_id=way, condition_type="predicate")
    world.run("update dripdrop.sequence_versions set state = 'active' where id = %s", version)
    return {
        "sequence": sequence, "version": version, "draft": draft, "one": one, "two": two, "draft_step": draft_step,
        "way": way, "hook": hook, "gate": gate, "fork": fork,
    }  # fmt: skip


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        "update dripdrop.steps set name = 'new' where id = %(one)s",
        'update dripdrop.steps set timing = \'{"type": "delay"}\' where id = %(one)s',
        'update dripdrop.steps set template_content = \'{"subject": "x"}\' where id = %(one)s',
        "update dripdrop.steps set sequence_version_id = %(draft)s, key = 'moved' where id = %(one)s",
        "update dripdrop.steps set sequence_version_id = %(version)s, key = 'moved' where id = %(draft_step)s",
        "delete from dripdrop.steps where id = %(two)s",
        "update dripdrop.step_transitions set priority = 9 where id = %(way)s",
        "delete from dripdrop.step_transitions where id = %(way)s",
        "update dripdrop.conditions set field_path = 'x' where id = %(gate)s",
        "update dripdrop.conditions set step_id = %(draft_step)s where id = %(gate)s",
        "delete from dripdrop.conditions where id = %(gate)s",
        'update dripdrop.conditions set config = \'{"predicate": "a = 1"}\' where id = %(fork)s',
        "delete from dripdrop.conditions where id = %(fork)s",
        "insert into dripdrop.steps (sequence_version_id, tenant_key, name, key, channel, inserted_at, updated_at)"
        " values (%(version)s, 'acme', 'n', 'n', 'sms', now(), now())",
        "insert into dripdrop.conditions (tenant_key, step_id, condition_type, inserted_at, updated_at)"
        " values ('acme', %(two)s, 'event', now(), now())",
        "insert into dripdrop.step_transitions (sequence_version_id, tenant_key, from_step_id, inserted_at, updated_at)"
        " values (%(version)s, 'acme', %(two)s, now(), now())",
        'update dripdrop.sequence_versions set config = \'{"on_failure": "pause"}\' where id = %(version)s',
        "update dripdrop.sequence_versions set mode = 'outbound' where id = %(version)s",
        "update dripdrop.sequence_versions set version = 7 where id = %(version)s",
    ],
)
def test_a_published_version_never_changes(world, published, change, archived):
    if archived:
        world.run("update dripdrop.sequence_versions set state = 'archived' where id = %s", published["version"])
    with pytest.raises(errors.CheckViolation) as refused, world.connection.transaction():
        world.connection.execute(change, published)
    assert refused.value.diag.constraint_name == "version_is_published"


def test_of_a_published_version_only_switches_and_adapters_change(world, published):
    adapter = world.adapter()
    world.run("update dripdrop.steps set active = false where id = %s", published["one"])
    world.run("update dripdrop.steps set channel_adapter_id = %s where id = %s", adapter, published["one"])
    world.run("update dripdrop.steps set adapter_override_id = %s where id = %s", adapter, published["two"])
    world.run("update dripdrop.sequence_versions set name = 'Spring' where id = %s", published["version"])
    world.run("delete from dripdrop.channel_adapters where id = %s", adapter)
    world.run("delete from dripdrop.http_hooks where id = %s", published["hook"])
    kept = world.run("select count(channel_adapter_id), count(*) from dripdrop.steps where id = %s", published["one"])
    assert kept.fetchone() == (0, 1)


def test_a_published_version_goes_away_only_as_a_whole(world, published):
    world.run("delete from dripdrop.sequence_versions where id = %s", published["version"])
    for table in ("steps", "step_transitions", "conditions"):
        assert world.run(
            f"select count(*) from dripdrop.{table} where id <> %s", published["draft_step"]
        ).fetchone() == (0,)


def test_a_draft_changes_freely(world):
    version, other = world.version(), world.version()
    step = world.step(version)
    world.run("update dripdrop.steps set name = 'new' where id = %s", step)
    world.run("update dripdrop.steps set sequence_version_id = %s where id = %s", other, step)
    world.run("update dripdrop.sequence_versions set mode = 'outbound', config = '{\"a\": 1}' where id = %s", version)
    world.run("delete from dripdrop.steps where id = %s", step)


def test_who_publishes_and_who_still_writes_wait_for_each_other(database):
    """A step written while its version is being published is refused, not slipped in."""
    with psycopg.connect(database) as author, psycopg.connect(database) as publisher:
        world = World(author)
        sequence = world.sequence()
        version = world.version(sequence=sequence)
        author.commit()
        publisher.execute("select 1 from dripdrop.sequences where id = %s for update", [sequence])
        author.execute("set local lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):
            world.step(version)
        author.rollback()
        publisher.execute("update dripdrop.sequence_versions set state = 'active' where id = %s", [version])
        publisher.commit()
        with pytest.raises(errors.CheckViolation):
            world.step(version)
        author.rollback()
        publisher.execute("delete from dripdrop.sequences where id = %s", [sequence])


def test_a_version_with_enrollments_is_not_deleted(world):
    sequence = world.sequence()
    version, empty = world.version(sequence=sequence), world.version(sequence=sequence, number=2)
    enrollment = world.enrollment("acme", version)
    for text, subject in (
        ("delete from dripdrop.sequence_versions where id = %s", version),
        ("delete from dripdrop.sequences where id = %s", sequence),
    ):
        assert world.refuses(errors.ForeignKeyViolation, text, subject, constraint="enrollments_version")
    world.run("delete from dripdrop.sequence_versions where id = %s", empty)
    world.run("delete from dripdrop.enrollments where id = %s", enrollment)
    world.run("delete from dripdrop.sequences where id = %s", sequence)


def test_an_enrollment_names_a_version_of_its_sequence_and_tenant(world):
    own, foreign, shared = world.version(), world.version("rival"), world.version("")
    world.enrollment("acme", own)
    world.enrollment("acme", shared)
    for version, sequence in ((foreign, None), (uuid.uuid4(), uuid.uuid4()), (own, world.sequence())):
        with pytest.raises(errors.ForeignKeyViolation) as refused, world.connection.transaction():
            world.enrollment("acme", version, sequence)
        assert refused.value.diag.constraint_name == "enrollments_parents"
    with pytest.raises(errors.ForeignKeyViolation), world.connection.transaction():
        world.enrollment("acme", own, adapter_id=world.adapter("rival"), effective_mode="outbound")
    world.enrollment("acme", own, adapter_id=world.adapter(""), effective_mode="outbound")


def test_an_enrollment_that_moves_or_is_pinned_stays_with_its_tenant(world):
    sequence = world.sequence()
    first, second = world.version(sequence=sequence), world.version(sequence=sequence, number=2)
    enrollment = world.enrollment("acme", first, effective_mode="outbound")
    move = "update dripdrop.enrollments set sequence_version_id = %s where id = %s"
    pin = "update dripdrop.enrollments set adapter_id = %s where id = %s"
    assert world.refuses(
        errors.ForeignKeyViolation, move, world.version(), enrollment, constraint="enrollments_parents"
    )
    assert world.refuses(errors.ForeignKeyViolation, pin, world.adapter("rival"), enrollment)
    assert world.refuses(errors.ForeignKeyViolation, pin, uuid.uuid4(), enrollment)
    world.run(move, second, enrollment)
    for adapter in (world.adapter(), world.adapter(""), None):
        world.run(pin, adapter, enrollment)


def test_what_belongs_to_another_tenant_cannot_be_named(world):
    sequence, version = world.sequence("rival"), world.version("rival")
    step, adapter = world.step(version, tenant="rival"), world.adapter("rival")
    pool = world.insert("adapter_pools", tenant_key="rival", name="p")
    hook = world.insert(
        "http_hooks", sequence_id=sequence, tenant_key="rival", name="h", key="h", url="https://example.com"
    )
    way = world.insert("step_transitions", sequence_version_id=version, tenant_key="rival", to_step_id=step)
    mine = world.version()
    my_step = world.step(mine)
    attempts = {
        "sequence_versions": [{"sequence_id": sequence, "version": 9}],
        "http_hooks": [{"sequence_id": sequence, "name": "n", "key": "k", "url": "https://example.com"}],
        "steps": [
            {"sequence_version_id": version, "name": "n", "key": "n", "channel": "sms"},
            {"sequence_version_id": mine, "name": "n", "key": "n", "channel": "sms", "channel_adapter_id": adapter},
            {"sequence_version_id": mine, "name": "n", "key": "n", "channel": "sms", "adapter_override_id": adapter},
        ],
        "step_transitions": [
            {"sequence_version_id": version},
            {"sequence_version_id": mine, "to_step_id": step},
            {"sequence_version_id": mine, "from_step_id": step},
        ],
        "conditions": [
            {"step_id": step, "condition_type": "event"},
            {"transition_id": way, "condition_type": "event"},
            {"step_id": my_step, "condition_type": "hook", "http_hook_id": hook},
        ],
        "adapter_pool_members": [
            {"pool_id": pool, "adapter_id": world.adapter()},
            {"pool_id": world.insert("adapter_pools", tenant_key="acme", name="p"), "adapter_id": adapter},
        ],
        "adapter_sequence_budgets": [
            {"adapter_id": adapter, "sequence_version_id": mine},
            {"adapter_id": world.adapter(), "sequence_version_id": version},
        ],
    }
    for table, rows in attempts.items():
        for values in rows:
            with pytest.raises(errors.ForeignKeyViolation) as refused, world.connection.transaction():
                world.insert(table, tenant_key="acme", **values)
            assert refused.value.diag.constraint_name in ("parents_tenant", "adapter_tenant"), (table, values)


def test_what_is_global_can_be_named_where_that_is_meant(world):
    adapter, pool, version = (
        world.adapter(""),
        world.insert("adapter_pools", tenant_key="", name="p"),
        world.version(""),
    )
    mine = world.version()
    world.step(mine, channel_adapter_id=adapter)
    world.insert("adapter_pool_members", tenant_key="acme", pool_id=pool, adapter_id=adapter)
    world.insert("adapter_sequence_budgets", tenant_key="acme", adapter_id=adapter, sequence_version_id=version)
    world.insert(
        "http_hooks", tenant_key="acme", sequence_id=world.sequence(""), name="h", key="h", url="https://example.com"
    )
    with pytest.raises(errors.ForeignKeyViolation), world.connection.transaction():
        world.step(version, tenant="acme")


def test_a_way_leads_between_steps_of_one_version(world):
    version, other = world.version(), world.version()
    step, stray = world.step(version), world.step(other)
    with pytest.raises(errors.ForeignKeyViolation), world.connection.transaction():
        world.insert(
            "step_transitions", sequence_version_id=version, tenant_key="acme", from_step_id=step, to_step_id=stray
        )
    world.insert("step_transitions", sequence_version_id=version, tenant_key="acme", from_step_id=step, to_step_id=step)


def test_a_finished_attempt_has_an_outcome_and_an_open_one_has_none(world):
    insert = (
        "insert into dripdrop.delivery_attempts (execution_id, number, tenant_key, refusals, started_at, business_at,"
        " version_id, data_revision, finished_at, outcome, provider_response)"
        " values (dripdrop.uuid7(), 1, '', 0, now(), now(), %s, 1, %s, %s, %s)"
    )
    there = Jsonb({"id": 1})
    assert world.refuses(errors.CheckViolation, insert, uuid.uuid4(), "2030-01-01", None, there)
    assert world.refuses(errors.CheckViolation, insert, uuid.uuid4(), None, "failed", there)
    world.run(insert, uuid.uuid4(), None, None, None)
    world.run(insert, uuid.uuid4(), "2030-01-01", "failed", there)
