"""Does the database allow exactly the moves that the tables of `rules/lifecycle.py` hold?"""

from __future__ import annotations

import itertools
import uuid

import psycopg
import pytest
from psycopg import sql

from dripdrop.rules.lifecycle import ENDED, ENROLLMENT, EXECUTION, LIVE, VERSION

AT = "2030-03-01 09:00+00"


@pytest.fixture
def rows(connection):
    """A row of each table, undone afterwards: what one test moves, the next finds unmoved."""
    with connection.transaction(force_rollback=True):
        sequence, version, enrollment, execution, worker = (uuid.uuid4() for _ in range(5))
        connection.execute("set local session_replication_role = replica")
        connection.execute(
            "insert into dripdrop.sequences (id, tenant_key, key, name, inserted_at, updated_at)"
            " values (%s, '', 'plan', 'Plan', %s, %s)",
            [sequence, AT, AT],
        )
        connection.execute(
            "insert into dripdrop.sequence_versions (id, sequence_id, tenant_key, version, inserted_at, updated_at)"
            " values (%s, %s, '', 1, %s, %s)",
            [version, sequence, AT, AT],
        )
        connection.execute(
            "insert into dripdrop.enrollments (id, tenant_key, sequence_id, sequence_version_id, subscriber_type,"
            " subscriber_id, started_at, updated_at)"
            " values (%s, '', %s, %s, 'user', '1', %s, %s)",
            [enrollment, sequence, version, AT, AT],
        )
        connection.execute(
            "insert into dripdrop.execution_queue (id, tenant_key, enrollment_id, step_id, visit, due_at, worker_id)"
            " values (%s, '', %s, %s, 1, %s, %s)",
            [execution, enrollment, uuid.uuid4(), AT, worker],
        )
        yield {"sequence_versions": version, "enrollments": enrollment, "execution_queue": execution}


def moves(connection, table, row, before, after):
    """Whether the database lets the row go from one state to the other."""
    statement = sql.SQL("update {} set state = %s where id = %s").format(sql.Identifier("dripdrop", table))
    connection.execute("set local session_replication_role = replica")
    connection.execute(statement, [before, row])
    connection.execute("set local session_replication_role = origin")
    try:
        with connection.transaction():
            connection.execute(statement, [after, row])
    except psycopg.errors.CheckViolation:
        return False
    return True


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(LIVE, 2)))
def test_a_live_execution_moves_as_the_table_says(before, after, connection, rows):
    allowed = moves(connection, "execution_queue", rows["execution_queue"], before, after)
    assert allowed is (after in EXECUTION[before])


@pytest.mark.parametrize(("before", "after"), list(itertools.product(EXECUTION, ENDED)))
def test_an_execution_ends_as_the_table_says(before, after, connection, rows):
    try:
        with connection.transaction():
            connection.execute(
                "insert into dripdrop.execution_history (id, tenant_key, enrollment_id, step_id, visit, kind,"
                " from_state, state, due_at, ended_at, attempt, refusals, retries)"
                " values (%s, '', %s, %s, 1, 'path', %s, %s, %s, %s, 0, 0, 0)",
                [uuid.uuid4(), rows["enrollments"], uuid.uuid4(), before, after, AT, AT],
            )
        allowed = True
    except psycopg.errors.CheckViolation:
        allowed = False
    assert allowed is (after in EXECUTION[before] and before in LIVE)


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.permutations(("active", "paused", "completed", "cancelled"), 2))
)
def test_an_enrollment_moves_as_the_table_says(before, after, connection, rows):
    allowed = moves(connection, "enrollments", rows["enrollments"], before, after)
    assert allowed is any(ways.get(before) == after for ways in ENROLLMENT.moves.values())


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(("draft", "active", "archived"), 2)))
def test_a_version_moves_as_the_table_says(before, after, connection, rows):
    allowed = moves(connection, "sequence_versions", rows["sequence_versions"], before, after)
    assert allowed is any(ways.get(before) == after for ways in VERSION.moves.values())
