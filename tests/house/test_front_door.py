"""What does a host get from `import dripdrop`, and nothing else?"""

from __future__ import annotations

import pytest

import dripdrop
from dripdrop import errors

FRONT_DOOR = {
    # the engine
    "AsyncDripDrop", "DripDrop", "Config",
    # what operations give back
    "Enrollment", "Execution", "Explanation", "Finding", "Run",
    # what an adapter says
    "Accepted", "Rejected", "Unknown", "Idempotent", "Askable", "Neither", "Delivery",
    # what can go wrong
    "DripDropError", "Invalid", "BadSettings", "NotFound", "Conflict", "IllegalMove", "Refused", "Unauthorized",
    "Unavailable", "MissingExtra", "SchemaMismatch", "Unreadable",
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
    assert all(getattr(found, name).__module__.startswith("dripdrop.rules") for name in found.__all__)
