"""What does a host get from `import dripdrop`, and nothing else?"""

from __future__ import annotations

import pytest

import dripdrop
from dripdrop import errors

FRONT_DOOR = {
    # the engine
    "AsyncDripDrop", "DripDrop", "Config",
    # what an adapter says
    "Accepted", "Rejected", "Unknown", "Idempotent", "Askable", "Neither", "CannotTell", "Delivery",
    # what a hook says
    "HookUnavailable",
    # what can go wrong
    "Finding", "DripDropError", "Invalid", "BadSettings", "NotFound", "Conflict", "IllegalMove", "Refused",
    "Unauthorized", "Unavailable", "MissingExtra", "SchemaMismatch", "Unreadable",
    # small and pure
    "check_url", "redact",
}  # fmt: skip


def test_the_front_door_offers_these_names_and_no_others():
    assert set(dripdrop.__all__) - {"__version__"} == FRONT_DOOR


@pytest.mark.parametrize("name", sorted(FRONT_DOOR))
def test_a_name_of_the_front_door_is_there(name):
    assert getattr(dripdrop, name) is not None


def test_every_error_class_is_at_the_front_door():
    classes = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert classes <= FRONT_DOOR


@pytest.mark.parametrize("module", ["comparator", "quiet_hours", "recipients", "timing"])
def test_a_small_public_module_only_hands_on(module):
    found = __import__(f"dripdrop.{module}", fromlist=["*"])
    assert found.__all__
    assert all(callable(getattr(found, name)) or name.isupper() for name in found.__all__)
    assert not [name for name, thing in vars(found).items() if getattr(thing, "__module__", "") == found.__name__]


def names(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_both_facades_offer_the_same():
    from dripdrop.app import AsyncDripDrop, DripDrop

    assert names(DripDrop) == names(AsyncDripDrop)


async def test_both_facades_have_the_same_groups_of_calls(database_url):
    from dripdrop.app import AsyncDripDrop, DripDrop

    blocking, awaited = DripDrop(database_url), AsyncDripDrop(database_url)
    groups = {name for name in vars(blocking) if not name.startswith("_")}
    assert groups == {name for name in vars(awaited) if not name.startswith("_")}
    assert groups >= {"sequences", "enrollments", "executions", "adapters", "suppressions", "events", "journal"}
    for group in groups:
        assert names(getattr(blocking, group)) == names(getattr(awaited, group)), group
    await awaited.close()
    blocking.close()
