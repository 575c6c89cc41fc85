"""A stop holds back exactly what it names, for exactly whom it may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.operations.desk import ACME, GLOBAL, NOW, Desk, at_desk

from dripdrop.errors import Invalid, NotFound, Refused
from dripdrop.operations import stopping
from dripdrop.store import stops
from dripdrop.store.scope import Scope

BETA = Scope("beta")


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


def held(desk: Desk, tenant: str, **what: Any) -> str | None:
    stop = stops.holding(desk.do(stops.in_force()), tenant, **what)
    return stop.kind if stop else None


def adapter(desk: Desk, tenant: str = "") -> Any:
    return desk.one(
        "insert into dripdrop.channel_adapters (tenant_key, name, channel, provider, inserted_at, updated_at)"
        " values (%(tenant)s, 'main', 'email', 'local', %(now)s, %(now)s) returning id",
        tenant=tenant, now=NOW,
    )  # fmt: skip


def test_everything_is_held_until_it_may_go(desk: Desk) -> None:
    desk.do(stopping.stop(NOW, GLOBAL, everything=True, reason="wrong price"))
    assert (held(desk, ""), held(desk, "acme")) == ("all", "all")
    assert desk.do(stopping.go(NOW, GLOBAL, everything=True)).reason == "wrong price"
    assert held(desk, "acme") is None


def test_the_operator_stops_one_tenant_and_the_tenant_cannot_lift_it(desk: Desk) -> None:
    desk.do(stopping.stop(NOW, GLOBAL, tenant="acme"))
    assert (held(desk, "acme"), held(desk, "beta"), held(desk, "")) == ("tenant", None, None)
    with pytest.raises(NotFound):
        desk.do(stopping.go(NOW, ACME, everything=True))
    with pytest.raises(Refused):
        desk.do(stopping.go(NOW, ACME, tenant="acme"))
    desk.do(stopping.go(NOW, GLOBAL, tenant="acme"))
    assert held(desk, "acme") is None


def test_a_tenant_stops_everything_of_its_own(desk: Desk) -> None:
    desk.do(stopping.stop(NOW, ACME, everything=True))
    assert (held(desk, "acme"), held(desk, "beta"), held(desk, "")) == ("all", None, None)


def test_a_global_sequence_stopped_by_a_tenant_goes_on_for_the_others(desk: Desk) -> None:
    sequence = desk.sequence("onboarding", "welcome")
    desk.do(stopping.stop(NOW, ACME, sequence="onboarding"))
    assert held(desk, "acme", sequence_id=sequence) == "sequence"
    assert held(desk, "acme", sequence_id=uuid4()) is None
    assert held(desk, "beta", sequence_id=sequence) is None
    desk.do(stopping.stop(NOW, GLOBAL, sequence="onboarding"))
    assert held(desk, "beta", sequence_id=sequence) == "sequence"


def test_an_adapter_is_stopped_by_name_or_id(desk: Desk) -> None:
    found = adapter(desk)
    desk.do(stopping.stop(NOW, GLOBAL, adapter="main"))
    assert held(desk, "acme", adapter_id=found) == "adapter"
    assert held(desk, "acme", adapter_id=uuid4()) is None
    assert held(desk, "acme", adapter_id=None) is None
    desk.do(stopping.go(NOW, GLOBAL, adapter=found))
    assert held(desk, "acme", adapter_id=found) is None


def test_a_foreign_sequence_or_adapter_looks_missing(desk: Desk) -> None:
    desk.sequence("private", "welcome", tenant="beta")
    found = adapter(desk, "beta")
    for target in ({"sequence": "private"}, {"adapter": found}, {"sequence": uuid4()}):
        with pytest.raises(NotFound):
            desk.do(stopping.stop(NOW, ACME, **target))


@pytest.mark.parametrize(
    "target", [{}, {"everything": True, "sequence": "x"}, {"tenant": "acme", "adapter": "x"}, {"everything": False}]
)
def test_exactly_one_thing_is_named(desk: Desk, target: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        desk.do(stopping.stop(NOW, GLOBAL, **target))
    assert refused.value.code == "one_target"


def test_an_empty_tenant_is_refused_and_does_not_mean_everybody(desk: Desk) -> None:
    with pytest.raises(Invalid):
        desk.do(stopping.stop(NOW, GLOBAL, tenant=""))
    assert desk.do(stops.in_force()) == []


def test_stopping_twice_is_one_stop_and_keeps_a_reason(desk: Desk) -> None:
    desk.do(stopping.stop(NOW, ACME, everything=True, reason="first"))
    desk.do(stopping.stop(NOW, ACME, everything=True))
    again = desk.do(stopping.stop(NOW, ACME, everything=True, reason="second"))
    assert [each.reason for each in desk.do(stopping.list_(NOW, ACME))] == ["second"]
    assert again.at == NOW


def test_what_is_not_stopped_cannot_be_started(desk: Desk) -> None:
    with pytest.raises(NotFound):
        desk.do(stopping.go(NOW, GLOBAL, everything=True))


def test_a_tenant_lists_what_concerns_it_and_the_operator_lists_all(desk: Desk) -> None:
    desk.do(stopping.stop(NOW, BETA, everything=True))
    desk.do(stopping.stop(NOW, GLOBAL, tenant="acme"))
    desk.do(stopping.stop(NOW, GLOBAL, everything=True))
    assert {each.tenant_key for each in desk.do(stopping.list_(NOW, ACME))} == {"", "acme"}
    assert {each.tenant_key for each in desk.do(stopping.list_(NOW, GLOBAL))} == {"", "acme", "beta"}
