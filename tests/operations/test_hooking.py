"""HTTP hooks as rows: made, changed, carried from a definition, tested; their credentials sealed throughout."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.hooks.endpoint import Endpoint
from tests.world import NOON, TWO_STEPS, World

from dripdrop import Conflict, Invalid, NotFound, Refused
from dripdrop.rules.document import canonical, document_of
from dripdrop.testing import FakeProvider, FrozenClock

SECRET = "s3cret-of-the-crm-0815"
URL = "https://crm.example.com/score"


def hooked(**said: Any) -> dict[str, Any]:
    return {**TWO_STEPS, "http_hooks": {"score": {"url": URL, **said}}}


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = await Endpoint({"data": {"score": 85}}).start()
    yield made
    await made.stop()


@pytest.fixture
async def world(database_url: str, endpoint: Endpoint) -> AsyncIterator[World]:
    made = World(database_url, FakeProvider(), FrozenClock(NOON), http_allow=[endpoint.host])
    await made.begin()
    yield made
    await made.close()


def codes(caught: Any) -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in caught.value.findings]


def sealed(world: World) -> list[Any]:
    return [row[0] for row in world.query("select auth_config from dripdrop.http_hooks order by key")]


async def test_a_hook_is_made_listed_changed_and_found(world):
    made = await world.drip.hooks.create("onboarding", key="Score Lead", url=URL, auth={"bearer": SECRET})
    assert (made.key, made.name, made.method, made.auth_type) == ("score_lead", "Score lead", "POST", "bearer")
    assert [each.key for each in await world.drip.hooks.list("onboarding")] == ["score_lead"]
    assert await world.drip.hooks.get("onboarding/score_lead") == await world.drip.hooks.get(made.id)
    changed = await world.drip.hooks.update("onboarding/score_lead", timeout_ms=900, response_type="number")
    assert (changed.timeout_ms, changed.response_type, changed.auth_type) == (900, "number", "bearer")
    assert changed.auth_sealed == made.auth_sealed
    assert await world.drip.hooks.get(made) == changed


async def test_credentials_are_sealed_and_shown_nowhere(world):
    made = await world.drip.hooks.create("onboarding", key="score", url=URL, auth={"bearer": SECRET})
    assert SECRET not in repr(made)
    assert SECRET.encode() not in bytes(sealed(world)[0])
    row = world.query("select h::text from dripdrop.http_hooks h")[0][0]
    assert SECRET not in row


async def test_a_key_is_taken_once(world):
    await world.drip.hooks.create("onboarding", key="score", url=URL)
    with pytest.raises(Conflict) as caught:
        await world.drip.hooks.create("onboarding", key="SCORE", url=URL)
    assert caught.value.code == "hook_taken"


async def test_every_problem_is_told_at_once(world):
    with pytest.raises(Invalid) as caught:
        await world.drip.hooks.create("onboarding", key="x", url="http://10.0.0.1/", timeout_ms=0, retry_count=9)
    assert caught.value.code == "hook"
    assert codes(caught) == [("url_blocked", "url"), ("out_of_range", "timeout_ms"), ("out_of_range", "retry_count")]


async def test_credentials_do_not_follow_a_url_to_another_host(world):
    await world.drip.hooks.create("onboarding", key="score", url=URL, auth={"bearer": SECRET})
    with pytest.raises(Invalid) as caught:
        await world.drip.hooks.update("onboarding/score", url="https://evil.example.org/score")
    assert codes(caught) == [("hook_moved", "url")]
    await world.drip.hooks.update("onboarding/score", url="https://crm.example.com/v2/score")
    moved = await world.drip.hooks.update(
        "onboarding/score", url="https://crm.example.org/score", auth={"bearer": "another"}
    )
    assert moved.url == "https://crm.example.org/score"


async def test_what_there_is_not_is_not_found(world):
    for name in ("onboarding/nothing", "nothing/score", "nothing", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(NotFound):
            await world.drip.hooks.get(name)


async def test_a_tenant_sees_a_global_hook_and_cannot_change_it_nor_another_tenants(world):
    acme, other = world.drip.for_tenant("acme"), world.drip.for_tenant("other")
    shared = await world.drip.hooks.create("onboarding", key="score", url=URL)
    await acme.sequences.create("own", name="Own")
    own = await acme.hooks.create("own", key="score", url=URL)
    assert [each.id for each in await acme.hooks.list()] == [shared.id, own.id]
    assert [each.id for each in await other.hooks.list()] == [shared.id]
    assert await acme.hooks.get(shared.id) == shared
    with pytest.raises(NotFound):
        await other.hooks.get(own.id)
    with pytest.raises(NotFound):
        await world.drip.hooks.get(own.id)
    for tenant in (acme, other):
        with pytest.raises(Refused) as caught:
            await tenant.hooks.update(shared, active=False)
        assert caught.value.code == "global_sequence"
    with pytest.raises(Refused):
        await acme.hooks.create("onboarding", key="mine", url=URL)


class TestDefinitions:
    async def test_a_definition_makes_its_hooks(self, world, monkeypatch):
        monkeypatch.setenv("CRM_TOKEN", SECRET)
        done = await world.drip.sequences.apply(hooked(auth={"bearer": "${CRM_TOKEN}"}, retry_count=0))
        assert "http_hooks.score" in done.changed or "http_hooks" in done.changed
        (hook,) = await world.drip.hooks.list("onboarding")
        assert (hook.key, hook.retry_count, hook.auth_type) == ("score", 0, "bearer")

    async def test_the_same_again_changes_nothing(self, world, monkeypatch):
        monkeypatch.setenv("CRM_TOKEN", SECRET)
        document = hooked(auth={"bearer": "${CRM_TOKEN}"})
        first = await world.drip.sequences.apply(document)
        kept = sealed(world)
        again = await world.drip.sequences.apply(document)
        assert (again.changed, again.version.id) == ([], first.version.id)
        assert sealed(world) == kept

    async def test_a_new_secret_in_the_environment_is_a_change(self, world, monkeypatch):
        document = hooked(auth={"bearer": "${CRM_TOKEN}"})
        monkeypatch.setenv("CRM_TOKEN", SECRET)
        first = await world.drip.sequences.apply(document)
        monkeypatch.setenv("CRM_TOKEN", SECRET + "-rotated")
        again = await world.drip.sequences.apply(document)
        assert again.changed == ["http_hooks.score.auth"]
        assert again.version.id == first.version.id

    async def test_what_was_changed_by_hand_becomes_what_is_written(self, world):
        await world.drip.sequences.apply(hooked())
        await world.drip.hooks.update("onboarding/score", active=False, timeout_ms=1)
        again = await world.drip.sequences.apply(hooked())
        assert again.changed == ["http_hooks.score.timeout_ms", "http_hooks.score.active"]
        assert (await world.drip.hooks.get("onboarding/score")).active

    async def test_the_secret_stands_in_no_table_in_clear(self, world, monkeypatch):
        monkeypatch.setenv("CRM_TOKEN", SECRET)
        done = await world.drip.sequences.apply(hooked(auth={"bearer": "${CRM_TOKEN}"}))
        assert SECRET not in str(canonical(document_of(done.version)))
        tables = [row[0] for row in world.query("select tablename from pg_tables where schemaname = 'dripdrop'")]
        for table in tables:
            for (row,) in world.query(f"select t::text from dripdrop.{table} t"):
                assert SECRET not in row
                assert SECRET.encode().hex() not in row

    async def test_a_definition_reads_back_the_same(self, world, monkeypatch):
        monkeypatch.setenv("CRM_TOKEN", SECRET)
        document = hooked(auth={"bearer": "${CRM_TOKEN}"}, response_path="data.score")
        done = await world.drip.sequences.apply(document)
        said = canonical(document_of(done.version))
        assert said["http_hooks"] == document["http_hooks"]
        assert (await world.drip.sequences.apply(said)).changed == []

    async def test_a_missing_variable_is_told_and_nothing_is_applied(self, world, monkeypatch):
        monkeypatch.delenv("CRM_TOKEN", raising=False)
        with pytest.raises(Invalid) as caught:
            await world.drip.sequences.apply(hooked(auth={"bearer": "${CRM_TOKEN}"}))
        assert codes(caught) == [("hook_secret", "http_hooks.score.auth")]
        assert await world.drip.hooks.list() == []

    async def test_who_has_not_the_secret_may_apply_again_but_not_move_it(self, world, monkeypatch):
        monkeypatch.setenv("CRM_TOKEN", SECRET)
        document = hooked(auth={"bearer": "${CRM_TOKEN}"})
        await world.drip.sequences.apply(document)
        monkeypatch.delenv("CRM_TOKEN")
        assert (await world.drip.sequences.apply({**document, "name": "Renamed"})).changed == ["name"]
        document["http_hooks"]["score"]["url"] = "https://evil.example.org/"
        with pytest.raises(Invalid) as caught:
            await world.drip.sequences.apply(document)
        assert codes(caught) == [("hook_secret", "http_hooks.score.auth")]

    async def test_a_secret_in_clear_is_refused_before_it_is_kept(self, world):
        for attempt in (
            world.drip.sequences.apply(hooked(auth={"bearer": SECRET})),
            world.drip.sequences.draft(
                "onboarding", config={"http_hooks": hooked(auth={"bearer": SECRET})["http_hooks"]}
            ),
        ):
            with pytest.raises(Invalid) as caught:
                await attempt
            assert codes(caught) == [("hook_secret_in_clear", "http_hooks.score.auth.bearer")]
            assert SECRET not in str(caught.value)
        assert not world.query("select 1 from dripdrop.sequence_versions where config::text like %s", f"%{SECRET}%")

    async def test_a_hook_that_a_new_version_no_longer_names_stays(self, world):
        await world.drip.sequences.apply(hooked())
        await world.drip.sequences.apply(TWO_STEPS)
        assert [each.key for each in await world.drip.hooks.list("onboarding")] == ["score"]

    async def test_activating_a_draft_carries_its_hooks(self, world):
        draft = await world.drip.sequences.clone_version((await world.drip.sequences.apply(hooked())).version)
        await world.drip.hooks.update("onboarding/score", timeout_ms=1)
        await world.drip.sequences.activate(draft)
        assert (await world.drip.hooks.get("onboarding/score")).timeout_ms == 5000


class TestTrying:
    async def test_a_test_answers_and_is_kept(self, world, endpoint):
        await world.drip.hooks.create(
            "onboarding",
            key="score",
            url=endpoint.url + "/{{ id }}",
            response_path="data.score",
            response_type="number",
        )
        tried = await world.drip.hooks.test("onboarding/score", {"id": 7})
        assert (tried.outcome, tried.value, tried.answered) == ("answered", 85, True)
        assert endpoint.requests[0].target == "/7"
        kept = await world.drip.hooks.get("onboarding/score")
        assert kept.last_test_at == world.clock.now()
        assert kept.last_test_result is not None
        assert (kept.last_test_result["outcome"], kept.last_test_result["value"]) == ("answered", 85)

    async def test_every_test_asks_anew(self, world, endpoint):
        hook = await world.drip.hooks.create("onboarding", key="score", url=endpoint.url)
        for _ in range(3):
            await world.drip.hooks.test(hook)
        assert len(endpoint.requests) == 3

    async def test_trouble_is_told_and_kept(self, world, endpoint):
        hook = await world.drip.hooks.create("onboarding", key="score", url=endpoint.url, retry_count=0)
        for answer, outcome, reason in ((503, "unavailable", "http_503"), (404, "broken", "http_404")):
            endpoint.answer = answer
            tried = await world.drip.hooks.test(hook)
            assert (tried.outcome, tried.reason) == (outcome, reason)
            kept = await world.drip.hooks.get(hook)
            assert kept.last_test_result is not None
            assert (kept.last_test_result["outcome"], kept.last_test_result["reason"]) == (outcome, reason)

    @pytest.mark.parametrize(
        "auth",
        [
            {"bearer": SECRET},
            {"basic": {"username": "me", "password": SECRET}},
            {"header": {"name": "X-Key", "value": SECRET}},
        ],
        ids=["bearer", "basic", "header"],
    )
    async def test_an_endpoint_that_repeats_our_credentials_does_not_get_them_kept(self, world, endpoint, auth, caplog):
        caplog.set_level(logging.DEBUG)
        heard: list[Any] = []
        world.drip.telemetry.listen(heard.append)
        endpoint.answer = lambda request: {"seen": request.headers, "plain": f"it was {SECRET}"}
        hook = await world.drip.hooks.create("onboarding", key="score", url=endpoint.url, auth=auth)
        tried = await world.drip.hooks.test(hook)
        assert "authorization" in endpoint.requests[0].headers or SECRET in endpoint.requests[0].headers["x-key"]
        row = world.query("select h::text from dripdrop.http_hooks h")[0][0]
        sent = endpoint.requests[0].headers.get("authorization", SECRET).rpartition(" ")[2]
        for text in (repr(tried), row, repr(heard), caplog.text):
            assert SECRET not in text
            assert sent not in text


async def test_a_condition_of_a_draft_may_name_an_http_hook(world):
    hook = await world.drip.hooks.create("onboarding", key="score", url=URL)
    draft = await world.drip.sequences.clone_version((await world.drip.sequences.apply(TWO_STEPS)).version)
    (step, _) = await world.drip.sequences.steps(draft)
    for name in (hook, hook.id, "onboarding/score"):
        added = await world.drip.sequences.add_condition(
            step=step, condition_type="hook", http_hook=name, operator=">", expected_value=70
        )
        assert added.condition.subject == "score"
    with pytest.raises(NotFound):
        await world.drip.sequences.add_condition(step=step, condition_type="hook", http_hook="onboarding/nothing")
