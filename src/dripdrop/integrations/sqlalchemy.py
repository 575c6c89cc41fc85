"""How does a host that uses SQLAlchemy ask about people and messages in its own queries?

Our tables as lightweight constructs for `select`: in no MetaData, so that Alembic's autogenerate does not see them, and
without the columns that change from release to release. To write, use `drip.using(session)`.
"""

from __future__ import annotations

from typing import Any

from dripdrop.errors import MissingExtra
from dripdrop.store.statements import DEFAULT_SCHEMA

try:
    from sqlalchemy import DateTime, Integer, Text, Uuid, column, table
    from sqlalchemy.dialects.postgresql import JSONB
    from sqlalchemy.sql.expression import ColumnClause, TableClause
    from sqlalchemy.types import TypeEngine
except ImportError as missing:
    raise MissingExtra("The SQLAlchemy integration", "sqlalchemy") from missing

_ENROLLMENTS: dict[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "tenant_key": Text(),
    "sequence_id": Uuid(),
    "sequence_version_id": Uuid(),
    "subscriber_type": Text(),
    "subscriber_id": Text(),
    "state": Text(),
    "reason": Text(),
    "current_step_id": Uuid(),
    "started_at": DateTime(timezone=True),
    "completed_at": DateTime(timezone=True),
    "cancelled_at": DateTime(timezone=True),
    "metadata": JSONB(),
}
_EXECUTIONS: dict[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "tenant_key": Text(),
    "enrollment_id": Uuid(),
    "step_id": Uuid(),
    "state": Text(),
    "delivery_status": Text(),
    "visit": Integer(),
    "channel": Text(),
    "recipient": Text(),
    "executed_at": DateTime(timezone=True),
    "provider_message_id": Text(),
    "reason": Text(),
}
_SEQUENCES: dict[str, TypeEngine[Any]] = {"id": Uuid(), "tenant_key": Text(), "key": Text(), "name": Text()}


def sequences(schema: str = DEFAULT_SCHEMA) -> TableClause:
    """The sequences; `tenant_key` '' is global."""
    return _table("sequences", _SEQUENCES, schema)


def enrollments(schema: str = DEFAULT_SCHEMA) -> TableClause:
    """People in sequences; `tenant_key` '' is global. Join your users on `subscriber_type` and `subscriber_id`."""
    return _table("enrollments", _ENROLLMENTS, schema)


def executions(schema: str = DEFAULT_SCHEMA) -> TableClause:
    """Visits of steps, live and ended; here a null `tenant_key` is global."""
    return _table("step_executions", _EXECUTIONS, schema)


def _table(name: str, columns: dict[str, TypeEngine[Any]], schema: str) -> TableClause:
    made: list[ColumnClause[Any]] = [column(each, kind) for each, kind in columns.items()]
    return table(name, *made, schema=schema)
