"""Does a crowd arrive where each of its people would have arrived alone?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.documents import documents

from dripdrop.errors import DripDropError, Invalid
from dripdrop.rules.definition import Condition, Delay, Step, Transition, Version
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.entrance import Entrance

NOW = datetime(2030, 3, 30, 23, 30, tzinfo=UTC)
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Nowhere/At_All", "", None, 7, ["Europe/Berlin"]])
PEOPLE = st.fixed_dictionaries(
    {},
    optional={
        "timezone": ZONES,
        "zone": ZONES,
        "address": st.fixed_dictionaries({"zone": ZONES}),
        "plan": st.sampled_from(["pro", "free"]),
        "score": st.integers(0, 3),
    },
)


def version(document: SequenceDocument) -> Version:
    return Version(
        uuid4(), uuid4(), document.key, document.name, "", 1, "active", document.mode, document.steps,
        document.transitions, document.config, metadata=document.metadata,
    )  # fmt: skip


def answer(entry: Entrance, person: dict[str, Any], starting_step: Any) -> Any:
    try:
        return entry.arrival(person, starting_step)
    except DripDropError as error:
        return error.code, str(error)


@given(document=documents(), crowd=st.lists(PEOPLE, max_size=8), step=st.none() | st.just("elsewhere"))
def test_a_crowd_arrives_where_each_would_have_arrived_alone(
    document: SequenceDocument, crowd: list[dict[str, Any]], step: str | None
) -> None:
    one = version(document)
    shared = Entrance(one, NOW, "Asia/Tokyo")
    for person in crowd:
        for starting_step in (step, one.steps[-1].key):
            alone = answer(Entrance(one, NOW, "Asia/Tokyo"), person, starting_step)
            assert answer(shared, person, starting_step) == alone


def to(*ways: Transition, **config: Any) -> Version:
    steps = tuple(
        Step(uuid4(), key, key, "email", place, Delay(1, "days"), {}, config=config)
        for place, key in enumerate(("a", "b"), 1)
    )
    return Version(uuid4(), uuid4(), "s", "S", "", 1, "active", "lifecycle", steps, ways)


def test_the_way_in_is_looked_up_once_for_a_zone() -> None:
    entry = Entrance(to(), NOW, "Etc/UTC")
    ann, bob = entry.arrival({"timezone": "Europe/Berlin"}, None), entry.arrival({"timezone": "Europe/Berlin"}, None)
    cem = entry.arrival({"timezone": "America/New_York"}, None)
    assert ann is bob
    # Berlin changes its clocks that night, New York does not.
    assert (cem[0].due_at - ann[0].due_at).total_seconds() == 3600  # type: ignore[operator]


def test_where_a_way_asks_each_is_asked() -> None:
    asks = Transition(None, "b", "all", (Condition("enrollment_data", "plan", "==", "pro"),))
    entry = Entrance(of := to(asks, Transition(None, "a", priority=1)), NOW, "Etc/UTC")
    assert entry.arrival({"plan": "free"}, None)[0].step_id == of.steps[0].id
    assert entry.arrival({"plan": "pro"}, None)[0].step_id == of.steps[1].id


def test_where_a_step_names_the_field_of_its_zone_each_has_their_own() -> None:
    entry = Entrance(to(timezone="{{ home }}"), NOW, "Etc/UTC")
    berlin, york = (entry.arrival({"home": zone}, None)[0].due_at for zone in ("Europe/Berlin", "America/New_York"))
    assert berlin != york


@pytest.mark.parametrize("named", ["nowhere", 7, ["a"], {"key": "a"}])
def test_a_step_that_is_none_is_refused(named: Any) -> None:
    entry = Entrance(to(), NOW, "Etc/UTC")
    with pytest.raises(Invalid) as refused:
        entry.arrival({}, named)
    assert refused.value.code == "unknown_step"
