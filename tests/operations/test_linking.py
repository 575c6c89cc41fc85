"""A link is made once for whoever needs it, and stays its tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from tests.operations.desk import ACME, NOW, Desk, at_desk

from dripdrop.operations import linking
from dripdrop.store.links import Fresh
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import GLOBAL


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


def fresh(name: str, **more: str) -> Fresh:
    return replace(Fresh(name, "https://a.example", "https://a.example", f"https://s.example/l/{name}", name), **more)


def test_whoever_was_first_wins(desk: Desk) -> None:
    desk.do(linking.keep(NOW, GLOBAL, None, "builtin", [fresh("one")]))
    later = fresh("one", short_url="https://s.example/l/other", external_id="other")
    kept = desk.do(linking.keep(NOW, GLOBAL, None, "builtin", [later, fresh("two")]))
    assert kept == {"one": "https://s.example/l/one", "two": "https://s.example/l/two"}
    assert desk.do(linking.find(NOW, GLOBAL, ["one", "two", "three"])) == kept


def test_a_code_that_is_taken_is_left_to_its_owner(desk: Desk) -> None:
    desk.do(linking.keep(NOW, GLOBAL, None, "builtin", [fresh("one")]))
    kept = desk.do(linking.keep(NOW, GLOBAL, None, "builtin", [fresh("two", external_id="one"), fresh("three")]))
    assert set(kept) == {"three"}
    elsewhere = desk.do(linking.keep(NOW, GLOBAL, None, "webhook", [fresh("four", external_id="one")]))
    assert set(elsewhere) == {"four"}


def test_two_links_of_one_message_that_have_one_code_are_told_apart(desk: Desk) -> None:
    kept = desk.do(
        linking.keep(NOW, GLOBAL, None, "builtin", [fresh("one", external_id="x"), fresh("two", external_id="x")])
    )
    assert len(kept) == 1


def test_a_tenant_finds_its_own_links_only(desk: Desk) -> None:
    desk.do(linking.keep(NOW, ACME, None, "builtin", [fresh("one")]))
    assert desk.do(linking.find(NOW, GLOBAL, ["one"])) == {}
    assert desk.do(linking.find(NOW, ACME, ["one"])) == {"one": "https://s.example/l/one"}
    assert desk.do(linking.keep(NOW, GLOBAL, None, "builtin", [fresh("one", short_url="https://s.example/l/x")])) == {}


def test_many_workers_at_once_keep_one_and_the_same(database_url: str) -> None:
    def keep(number: int) -> dict[str, str]:
        mine = [fresh(f"k{each}", short_url=f"https://s.example/{number}", external_id=None) for each in range(20)]
        if number % 2:
            mine.reverse()
        with psycopg.connect(database_url) as connection:
            return run_sync(connection, linking.keep(NOW, GLOBAL, None, "webhook", mine))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(keep, range(6)))
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 20
