"""Does a request of a framework enroll in its own transaction?"""

from __future__ import annotations

import asyncio
import logging
import sys
import types
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.conftest import Postgres
from tests.store.hosting import django_alias, sqlalchemy_url, write_welcome

from dripdrop import AsyncDripDrop, DripDrop
from dripdrop.errors import Invalid, Unavailable
from dripdrop.integrations import flask as in_flask
from dripdrop.integrations import sqlalchemy as tables
from dripdrop.integrations.fastapi import joined, lifespan

ANN = {"subscriber": ("user", "ann"), "data": {"email": "ann@example.org"}}


@pytest.fixture
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with postgres.database(migrated_template) as name:
        write_welcome(postgres.url_of(name))
        yield postgres.url_of(name)


def enrolled(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("select count(*) from dripdrop.enrollments").fetchone()[0]


def fastapi_app(url: str, drip: AsyncDripDrop, **more: Any) -> Any:
    fastapi = pytest.importorskip("fastapi")

    async def session() -> Any:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            yield connection

    app = fastapi.FastAPI(lifespan=lifespan(drip, **more))
    asked, asked_for_session = fastapi.Depends(joined(drip, session)), fastapi.Depends(session)

    @app.post("/people")
    async def sign_up(view: Any = asked, own: Any = asked_for_session, declined: bool = False) -> dict[str, Any]:
        assert view._host is own
        found = await view.enroll("welcome", **ANN)
        if declined:
            raise fastapi.HTTPException(402)
        return {"created": found.created}

    return app


async def test_a_request_of_fastapi_enrolls_in_its_own_transaction(url):
    async with AsyncDripDrop(url) as drip:
        transport = httpx2.ASGITransport(app=fastapi_app(url, drip))
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
            assert (await client.post("/people", params={"declined": True})).status_code == 402
            assert enrolled(url) == 0
            assert (await client.post("/people")).json() == {"created": True}
            assert enrolled(url) == 1


async def test_an_application_may_hold_a_worker_that_ends_with_it(url):
    drip = AsyncDripDrop(url)
    started = asyncio.Event()
    drip.telemetry.listen(lambda event: started.set(), "worker.started")
    with psycopg.connect(url, autocommit=True) as connection:
        async with lifespan(drip, worker=True)(None):
            await asyncio.wait_for(started.wait(), 10)
            assert workers(connection) == 1
        assert workers(connection) == 0


async def test_a_worker_that_cannot_start_is_told_and_the_application_goes_on(url, caplog):
    with psycopg.connect(url) as connection:
        connection.execute("update dripdrop.clock set ahead = interval '1 day'")
    drip = AsyncDripDrop(url)
    told = asyncio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    logger = logging.getLogger("dripdrop.integrations")
    logger.addHandler(listener := Listener())
    async with lifespan(drip, worker=True)(None):
        await asyncio.wait_for(told.wait(), 30)
    logger.removeHandler(listener)
    assert "The worker has ended: Business time is 1 day" in caplog.text


def workers(connection: psycopg.Connection[Any]) -> int:
    return connection.execute("select count(*) from dripdrop.workers where not stopping").fetchone()[0]


def test_a_request_of_flask_enrolls_in_its_own_transaction(url):
    flask = pytest.importorskip("flask")
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"))
    app = flask.Flask(__name__)
    with app.app_context(), pytest.raises(Invalid, match="init_app") as refusal:
        in_flask.joined()
    assert refusal.value.code == "not_set_up"
    with DripDrop(engine) as drip:
        in_flask.init_app(app, drip)
        with app.app_context(), pytest.raises(Invalid, match="session"):
            in_flask.joined()
        with Session(engine) as session, app.app_context():
            app.extensions["sqlalchemy"] = types.SimpleNamespace(session=session)
            in_flask.joined().enroll("welcome", **ANN)
            session.rollback()
            assert enrolled(url) == 0
            in_flask.joined(session).enroll("welcome", **ANN)
            session.commit()
            assert enrolled(url) == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("ask", "library"), [(in_flask.joined, "Flask"), (lambda: joined(DripDrop("x://"), lambda: None), "FastAPI")]
)
def test_a_framework_that_is_missing_is_named(ask, library, monkeypatch):
    for name in ("flask", "fastapi"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unavailable, match=f"{library} is not installed"):
        ask()


def test_a_view_of_django_enrolls_in_its_own_transaction(url, monkeypatch):
    from django.conf import settings
    from django.db import transaction

    from dripdrop.integrations import django as in_django

    with django_alias(url) as alias, DripDrop(alias) as drip:
        with pytest.raises(Invalid, match=r"settings\.DRIPDROP") as refusal:
            in_django.joined(alias)
        assert refusal.value.code == "not_set_up"
        monkeypatch.setattr(settings, "DRIPDROP", f"{__name__}.nowhere", raising=False)
        with pytest.raises(Invalid, match="cannot be imported"):
            in_django.joined(alias)
        monkeypatch.setitem(globals(), "held", drip)
        monkeypatch.setattr(settings, "DRIPDROP", f"{__name__}.held")
        with transaction.atomic(using=alias):
            in_django.joined(alias).enroll("welcome", **ANN)
            transaction.set_rollback(True, using=alias)
        assert enrolled(url) == 0
        with transaction.atomic(using=alias):
            in_django.joined(alias).enroll("welcome", **ANN)
        assert enrolled(url) == 1
        # Without joining, an operation is a transaction of its own.
        assert [each.subscriber_id for each in drip.enrollments.list()] == ["ann"]


def test_a_host_selects_people_and_messages_with_its_own_tables(url):
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"))
    with DripDrop(engine) as drip, Session(engine) as session:
        made = drip.using(session).enroll("welcome", **ANN)
        people, visits, kept = tables.enrollments(), tables.executions(), tables.sequences()
        asked = (
            select(kept.c.key, people.c.started_at, visits.c.state)
            .join_from(people, kept, kept.c.id == people.c.sequence_id)
            .join(visits, visits.c.enrollment_id == people.c.id)
            .where(people.c.subscriber_id == "ann", people.c.id == made.id)
        )
        key, started_at, state = session.execute(asked).one()
        assert (key, state) == ("welcome", "scheduled")
        assert isinstance(started_at, datetime)
        for table in (people, visits, kept):
            session.execute(select(table)).all()
        assert tables.executions("mine").schema == "mine"
    engine.dispose()
