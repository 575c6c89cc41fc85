"""A provider account is saved whole or not at all, and its secrets are never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from tests.operations.desk import ACME, GLOBAL, NOW, Desk, at_desk

from dripdrop.errors import BadSettings, Conflict, Invalid, NotFound, Refused, Unreadable
from dripdrop.operations import provisioning
from dripdrop.plugins import Plugins
from dripdrop.store import adapters
from dripdrop.store.adapters import Adapter
from dripdrop.store.runners import run_sync
from dripdrop.store.scope import Scope
from dripdrop.vault import Vault

VAULT = Vault([b"k" * 32])
SECRET = "very-secret-value"


class Postbox:
    """A provider that wants two credentials."""

    name, channel = "postbox", "email"

    def deliver(self, delivery: Any, config: Mapping[str, Any]) -> Any:
        raise AssertionError("nothing is sent here")

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(key, f"{key} is required") for key in ("api_key", "domain") if not credentials.get(key)]


PLUGINS = Plugins([Postbox()], installed=lambda group: [])
GOOD = {"api_key": SECRET, "domain": "example.org"}


def known(channel: str, provider: str) -> Any:
    return PLUGINS.get("provider", provider, channel)


def create(scope: Scope = GLOBAL, name: str = "main", **more: Any) -> Any:
    given = {"channel": "email", "provider": "postbox", "credentials": GOOD, "known": known, "vault": VAULT, **more}
    return provisioning.create(NOW, scope, name, **given)


def update(adapter: Any, scope: Scope = GLOBAL, **more: Any) -> Any:
    return provisioning.update(NOW, scope, adapter, known=known, vault=VAULT, **more)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


def test_an_adapter_is_created_and_read_back_by_id_and_name(desk: Desk) -> None:
    made = desk.do(create(config={"region": "eu"}, daily_cap=100, ramp_floor=0, min_gap_seconds=5, is_default=True))
    for asked in (made.id, str(made.id), "main", made):
        found = desk.do(provisioning.get(NOW, GLOBAL, asked))
        assert found == made
    assert (found.config, found.daily_cap, found.ramp_floor) == ({"region": "eu"}, 100, 0)


def test_credentials_open_for_their_own_row_only(desk: Desk) -> None:
    one, two = desk.do(create(name="one")), desk.do(create(name="two"))
    assert adapters.credentials(one, VAULT) == GOOD
    assert SECRET.encode() not in desk.one("select credentials from dripdrop.channel_adapters where name = 'one'")
    with pytest.raises(Unreadable):
        adapters.credentials(replace(two, credentials_sealed=one.credentials_sealed), VAULT)


def test_a_list_and_a_repr_show_no_credentials(desk: Desk) -> None:
    made = desk.do(create())
    (listed,) = desk.do(provisioning.list_(NOW, GLOBAL))
    assert listed.credentials_sealed is None
    assert "credentials" not in repr(made)


def test_every_problem_is_named_at_once(desk: Desk) -> None:
    with pytest.raises(Invalid) as refused:
        desk.do(
            create(name=" ", credentials={}, daily_cap=0, ramp_increment=-1, min_gap_seconds=True, config={"x": {1, 2}})
        )
    assert {finding.path for finding in refused.value.findings} == {
        "name", "credentials.api_key", "credentials.domain", "daily_cap", "ramp_increment", "min_gap_seconds", "config",
    }  # fmt: skip
    assert "api_key is required." in str(refused.value)
    assert desk.do(provisioning.list_(NOW, GLOBAL)) == []


def test_an_unknown_provider_is_answered_with_a_suggestion(desk: Desk) -> None:
    with pytest.raises(NotFound, match="Did you mean postbox"):
        desk.do(create(provider="postbux"))


def test_a_name_is_taken_within_a_tenant_only(desk: Desk) -> None:
    desk.do(create(ACME))
    with pytest.raises(Conflict) as refused:
        desk.do(create(ACME))
    assert refused.value.code == "name_taken"
    desk.do(create(Scope("beta")))
    desk.do(create(ACME, name="other"))
    with pytest.raises(Conflict):
        desk.do(update("other", ACME, name="main"))


def test_a_new_default_takes_the_place_of_the_old(desk: Desk) -> None:
    desk.do(create(name="one", is_default=True))
    desk.do(create(name="two", is_default=True))
    desk.do(create(ACME, name="three", is_default=True))
    assert [each.name for each in desk.do(provisioning.list_(NOW, GLOBAL)) if each.is_default] == ["two"]
    desk.do(update("one", is_default=True))
    assert [each.name for each in desk.do(provisioning.list_(NOW, GLOBAL)) if each.is_default] == ["one"]


def test_the_default_is_the_tenants_own_before_the_global_one(desk: Desk) -> None:
    assert desk.do(provisioning.default(NOW, ACME, "email")) is None
    desk.do(create(name="global", is_default=True))
    desk.do(create(ACME, name="own", is_default=True))
    desk.do(create(Scope("beta"), name="foreign", is_default=True, active=False))
    names = {
        scope.tenant: found.name if (found := desk.do(provisioning.default(NOW, scope, "email"))) else None
        for scope in (ACME, Scope("beta"), GLOBAL)
    }
    assert names == {"acme": "own", "beta": "global", "": "global"}
    assert desk.do(provisioning.default(NOW, ACME, "sms")) is None


def test_a_batch_of_tenants_is_served_by_one_look(desk: Desk) -> None:
    desk.do(create(name="global", is_default=True))
    desk.do(create(ACME, name="own", is_default=True))
    rows = desk.do(adapters.usable(["acme", "beta"], ["email", "sms"]))
    picked = [adapters.default_for(rows, tenant, "email") for tenant in ("acme", "beta")]
    assert [each.name if each else None for each in picked] == ["own", "global"]
    assert {each.id for each in desk.do(adapters.load([row.id for row in rows] + [uuid4()]))} == {
        row.id for row in rows
    }


def test_an_update_changes_what_is_named_and_leaves_the_rest(desk: Desk) -> None:
    made = desk.do(create(daily_cap=10, config={"a": 1}))
    changed = desk.do(update(made, daily_cap=None, active=False))
    assert changed == replace(made, daily_cap=None, active=False)
    assert desk.do(provisioning.get(NOW, GLOBAL, made)) == changed
    renewed = desk.do(update(made.id, credentials={**GOOD, "api_key": "new"}))
    assert adapters.credentials(renewed, VAULT)["api_key"] == "new"


@pytest.mark.parametrize(
    "change", [{"channel": "sms"}, {"id": uuid4()}, {"tenant_key": "x"}, {"credentials_sealed": b""}]
)
def test_what_an_adapter_is_cannot_be_changed(desk: Desk, change: dict[str, Any]) -> None:
    made = desk.do(create())
    with pytest.raises(Invalid) as refused:
        desk.do(update(made, **change))
    assert refused.value.code == "unknown_key"


def test_an_update_is_checked_like_a_creation(desk: Desk) -> None:
    made = desk.do(create())
    for change in ({"daily_cap": 0}, {"credentials": {"api_key": "x"}}, {"name": ""}):
        with pytest.raises(Invalid):
            desk.do(update(made, **change))
    assert desk.do(provisioning.get(NOW, GLOBAL, made)) == made


def test_a_tenant_sees_a_global_adapter_and_may_not_change_it(desk: Desk) -> None:
    made = desk.do(create())
    assert desk.do(provisioning.get(NOW, ACME, "main")) == made
    with pytest.raises(Refused):
        desk.do(update("main", ACME, active=False))


def test_an_adapter_of_another_tenant_looks_missing(desk: Desk) -> None:
    made: Adapter = desk.do(create(ACME))
    for scope in (GLOBAL, Scope("beta")):
        assert desk.do(provisioning.list_(NOW, scope)) == []
        for asked in (made.id, "main", "no-such"):
            with pytest.raises(NotFound):
                desk.do(provisioning.get(NOW, scope, asked))


def test_the_list_goes_by_channel_then_name_and_can_be_narrowed(desk: Desk) -> None:
    for name in ("b", "a"):
        desk.do(create(name=name, active=name == "a"))
    assert [each.name for each in desk.do(provisioning.list_(NOW, GLOBAL))] == ["a", "b"]
    assert [each.name for each in desk.do(provisioning.list_(NOW, GLOBAL, active=False))] == ["b"]
    assert desk.do(provisioning.list_(NOW, GLOBAL, channel="sms")) == []


def test_credentials_without_a_key_to_seal_them_are_not_stored(desk: Desk) -> None:
    with pytest.raises(BadSettings) as refused:
        desk.do(create(vault=None))
    assert refused.value.code == "missing"


def test_of_two_who_make_a_default_at_once_the_later_one_has_it(desk: Desk, database_url: str) -> None:
    with ThreadPoolExecutor(1) as pool, at_desk(database_url) as other:
        with desk.connection.transaction():
            run_sync(desk.connection, create(name="first", is_default=True))
            waiting = pool.submit(other.do, create(name="second", is_default=True))
            while not desk.one("select count(*) from pg_locks where locktype = 'advisory' and not granted"):
                assert not waiting.done()
        assert waiting.result(10).is_default
    names = {each.name: each.is_default for each in desk.do(provisioning.list_(NOW, GLOBAL))}
    assert names == {"first": False, "second": True}
