"""What kind of connection does a host hold?  Told by its class's name: no library is imported to find out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dripdrop.errors import Invalid
from dripdrop.store.hosts_async import AsyncHost, AsyncpgHost, AsyncPsycopgHost, AsyncSqlAlchemyHost
from dripdrop.store.hosts_sync import DjangoHost, Psycopg2Host, PsycopgHost, SqlAlchemyHost, SyncHost

SUPPORTED = (
    "a psycopg Connection or AsyncConnection, a SQLAlchemy Session, AsyncSession, Connection or AsyncConnection"
    " (over psycopg, psycopg2 or asyncpg), a Django connection, or an asyncpg connection"
)


def unwrap(host: Any) -> SyncHost | AsyncHost:
    """What stands behind a host's connection; raises Invalid (`unsupported_connection`)."""
    for kind in kinds_of(host):
        if kind in _HOSTS:
            return _HOSTS[kind](host)
    raise unsupported(f"{_named(host)} is no connection that can be joined.")


def kinds_of(thing: Any) -> list[str]:
    """The class of a thing and those it inherits from, each as `library.Name`; a proxy counts as what it stands for."""
    return [f"{each.__module__.split('.')[0]}.{each.__name__}" for each in thing.__class__.__mro__]


def unsupported(message: str) -> Invalid:
    """What to raise for a connection that cannot be joined."""
    return Invalid(message, cure=f"Give {SUPPORTED}.", code="unsupported_connection")


def _on_driver(connection: Any) -> SyncHost:
    for kind in kinds_of(connection):
        if kind in ("psycopg.Connection", "psycopg2.connection"):
            return PsycopgHost(connection) if kind == "psycopg.Connection" else Psycopg2Host(connection)
    raise unsupported(f"SQLAlchemy's driver here, {_named(connection)}, cannot be joined.")


def _on_async_driver(connection: Any) -> AsyncHost:
    for kind in kinds_of(connection):
        if kind in ("psycopg.AsyncConnection", "asyncpg.Connection"):
            return AsyncPsycopgHost(connection) if kind == "psycopg.AsyncConnection" else AsyncpgHost(connection)
    raise unsupported(f"SQLAlchemy's driver here, {_named(connection)}, cannot be joined.")


def _django(connection: Any) -> SyncHost:
    if connection.vendor != "postgresql":
        raise unsupported(f"The Django database {connection.alias!r} is {connection.vendor}.")
    return DjangoHost(connection)


def _sqlalchemy(host: Any) -> SyncHost:
    return SqlAlchemyHost(host, _on_driver)


def _async_sqlalchemy(host: Any) -> AsyncHost:
    return AsyncSqlAlchemyHost(host, _on_async_driver)


_HOSTS: Mapping[str, Callable[[Any], SyncHost | AsyncHost]] = {
    "psycopg.Connection": PsycopgHost,
    "psycopg.AsyncConnection": AsyncPsycopgHost,
    "psycopg2.connection": Psycopg2Host,
    "sqlalchemy.Session": _sqlalchemy,
    "sqlalchemy.scoped_session": _sqlalchemy,
    "sqlalchemy.Connection": _sqlalchemy,
    "sqlalchemy.AsyncSession": _async_sqlalchemy,
    "sqlalchemy.async_scoped_session": _async_sqlalchemy,
    "sqlalchemy.AsyncConnection": _async_sqlalchemy,
    "django.ConnectionProxy": _django,
    "django.BaseDatabaseWrapper": _django,
    "asyncpg.Connection": AsyncpgHost,
    "asyncpg.PoolConnectionProxy": AsyncpgHost,
}


def of_the_other_kind(host: Any, nature: str, facade: str) -> Invalid:
    """What to raise where a blocking facade is given an awaiting connection, or the other way round."""
    return Invalid(
        f"{_named(host)} {nature}.", cure=f"Join it with {facade}(...).using(...).", code="unsupported_connection"
    )


def _named(thing: Any) -> str:
    return f"{thing.__class__.__module__.split('.')[0]}'s {thing.__class__.__name__}"


def checked_alias(database: Any) -> None:
    """Whether this is the alias of a configured Django database; raises Invalid (`unsupported_database`)."""
    refusal = Invalid(
        f"{database!r} is no database that can be used.",
        cure="Give a URL, a psycopg pool, a SQLAlchemy engine, or the alias of a Django database.",
        code="unsupported_database",
    )
    if not isinstance(database, str):
        raise refusal
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.db import connections
    except ImportError as error:
        raise refusal from error
    try:
        known = database in connections
    except ImproperlyConfigured as error:
        raise refusal from error
    if not known:
        raise refusal
