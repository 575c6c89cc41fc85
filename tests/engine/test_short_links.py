"""Short links are made once, lead where the author wrote, and hold up no message that can go without them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from tests.engine.conftest import MakeWorld
from tests.world import Doomed, World

from dripdrop.contracts import LinkRequest, ShortLink, ShortLinkFailed
from dripdrop.rules.outcome import Idempotent, Rejected
from dripdrop.testing import FakeProvider

BASE = "https://mail.example.org/drip"
SHORT = re.compile(re.escape(BASE) + r"/l/[0-9A-Za-z]{11}")
HTML = '<p>Hi <a class=b href="https://shop.example/a?x=1&amp;y=2">look</a>, <a href=https://shop.example/b>or</a></p>'
TEXT = "Look: https://shop.example/a?x=1&y=2. Or reset: https://shop.example/password-reset?token=1"


def document(short_links: Any = True, **step: Any) -> dict[str, Any]:
    welcome = {"channel": "email", "subject": "Welcome", "html": HTML, "text": TEXT, "short_links": short_links, **step}
    return {"sequence": "onboarding", "name": "Onboarding", "steps": {"welcome": welcome}}


class Shortener:
    """Shortens, or fails as told."""

    name = "mine"

    def __init__(self) -> None:
        self.requests: list[LinkRequest] = []
        self.failure: ShortLinkFailed | None = None

    def create_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return ShortLink(f"https://s.example/{len(self.requests)}", str(len(self.requests)))


def rows(world: World) -> list[tuple[Any, ...]]:
    return world.query(
        "select original_url, destination_url, short_url, provider, external_id from dripdrop.short_links order by 1"
    )


async def test_each_link_becomes_a_short_one_and_everything_else_stays(make_world: MakeWorld) -> None:
    world = await make_world(document=document(), public_url=BASE)
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    found = SHORT.findall(delivery.message.html)
    assert len(set(found)) == 2
    assert delivery.message.html == (f'<p>Hi <a class=b href="{found[0]}">look</a>, <a href="{found[1]}">or</a></p>')
    assert delivery.message.text == f"Look: {found[0]}. Or reset: https://shop.example/password-reset?token=1"
    assert [row[:3] for row in rows(world)] == [
        ("https://shop.example/a?x=1&y=2", "https://shop.example/a?x=1&y=2", found[0]),
        ("https://shop.example/b", "https://shop.example/b", found[1]),
    ]
    assert f"{BASE}/u/" in dict(delivery.message.headers)["List-Unsubscribe"]


async def test_the_link_to_unsubscribe_stays_as_it_is(make_world: MakeWorld) -> None:
    leave = document(text="Leave: {{ unsubscribe_url }}", html="")
    world = await make_world(document=leave, public_url=BASE)
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    assert delivery.message.text.startswith(f"Leave: {BASE}/u/")
    assert rows(world) == []


async def test_a_shortener_that_is_down_delays_a_message_and_spends_no_retry(make_world: MakeWorld) -> None:
    mine = Shortener()
    mine.failure = ShortLinkFailed("temporary", "down")
    world = await make_world(document=document({"provider": "mine"}, retries=0), plugins=[mine])
    enrollment = await world.enroll()
    for _ in range(20):
        await world.drip.run_due()
        world.clock.advance(minutes=2)
    assert world.provider.calls == []
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    mine.failure = None
    await world.drip.run_due()
    assert await world.state(enrollment) == [("welcome", "sent")]
    (delivery,) = world.provider.outbox.deliveries
    assert "https://s.example/" in delivery.message.text


async def test_a_shortener_that_says_no_for_good_rejects_the_message(make_world: MakeWorld) -> None:
    mine = Shortener()
    mine.failure = ShortLinkFailed("permanent", "plan expired")
    world = await make_world(document=document({"provider": "mine"}, on_failure="cancel"), plugins=[mine])
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert await world.state(enrollment) == [("welcome", "failed")]
    told = await world.drip.explain(enrollment=enrollment)
    assert "short_link_plan_expired" in str([entry.detail for entry in told.entries])


async def test_the_originals_go_out_where_the_author_prefers_that(make_world: MakeWorld) -> None:
    mine = Shortener()
    mine.failure = ShortLinkFailed("permanent", "plan expired")
    asked = {"provider": "mine", "on_error": "send_originals"}
    world = await make_world(document=document(asked), plugins=[mine])
    heard: list[Any] = []
    world.drip.telemetry.listen(heard.append, "short_link.fallback")
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    assert delivery.message.html == HTML
    ((kept,),) = world.query("select provider_response from dripdrop.delivery_attempts")
    assert kept["short_links_fallback"] == "plan_expired"
    assert [event.metadata["reason"] for event in heard] == ["plan_expired"]


async def test_a_retry_finds_its_links_again(make_world: MakeWorld) -> None:
    mine = Shortener()
    answers = iter([Rejected("temporary"), None])
    provider = FakeProvider(answers=lambda delivery: next(answers))
    world = await make_world(provider, document({"provider": "mine"}), plugins=[mine])
    await world.enroll()
    await world.drip.run_due()
    world.clock.advance(hours=1)
    await world.drip.run_due()
    first, second = provider.calls
    assert first.message.html == second.message.html
    assert len(mine.requests) == 2  # one for each address of the message, whatever it is written in


async def test_a_message_in_doubt_is_sent_again_to_the_byte_while_the_shortener_is_down(make_world: MakeWorld) -> None:
    mine = Shortener()
    provider = FakeProvider(on_doubt=Idempotent(), dedupe=True)
    world = await make_world(provider, document({"provider": "mine"}), plugins=[mine])
    await world.enroll()
    doomed = Doomed(world)
    (judged,) = await doomed.claim()
    await doomed.open(judged)
    doomed.die()
    mine.failure = ShortLinkFailed("permanent", "gone")
    await world.drip.run_due()
    world.clock.advance(minutes=5)
    await world.drip.run_due()
    (delivery,) = provider.outbox.deliveries
    assert "https://s.example/1" in delivery.message.html
    assert len(mine.requests) == 2


async def test_a_message_in_doubt_that_went_out_with_originals_keeps_them(make_world: MakeWorld) -> None:
    mine = Shortener()
    mine.failure = ShortLinkFailed("temporary", "down")
    provider = FakeProvider(on_doubt=Idempotent(), dedupe=True)
    asked = {"provider": "mine", "on_error": "send_originals"}
    world = await make_world(provider, document(asked), plugins=[mine])
    await world.enroll()
    doomed = Doomed(world)
    (judged,) = await doomed.claim()
    await doomed.open(judged)
    doomed.die()
    asked_for = len(mine.requests)
    mine.failure = None
    await world.drip.run_due()
    world.clock.advance(minutes=5)
    await world.drip.run_due()
    (delivery,) = provider.outbox.deliveries
    assert delivery.message.html == HTML
    assert len(mine.requests) == asked_for


async def test_a_text_is_measured_with_its_links_shortened(make_world: MakeWorld) -> None:
    sms = FakeProvider("sms", "phone")
    body = f"Look: https://shop.example/{'a' * 200}"
    step = {"channel": "sms", "subject": None, "body": body, "short_links": True, "config": {"sms_max_chars": 70}}
    world = await make_world(document=document(), plugins=[sms], public_url=BASE)
    await world.drip.adapters.create("phone", channel="sms", provider="phone", is_default=True)
    steps = {"welcome": {name: value for name, value in step.items() if value is not None}}
    await world.drip.sequences.apply({"sequence": "texts", "name": "Texts", "steps": steps})
    await world.drip.enroll("texts", subscriber=("user", 1), data={"sms": "+12025550123"})
    await world.drip.run_due()
    (delivery,) = sms.outbox.deliveries
    assert SHORT.fullmatch(delivery.message.body.removeprefix("Look: "))
    await world.drip.sequences.apply(
        {
            "sequence": "texts",
            "name": "Texts",
            "steps": {"welcome": {**steps["welcome"], "config": {"sms_max_chars": 20}}},
        }
    )
    await world.drip.enroll("texts", subscriber=("user", 2), data={"sms": "+12025550123"})
    await world.drip.run_due()
    assert len(sms.outbox) == 1
    (failed,) = await world.drip.executions.list(state="failed")
    assert "sms_too_long" in str((await world.drip.explain(execution=failed.id)).entries)


async def test_a_webhook_shortener_is_asked_once_for_each_address(make_world: MakeWorld) -> None:
    calls: list[Any] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append((request.headers, await request.aread()))
        return httpx2.Response(200, json={"shortUrl": f"https://s.example/{len(calls)}", "id": len(calls)})

    asked = {"provider": "webhook", "endpoint": "https://api.s.example/links", "headers": {"Authorization": "Bearer x"}}
    world = await make_world(document=document(asked), http=httpx2.MockTransport(answer))
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    assert len(calls) == 2
    assert calls[0][0]["authorization"] == "Bearer x"
    assert "https://s.example/" in delivery.message.html


async def test_a_preview_shows_the_very_link_and_keeps_nothing(make_world: MakeWorld) -> None:
    world = await make_world(document=document({"utm": {"campaign": "spring"}}), public_url=BASE)
    first = await world.drip.preview("welcome", sequence="onboarding", data={"email": "ann@example.org"})
    again = await world.drip.preview("welcome", sequence="onboarding", data={"email": "ann@example.org"})
    assert len(set(SHORT.findall(first.html))) == 2
    assert first.html == again.html
    assert rows(world) == []


async def test_a_preview_asks_no_shortener_and_shows_where_a_link_leads(make_world: MakeWorld) -> None:
    mine = Shortener()
    world = await make_world(document=document({"provider": "mine", "utm_campaign": "spring"}), plugins=[mine])
    shown = await world.drip.preview("welcome", sequence="onboarding", data={"email": "ann@example.org"})
    assert 'href="https://shop.example/a?x=1&amp;y=2&amp;utm_campaign=spring"' in shown.html
    assert mine.requests == []


async def test_a_test_message_has_links_that_work(make_world: MakeWorld) -> None:
    world = await make_world(document=document({"utm": True}), public_url=BASE)
    for _ in range(2):
        await world.drip.send_test("welcome", sequence="onboarding", to="me@example.org", data={})
    first, second = world.provider.outbox.deliveries
    assert first.message.html == second.message.html
    (row, _) = rows(world)
    assert row[1] == (
        "https://shop.example/a?x=1&y=2"
        "&utm_source=dripdrop&utm_medium=email&utm_campaign=onboarding&utm_content=welcome"
    )
    assert row[2] in first.message.html


async def test_a_code_that_is_taken_is_made_anew(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    from dripdrop.shorteners import builtin

    monkeypatch.setattr(builtin, "code_of", lambda secret, key, collisions=0: f"samecode{collisions}")
    world = await make_world(document=document(), public_url=BASE)
    await world.enroll()
    await world.drip.run_due()
    assert sorted(row[4] for row in rows(world)) == ["samecode0", "samecode1"]
    assert len(world.provider.outbox) == 1


async def test_a_shortener_that_is_not_installed_delays_the_message(make_world: MakeWorld) -> None:
    world = await make_world(document=document({"provider": "lately"}))
    enrollment = await world.enroll()
    await world.drip.run_due()
    assert await world.state(enrollment) == [("welcome", "scheduled")]
    world.drip.plugins.register("shortener", "lately", lambda request, options: "https://s.example/1")
    world.clock.advance(minutes=5)
    await world.drip.run_due()
    assert await world.state(enrollment) == [("welcome", "sent")]


async def test_an_endpoint_inside_the_network_is_not_called(make_world: MakeWorld) -> None:
    asked = {"provider": "webhook", "endpoint": "https://169.254.169.254/links", "on_error": "send_originals"}
    world = await make_world(document=document(asked))
    heard: list[Any] = []
    world.drip.telemetry.listen(heard.append, "short_links.url_blocked")
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    assert delivery.message.html == HTML
    assert len(heard) == 2


async def test_settings_shorten_the_links_of_every_step(make_world: MakeWorld) -> None:
    plain = document()
    del plain["steps"]["welcome"]["short_links"]
    world = await make_world(document=plain, public_url=BASE, short_links={"enabled": True, "domain": "go.example"})
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    assert delivery.message.html.count("https://go.example/l/") == 2


@pytest.mark.parametrize(("settings", "kept"), [({}, 0), ({"provider": "none"}, 0)])
async def test_nothing_is_kept_without_a_short_link(make_world: MakeWorld, settings: Any, kept: int) -> None:
    world = await make_world(document=document(settings or False))
    await world.enroll()
    await world.drip.run_due()
    (delivery,) = world.provider.outbox.deliveries
    assert delivery.message.html == HTML
    assert len(rows(world)) == kept
