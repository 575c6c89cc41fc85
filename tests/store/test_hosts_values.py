"""Do all hosts give the same rows, to the very types?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.conftest import Postgres
from tests.store.hosting import HOSTS, write_welcome

from dripdrop.operations import enrolling, explaining, reporting, suppressing, tracking
from dripdrop.store import hosts
from dripdrop.store.database import Database
from dripdrop.store.flow import Flow, Query, Row
from dripdrop.store.hosts_values import numbered
from dripdrop.store.scope import GLOBAL
from dripdrop.store.statements import in_schema, read

NOW = datetime(2030, 3, 1, 9, 30, tzinfo=UTC)
NEPAL = timezone(timedelta(hours=5, minutes=45))
ONE = UUID("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b")
TWO = UUID("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c")

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

every_host = pytest.mark.parametrize("kind", HOSTS)

TYPES = """
select %(id)s::uuid as id, %(ids)s::uuid[] as ids, %(no_ids)s::uuid[] as no_ids, %(at)s::timestamptz as at,
       %(ats)s::timestamptz[] as ats, %(text)s::text as text, %(texts)s::text[] as texts, %(named)s::text as named,
       %(number)s::integer as number, %(numbers)s::integer[] as numbers, %(big)s::bigint as big,
       %(yes)s::boolean as yes, %(yeses)s::boolean[] as yeses, %(bytes)s::bytea as bytes, %(span)s::interval as span,
       %(share)s::numeric as share,
       %(json)s::jsonb as json, %(word)s::jsonb as word, %(quoted)s::jsonb as quoted, %(null)s::jsonb as null,
       jsonb_typeof(%(json)s::jsonb) as kind, %(state)s::dripdrop.enrollment_state as state,
       %(state)s::text = 'active' as same, 7 %% 4 as rest, %(id)s::text as id_as_text, count(*) as count
"""

GIVEN: dict[str, Any] = {
    "id": ONE, "ids": [ONE, TWO, None], "no_ids": [], "at": NOW.astimezone(NEPAL), "ats": [NOW, None],
    "text": "Größe %s 'quoted' \\ $1 ∑", "texts": ["a", None, "b,{c}\"'\\"], "named": None,
    "number": -3, "numbers": [1, None], "big": 2**53 + 1, "yes": True, "yeses": [True, False, None],
    "bytes": b"\x00\xff'\\", "span": timedelta(days=3, microseconds=5), "share": Decimal("0.10"),
    "json": '{"a": [1, 2.5, "x", null, true], "big": 9007199254740993}', "word": '"word"', "quoted": '"\\"word\\""',
    "null": "null", "state": "active",
}  # fmt: skip

EXPECTED: dict[str, Any] = {
    **GIVEN,
    "at": NOW, "json": {"a": [1, 2.5, "x", None, True], "big": 9007199254740993}, "word": "word", "quoted": '"word"',
    "null": None, "kind": "object", "same": True, "rest": 3, "id_as_text": str(ONE), "count": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with postgres.database(migrated_template) as name:
        write_welcome(postgres.url_of(name))
        yield postgres.url_of(name)


def exactly(value: Any) -> Any:
    """A value with the type of each of its parts, so that 1 is not True and a subclass is not its base."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: exactly(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [exactly(each) for each in value]
    if isinstance(value, datetime):
        return type(value), value.isoformat()
    return type(value), value


def asked(text: str, params: Mapping[str, Any]) -> Any:
    def operation(now: datetime) -> Flow[list[Row]]:
        return (yield Query(text, params))

    return operation


@every_host
def test_values_come_back_as_the_same_objects(kind, url):
    with HOSTS[kind](url) as host:
        rows = host.run(asked(TYPES, GIVEN))
        host.rollback()
    assert [type(row) for row in rows] == [Row]
    assert exactly(rows[0]) == exactly(EXPECTED)


@every_host
def test_a_statement_without_rows_gives_an_empty_list(kind, url):
    with HOSTS[kind](url) as host:
        assert host.run(asked("select 1 as one where %(no)s::boolean", {"no": False})) == []
        assert (
            host.run(asked("update dripdrop.sequences set name = name where key = %(key)s::text", {"key": "?"})) == []
        )
        assert host.run(asked("select 5 %% 3 as rest", {})) == [{"rest": 2}]
        host.rollback()


def a_life(now: datetime) -> Flow[dict[str, Any]]:
    """What a host does in one transaction, and all that it reads of it."""
    ann = ("user", "ann")
    enrolled = yield from enrolling.enroll(NOW, GLOBAL, "welcome", subscriber=ann, data={"email": "ann@example.org"})
    paused = yield from enrolling.pause(NOW, GLOBAL, enrolled.id, reason="holiday")
    results = yield from enrolling.enroll_many(
        NOW, GLOBAL, "welcome", [{"subscriber": ("user", name), "data": {"n": [name]}} for name in ("bob", "", "ann")]
    )
    tracked = yield from tracking.track(NOW, GLOBAL, "bought", subscriber=ann, data={"price": 9.5})
    blocked = yield from suppressing.suppress(NOW, GLOBAL, "email", "Bob@Example.org", "unsubscribe")
    return {
        "enrolled": enrolled, "paused": paused, "results": [(each.ok, each.created) for each in results],
        "tracked": tracked, "blocked": blocked,
        "enrollments": (yield from reporting.enrollments(NOW, GLOBAL)),
        "executions": (yield from reporting.executions(NOW, GLOBAL)),
        "journal": (yield from reporting.journal(NOW, GLOBAL)),
        "explained": (yield from explaining.explain(NOW, GLOBAL, enrollment=enrolled.id)),
    }  # fmt: skip


def without_ids(value: Any) -> Any:
    """Ids differ from run to run, wherever they stand."""
    if isinstance(value, dict):
        return {key: without_ids(each) for key, each in value.items() if key not in ("id", "inserted_at")}
    if isinstance(value, tuple) and value and value[0] is UUID:
        return UUID
    if isinstance(value, (list, tuple)):
        return type(value)(without_ids(each) for each in value)
    return ID.sub("ID", value) if isinstance(value, str) else value


@every_host
def test_a_life_reads_the_same_from_every_host(kind, url):
    database = Database(url)

    class Undone(Exception):
        pass

    found: list[Any] = []

    def undone(now: datetime) -> Flow[None]:
        found.append((yield from a_life(now)))
        raise Undone

    with pytest.raises(Undone):
        database.run(undone)
    database.close()
    with HOSTS[kind](url) as host:
        lived = host.run(a_life)
        host.rollback()
    assert without_ids(exactly(lived)) == without_ids(exactly(found[0]))


def every_statement() -> dict[str, str]:
    folder = Path(hosts.__file__).parent
    return {
        f"{path.stem}.{name}": text
        for path in sorted(folder.glob("*.sql"))
        for name, text in read("dripdrop.store", path.name).items()
    }


def test_every_statement_prepares_on_asyncpg_with_types_it_can_send(url):
    async def prepared() -> dict[str, set[str]]:
        connection = await asyncpg.connect(url)
        kinds = {}
        for name, text in every_statement().items():
            made = numbered(text)
            found = (await connection.prepare(made.text)).get_parameters()
            assert len(found) == len(made.places), name
            for (_, as_text, as_list), kind in zip(made.places, found, strict=True):
                assert not as_text or kind.name == ("text[]" if as_list else "text"), (name, kind)
            kinds[name] = {kind.name.removesuffix("[]") for kind in found}
        await connection.close()
        return kinds

    kinds = asyncio.run(prepared())
    assert len(kinds) > 60
    sendable = {"text", "uuid", "int4", "int8", "bool", "timestamptz", "interval", "bytea", "name"}
    assert {name: more for name, used in kinds.items() if (more := used - sendable)} == {}


def test_a_name_has_one_number_for_each_type_it_is_cast_to():
    made = numbered(
        "select %(a)s::text, %(b)s::jsonb, %(a)s::text, %(a)s::uuid, 100 %% 7, %(c)s, %(d)s::dripdrop.mode[]"
    )
    assert made.text == (
        "select $1::text, $2::text::jsonb, $1::text, $3::uuid, 100 % 7, $4, $5::text[]::dripdrop.mode[]"
    )
    assert made.values({"a": ONE, "b": "{}", "c": 1, "d": ["x", None]}) == [str(ONE), "{}", ONE, 1, ["x", None]]
    assert numbered(made.text) is numbered(made.text)


def test_a_cast_to_a_type_of_another_schema_goes_as_text_too():
    made = numbered(in_schema("select %(s)s::dripdrop.enrollment_state from dripdrop.enrollments", "mine"))
    assert made.text == 'select $1::text::"mine".enrollment_state from "mine".enrollments'
