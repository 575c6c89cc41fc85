"""What is the URL of a database that the host has opened?"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dripdrop.store.hosts_known import checked_alias, kinds_of


def url_of(database: Any) -> str:
    """The URL of a pool's, an engine's or a Django alias's database, as libpq takes it, password and all.

    What a host has put into a function of its own (`creator`, a Django pool's callbacks) is not seen.
    Raises Invalid (`unsupported_database`).
    """
    kinds = kinds_of(database)
    if {"psycopg_pool.ConnectionPool", "psycopg_pool.AsyncConnectionPool"} & set(kinds):
        given = database.conninfo() if callable(database.conninfo) else database.conninfo
        more = database.kwargs() if callable(database.kwargs) else database.kwargs
        return _url({**conninfo_to_dict(given or ""), **(more or {})})
    if {"sqlalchemy.Engine", "sqlalchemy.AsyncEngine"} & set(kinds):
        return _url(_of_engine(database))
    checked_alias(database)
    from django.db import connections

    return _url(connections[database].get_connection_params())


def _of_engine(engine: Any) -> dict[str, Any]:
    url = engine.url
    more = dict(url.query)
    # asyncpg's word for it.
    if isinstance(more.get("ssl"), str):
        more["sslmode"] = more["ssl"]
    return {
        "user": url.username,
        "password": url.password,
        "host": url.host,
        "port": url.port,
        "dbname": url.database,
        **more,
    }


def _url(params: dict[str, Any]) -> str:
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    said = {
        name: ",".join(value) if isinstance(value, (tuple, list)) else str(value)
        for name, value in params.items()
        if name in known and value not in (None, "")
    }
    user, password, database = said.pop("user", ""), said.pop("password", ""), said.pop("dbname", "")
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    query = f"?{urlencode(said, quote_via=quote)}" if said else ""
    return f"postgresql://{who}{'@' if who else ''}/{quote(database, safe='')}{query}"
