"""Does each refusal come by its own code, and does it say what to do instead?"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.operations.desk import ACME, GLOBAL, NOW, Desk, at_desk

from dripdrop import DripDrop
from dripdrop.errors import (
    Conflict,
    DripDropError,
    Finding,
    Invalid,
    MissingExtra,
    Refused,
    SchemaMismatch,
)
from dripdrop.operations import provisioning, stopping
from dripdrop.plugins import Plugins
from dripdrop.rules import recipients
from dripdrop.telemetry import Telemetry
from dripdrop.testing import FrozenClock
from dripdrop.web import app as web

T = TypeVar("T", bound=DripDropError)
ROOT = Path(__file__).parents[1]


def refusal(kind: type[T], ask: Callable[..., Any], *args: Any, **more: Any) -> T:
    """What is raised; it says what happened and what to do, in text and as a mapping."""
    with pytest.raises(kind) as raised:
        ask(*args, **more)
    error = raised.value
    assert error.cure.strip() != ""
    assert str(error) == f"{error.message} {error.cure}"
    assert {"code": error.code, "message": error.message, "cure": error.cure}.items() <= error.as_dict().items()
    return error


def only(error: Invalid) -> Finding:
    (finding,) = error.findings
    assert finding.cure.strip() != ""
    assert finding.path in str(finding)
    assert f"[{finding.code}]" in str(finding)
    return finding


class Carrier:
    """A provider with every callback it needs."""

    name, channel = "carrier", "email"

    def deliver(self, delivery: Any, config: Any) -> None: ...

    def validate_credentials(self, credentials: Any) -> list[tuple[str, str]]:
        return []


class Mute:
    """A provider that cannot deliver."""

    name, channel, kind = "mute", "email", "provider"

    def validate_credentials(self, credentials: Any) -> list[tuple[str, str]]:
        return []


PLUGINS = Plugins([Carrier()], installed=lambda group: [])


def known(channel: str, provider: str) -> Any:
    return PLUGINS.get("provider", provider, channel)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


def adapter(desk: Desk, scope: Any = GLOBAL, name: Any = "main", **more: Any) -> Any:
    given = {"channel": "email", "provider": "carrier", "known": known, "vault": None, **more}
    return desk.do(provisioning.create(NOW, scope, name, **given))


def test_an_adapter_needs_a_name(desk: Desk) -> None:
    finding = only(refusal(Invalid, adapter, desk, name="  "))
    assert (finding.code, finding.path) == ("required", "name")


@pytest.mark.parametrize("limit", [-1, True, "many", 0])
def test_a_limit_of_an_adapter_is_a_number_in_its_range(desk: Desk, limit: Any) -> None:
    finding = only(refusal(Invalid, adapter, desk, daily_cap=limit))
    assert (finding.code, finding.path) == ("out_of_range", "daily_cap")


def test_a_ramp_begins_at_a_time_with_its_zone(desk: Desk) -> None:
    finding = only(refusal(Invalid, adapter, desk, ramp_started_at=datetime(2030, 3, 1)))
    assert (finding.code, finding.path) == ("bad_time", "ramp_started_at")


def test_an_adapters_config_can_be_stored_as_json(desk: Desk) -> None:
    finding = only(refusal(Invalid, adapter, desk, config={"from": object()}))
    assert (finding.code, finding.path) == ("not_json", "config")


def test_the_cure_of_several_problems_names_each_of_their_cures(desk: Desk) -> None:
    error = refusal(Invalid, adapter, desk, name="", config={"from": object()})
    assert [finding.code for finding in error.findings] == ["required", "not_json"]
    assert all(finding.cure in error.cure for finding in error.findings)


def test_a_tenant_is_sent_to_an_adapter_of_its_own(desk: Desk) -> None:
    adapter(desk)
    error = refusal(Refused, lambda: desk.do(provisioning.update(NOW, ACME, "main", known=known, vault=None, name="x")))
    assert error.code == "global_adapter"
    adapter(desk, ACME)
    assert desk.do(provisioning.update(NOW, ACME, "main", known=known, vault=None, name="x")).name == "x"


@pytest.mark.parametrize("move", [stopping.stop, stopping.go])
def test_a_tenant_names_no_tenant_to_stop(desk: Desk, move: Any) -> None:
    error = refusal(Refused, lambda: desk.do(move(NOW, ACME, tenant="acme")))
    assert error.code == "foreign_tenant"


def test_two_plugins_given_under_one_name_are_told_apart_by_another() -> None:
    error = refusal(Conflict, Plugins, [Carrier(), Carrier()], installed=lambda group: [])
    assert error.code == "plugin_exists"


def test_of_two_installed_plugins_one_is_to_be_registered() -> None:
    value = f"{__name__}:Carrier"
    points = [EntryPoint("carrier", value, "dripdrop.providers"), EntryPoint("Carrier", value, "dripdrop.providers")]
    plugins = Plugins([], installed=lambda group: points if group == "dripdrop.providers" else [])
    error = refusal(Conflict, plugins.get, "provider", "carrier", "email")
    assert error.code == "plugin_exists"


def test_a_plugin_is_told_each_callback_that_it_lacks() -> None:
    error = refusal(Invalid, Plugins, [Mute()], installed=lambda group: [])
    finding = only(error)
    assert error.code == "missing_callbacks"
    assert (finding.code, finding.path) == ("missing_callback", "deliver")


def test_time_is_moved_only_where_a_test_owns_it(database_url: str) -> None:
    until = datetime(2030, 3, 1, tzinfo=UTC)
    with DripDrop(database_url) as drip:
        error = refusal(Invalid, drip.drain, until)
        assert error.code == "no_virtual_clock"
        assert drip.drain().sent == 0
    clock = FrozenClock(until)
    with DripDrop(database_url, clock=clock) as drip:
        assert drip.drain(until + timedelta(days=1)).sent == 0
    assert clock.now() == until + timedelta(days=1)


def test_a_clock_that_advances_does_not_go_back() -> None:
    clock = FrozenClock("2030-03-01 09:00")
    error = refusal(Invalid, clock.advance, days=-1)
    assert error.code == "time_goes_forward"
    assert clock.now() == datetime(2030, 3, 1, 9, tzinfo=UTC)


def test_a_recipient_is_an_address_and_no_letter() -> None:
    longest = "C" * recipients.MAX_LENGTH
    assert recipients.normalize("slack", longest) == longest
    error = refusal(Invalid, recipients.normalize, "slack", longest + "C")
    assert error.code == "recipient_too_long"


def test_in_strict_mode_nobody_listens_to_or_tells_an_event_that_there_is_not() -> None:
    bus = Telemetry(lambda value: value, strict=True)
    error = refusal(Invalid, bus.listen, print, "no.such.event")
    assert error.code == "unknown_event"
    error = refusal(Invalid, bus.emit, "no.such.event", {}, {})
    assert error.code == "unknown_event"


def test_a_part_of_the_web_is_named_as_it_is_known() -> None:
    error = refusal(Invalid, web.build, None, lambda: [b"secret"], ("public", "pages"))
    assert error.code == "unknown_part"
    assert "pages" in error.message
    assert "public" in error.cure


def test_a_database_without_the_schema_says_how_to_get_it(empty_database_url: str) -> None:
    with DripDrop(empty_database_url) as drip:
        error = refusal(SchemaMismatch, drip.sequences.list)
    assert error.code == "schema_mismatch"


def test_an_extra_that_is_missing_is_one_that_can_be_installed() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'MissingExtra\("[^"]+", "(\w+)"\)', sources))
    assert named - set(extras) == set()
    assert {"cli", "smtp", "web"} <= named
    error = MissingExtra("Serving pages", "web")
    assert (error.code, error.extra) == ("missing_extra", "web")
    assert "dripdrop-engine[web]" in error.cure


def test_an_error_as_a_mapping_is_what_json_shows() -> None:
    finding = Finding("zone", "steps.a.timezone", "There is none.", "Use another.", 3, 5)
    error = Invalid("1 problem.", cure="Correct it.", findings=[finding])
    assert error.as_dict()["findings"] == [finding.as_dict()]
    assert str(finding) == "steps.a.timezone (line 3): There is none. Use another. [zone]"
