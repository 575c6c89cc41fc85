"""How is something said to whoever listens on a database?"""

from __future__ import annotations

from dripdrop.store.flow import Query
from dripdrop.store.statements import Statements

SQL = Statements("publishing")


def notify(topic: str, body: str) -> Query:
    """Tell the listeners of a topic; it reaches them when the transaction commits."""
    return SQL.query("notify", topic=topic, body=body)
