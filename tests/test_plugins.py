"""What plugs in, from where, and who wins."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from dripdrop.errors import Conflict, Invalid, NotFound
from dripdrop.plugins import KINDS, Plugin, Plugins


class Postmark:
    channel, name = "email", "postmark"

    def deliver(self, delivery: Any, config: Any) -> None: ...

    def validate_credentials(self, credentials: Any) -> list[tuple[str, str]]:
        return []


class Other(Postmark):
    """Of the same name."""


class Pigeon(Postmark):
    channel, name = "carrier-pigeon", "Loft"


class Hooks:
    name = "scores"

    def handle_hook(self, name: str, enrollment: Any, context: Any) -> None: ...


def weekend(facts: Any) -> None: ...


def nothing_installed(group: str) -> list[EntryPoint]:
    return []


def installed(**points: str) -> Any:
    """Entry points by group (`dripdrop.providers` as `providers`) as `name=value` texts."""

    def of(group: str) -> list[EntryPoint]:
        texts = points.get(group.removeprefix("dripdrop."), "").split()
        return [EntryPoint(*text.split("=", 1), group) for text in texts]

    return of


def registry(*plugins: Any, builtin: Any = (), points: Any = nothing_installed) -> Plugins:
    return Plugins(plugins, builtin=builtin, installed=points)


def test_objects_and_classes_say_themselves_what_they_are() -> None:
    plugins = registry(Postmark(), Hooks)
    assert isinstance(plugins.get("provider", "postmark", "email"), Postmark)
    assert isinstance(plugins.get("hooks", "scores"), Hooks)
    assert plugins.list() == [
        Plugin("provider", "postmark", "email", "given"),
        Plugin("hooks", "scores", None, "given"),
    ]


def test_a_tuple_names_what_cannot_say_it_and_a_function_registers_what_it_likes() -> None:
    def setup(plugins: Plugins) -> None:
        plugins.register("gate", "holidays", weekend)

    plugins = registry(("gate", "weekend", weekend), setup)
    assert plugins.get("gate", "weekend") is weekend
    assert [(row.name, row.origin) for row in plugins.list("gate")] == [
        ("holidays", "registered"),
        ("weekend", "given"),
    ]


def test_names_are_spelt_one_way() -> None:
    plugins = registry(Pigeon())
    assert isinstance(plugins.get("provider", " LOFT", "Carrier-Pigeon"), Pigeon)
    assert plugins.channels() == ["carrier_pigeon"]
    assert plugins.providers("carrier-pigeon") == ["loft"]
    assert plugins.providers("unheard_of") == []


def test_what_is_given_or_registered_beats_what_is_built_in() -> None:
    mine = Other()
    assert registry(mine, builtin=[Postmark()]).get("provider", "postmark", "email") is mine
    plugins = registry(builtin=[Postmark()])
    assert plugins.list()[0].origin == "built in"
    assert type(plugins.get("provider", "postmark", "email")) is Postmark
    plugins.register("provider", "postmark", mine)
    assert plugins.get("provider", "postmark", "email") is mine
    assert [row.origin for row in plugins.list("provider")] == ["registered"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: registry(Postmark(), Other()),
        lambda: registry(builtin=[Postmark(), Other()]),
        lambda: registry(Postmark()).register("provider", "Postmark", Other()),
    ],
)
def test_a_second_of_the_same_name_is_a_conflict(build: Any) -> None:
    with pytest.raises(Conflict, match="already a provider postmark for email") as problem:
        build()
    assert problem.value.cure


def test_the_same_name_on_another_channel_is_another_provider() -> None:
    plugins = registry(Postmark())
    plugins.register("provider", "postmark", Other(), channel="sms")
    assert plugins.providers("email") == plugins.providers("sms") == ["postmark"]


def test_a_new_channel_comes_with_its_provider_or_by_itself() -> None:
    plugins = registry(Pigeon())
    plugins.register("channel", "fax", object())
    assert plugins.channels() == ["carrier_pigeon", "fax"]


def test_an_unknown_name_says_which_are_known() -> None:
    with pytest.raises(NotFound) as problem:
        registry(Postmark()).get("provider", "postmrk", "email")
    assert problem.value.code == "unknown_provider"
    assert "Did you mean postmark?" in str(problem.value)
    with pytest.raises(NotFound, match="None is known"):
        registry(Postmark()).get("provider", "postmark", "sms")


class NoCredentials:
    channel, name = "email", "bare"

    def deliver(self, delivery: Any, config: Any) -> None: ...


class HalfFeedback(Postmark):
    def verify_webhook(self, raw: bytes, headers: Any, config: Any) -> None: ...


class HalfSession(Postmark):
    async def open_session(self, config: Any) -> None: ...


@pytest.mark.parametrize(
    ("kind", "made", "lacking"),
    [
        ("provider", NoCredentials(), ["validate_credentials"]),
        ("provider", HalfSession(), ["close_session"]),
        (
            "provider",
            HalfFeedback(),
            ["webhook_routes", "parse_events", "provider_event_id", "resolve_delivery", "normalize_feedback"],
        ),
        ("scheduler", object(), ["schedule", "cancel"]),
        ("shortener", object(), ["create_link"]),
        ("hooks", object(), ["handle_hook"]),
        ("allocator", object(), ["pick_member"]),
        ("token_source", object(), ["token"]),
        ("template", object(), ["fetch"]),
        ("gate", object(), ["__call__"]),
    ],
)
def test_missing_callbacks_are_named(kind: str, made: Any, lacking: list[str]) -> None:
    with pytest.raises(Invalid) as problem:
        registry().register(kind, "x", made)
    assert problem.value.code == "missing_callbacks"
    assert [finding.path for finding in problem.value.findings] == lacking


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (type("Nameless", (Postmark,), {"name": ""})(), "plugin_without_name"),
        (type("Nowhere", (Postmark,), {"channel": None})(), "plugin_without_channel"),
        (object(), "unknown_kind"),
        (("pump", "x", object()), "unknown_kind"),
    ],
)
def test_what_cannot_be_placed_is_refused(made: Any, code: str) -> None:
    with pytest.raises(Invalid) as problem:
        registry(made)
    assert problem.value.code == code


HERE = __name__


def test_an_installed_plugin_is_listed_unloaded_and_loaded_by_name() -> None:
    plugins = registry(points=installed(providers=f"email.postmark={HERE}:Postmark broken=no.such.module:X"))
    assert plugins.list() == [
        Plugin("provider", "broken", None, "installed: no.such.module:X"),
        Plugin("provider", "postmark", "email", f"installed: {HERE}:Postmark"),
    ]
    first = plugins.get("provider", "postmark", "email")
    assert isinstance(first, Postmark)
    assert plugins.get("provider", "postmark", "email") is first
    with pytest.raises(Invalid) as problem:
        plugins.get("provider", "broken", "email")
    assert problem.value.code == "plugin_not_loaded"


def test_a_built_in_one_may_wait_to_be_imported_until_it_is_asked_for() -> None:
    ours = EntryPoint("email.postmark", f"{HERE}:Postmark", "dripdrop.providers")
    broken = EntryPoint("email.gone", "no.such.module:X", "dripdrop.providers")
    plugins = registry(builtin=[ours, broken])
    assert plugins.list() == [
        Plugin("provider", "gone", "email", "built in"),
        Plugin("provider", "postmark", "email", "built in"),
    ]
    first = plugins.get("provider", "postmark", "email")
    assert isinstance(first, Postmark)
    assert plugins.get("provider", "postmark", "email") is first
    with pytest.raises(Invalid) as problem:
        plugins.get("provider", "gone", "email")
    assert problem.value.code == "plugin_not_loaded"


def test_an_installed_provider_may_leave_its_channel_to_the_object() -> None:
    plugins = registry(points=installed(providers=f"postmark={HERE}:Postmark"))
    assert isinstance(plugins.get("provider", "postmark", "email"), Postmark)
    with pytest.raises(NotFound):
        plugins.get("provider", "postmark", "sms")


def test_explicit_beats_installed_and_two_installed_are_a_conflict_when_asked_for() -> None:
    twice = installed(providers=f"postmark={HERE}:Postmark email.postmark={HERE}:Other")
    mine = Postmark()
    assert registry(mine, points=twice).get("provider", "postmark", "email") is mine
    with pytest.raises(Conflict, match="more than once"):
        registry(points=twice).get("provider", "postmark", "email")
    once = installed(providers=f"postmark={HERE}:Other")
    with pytest.raises(Conflict, match="built in"):
        registry(builtin=[Postmark()], points=once).get("provider", "postmark", "email")


def test_one_entry_point_found_on_two_paths_is_one() -> None:
    twice = installed(hooks=f"scores={HERE}:Hooks scores={HERE}:Hooks")
    assert isinstance(registry(points=twice).get("hooks", "scores"), Hooks)


def test_each_kind_has_a_group_of_entry_points() -> None:
    asked: list[str] = []

    def points(group: str) -> list[EntryPoint]:
        asked.append(group)
        return []

    registry(points=points).list()
    assert len(asked) == len(KINDS)
    assert {"dripdrop.providers", "dripdrop.hooks", "dripdrop.token_sources"} <= set(asked)


def test_two_registries_know_nothing_of_each_other() -> None:
    registry(Postmark())
    assert registry().list() == []
