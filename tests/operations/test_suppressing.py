"""A recipient who is suppressed stays so: for as long as, and as strongly as, anybody said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.operations.desk import ACME, NOW, Desk, at_desk

from dripdrop.errors import Invalid, NotFound
from dripdrop.operations import suppressing
from dripdrop.store import suppressions
from dripdrop.store.scope import GLOBAL, Scope
from dripdrop.store.suppressions import REASONS, Asked, Fresh, Suppression

ANN = "ann@example.org"
DAY = timedelta(days=1)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with at_desk(database_url) as desk:
        yield desk


def test_a_suppressed_address_is_found_in_every_spelling(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, ACME, "email", " Ann@Example.ORG ", "manual", source="import"))
    found = desk.do(suppressing.check(NOW, ACME, "email", "ANN@example.org"))
    assert found is not None
    assert (found.recipient, found.recipient_normalized, found.source) == ("Ann@Example.ORG", ANN, "import")
    assert desk.do(suppressing.check(NOW, ACME, "sms", "+12025550123")) is None


def test_a_tenant_is_held_by_its_own_and_by_global_ones_and_by_no_other_tenants(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, GLOBAL, "email", ANN, "bounce"))
    desk.do(suppressing.suppress(NOW, ACME, "email", "bob@example.org", "manual"))
    assert desk.do(suppressing.check(NOW, ACME, "email", ANN)) is not None
    assert desk.do(suppressing.check(NOW, Scope("other"), "email", "bob@example.org")) is None
    assert desk.do(suppressing.check(NOW, GLOBAL, "email", "bob@example.org")) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(REASONS), min_size=1, max_size=4))
def test_a_reason_is_never_weakened(desk: Desk, reasons: list[str]) -> None:
    recipient = f"{uuid4().hex}@example.org"
    for reason in reasons:
        last = desk.do(suppressing.suppress(NOW, ACME, "email", recipient, reason, source=reason))
    strongest = max(reasons, key=REASONS.index)
    assert (last.reason, last.source) == (strongest, strongest)


def test_a_weaker_reason_leaves_source_and_metadata_as_they_were(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "complaint", source="postmark", metadata={"id": 1}))
    again = desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "manual", source="support", metadata={"id": 2}))
    assert (again.reason, again.source, again.metadata) == ("complaint", "postmark", {"id": 1})


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [(DAY, 2 * DAY, 2 * DAY), (2 * DAY, DAY, 2 * DAY), (None, DAY, None), (DAY, None, None)],
)
def test_it_lasts_until_the_later_of_two_ends(
    desk: Desk, first: timedelta | None, second: timedelta | None, stays: timedelta | None
) -> None:
    def end(after: timedelta | None) -> datetime | None:
        return None if after is None else NOW + after

    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "manual", expires_at=end(first)))
    row = desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "manual", expires_at=end(second)))
    assert row.expires_at == end(stays)


def test_what_has_expired_blocks_nobody_and_gives_way_to_anything(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "complaint", expires_at=NOW + DAY))
    later = NOW + 2 * DAY
    assert desk.do(suppressing.check(later - DAY - DAY / 2, ACME, "email", ANN)) is not None
    assert desk.do(suppressing.check(NOW + DAY, ACME, "email", ANN)) is None
    assert desk.do(suppressing.list_(later, ACME)) == []
    assert len(desk.do(suppressing.list_(later, ACME, expired=True))) == 1
    row = desk.do(suppressing.suppress(later, ACME, "email", ANN, "manual", expires_at=later + DAY))
    assert (row.reason, row.expires_at) == ("manual", later + DAY)


def test_a_topic_is_blocked_alone_and_everything_blocks_every_topic(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "unsubscribe", topic="news"))
    assert desk.do(suppressing.check(NOW, ACME, "email", ANN, "news")) is not None
    assert desk.do(suppressing.check(NOW, ACME, "email", ANN, "tips")) is None
    assert desk.do(suppressing.check(NOW, ACME, "email", ANN)) is None
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "manual"))
    assert desk.do(suppressing.check(NOW, ACME, "email", ANN, "tips")) is not None


def test_a_list_is_asked_in_one_statement_and_answered_by_place(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, GLOBAL, "email", ANN, "manual"))
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "bounce"))
    bob = Asked("other", "email", "bob@example.org")
    asked = [bob, Asked("acme", "email", ANN, "news"), Asked("other", "email", ANN)]
    found = desk.do(suppressions.lookup(NOW, asked))
    assert {place: row.reason for place, row in found.items()} == {1: "bounce", 2: "manual"}
    assert desk.do(suppressions.lookup(NOW, [])) == {}


def test_many_are_added_at_once_even_where_two_name_the_same_person(desk: Desk) -> None:
    rows = [
        Fresh("acme", "email", ANN, ANN, "manual"),
        Fresh("acme", "email", ANN, ANN, "bounce", source="provider", metadata={"code": "5.1.1"}),
        Fresh("", "email", "bob@example.org", "bob@example.org", "complaint"),
    ]
    stand = desk.do(suppressions.add_many(NOW, rows))
    assert [(each.tenant_key, each.reason) for each in stand] == [("", "complaint"), ("acme", "bounce")]
    assert stand[1].metadata == {"code": "5.1.1"}
    assert desk.do(suppressions.add_many(NOW, [])) == []


@pytest.mark.parametrize(
    ("channel", "recipient", "reason", "code"),
    [
        ("email", ANN, "because", "reason"),
        ("email", "nobody", "manual", "recipient_not_email"),
        ("email", "ann@example.org, bob@example.org", "manual", "recipient_not_email"),
        ("sms", "  ", "manual", "recipient_required"),
        ("", ANN, "manual", "channel_required"),
        ("email", 42, "manual", "recipient_not_text"),
    ],
)
def test_what_could_never_match_is_refused(desk: Desk, channel: str, recipient: str, reason: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        desk.do(suppressing.suppress(NOW, ACME, channel, recipient, reason))
    assert refused.value.code == code
    assert refused.value.cure


@pytest.mark.parametrize("end", [NOW, NOW - DAY, datetime(2031, 1, 1)])
def test_an_end_must_lie_ahead_and_have_a_zone(desk: Desk, end: datetime) -> None:
    with pytest.raises(Invalid) as refused:
        desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "manual", expires_at=end))
    assert refused.value.code == "expires_at"


def test_a_tenant_lifts_its_own_and_not_a_global_one(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "bounce"))
    desk.do(suppressing.suppress(NOW, GLOBAL, "email", "bob@example.org", "bounce"))
    assert desk.do(suppressing.lift(NOW, ACME, "email", "Ann@example.org")).reason == "bounce"
    assert desk.do(suppressing.check(NOW, ACME, "email", ANN)) is None
    for address in (ANN, "bob@example.org"):
        with pytest.raises(NotFound):
            desk.do(suppressing.lift(NOW, ACME, "email", address))


def test_pages_follow_one_another_without_gap_or_repetition(desk: Desk) -> None:
    for number in range(5):
        desk.do(suppressing.suppress(NOW, ACME, "email", f"p{number}@example.org", "manual"))
    seen, after = [], None
    while page := desk.do(suppressing.list_(NOW, ACME, limit=2, after=after)):
        seen += [row.recipient for row in page]
        after = page[-1].id
    assert sorted(seen) == [f"p{number}@example.org" for number in range(5)]
    assert len(desk.do(suppressing.list_(NOW, ACME, channel="email", recipient="P3@example.org"))) == 1


def test_what_is_exported_can_be_imported_elsewhere(desk: Desk) -> None:
    desk.do(suppressing.suppress(NOW, ACME, "email", ANN, "complaint", source="postmark", topic="news"))
    desk.do(suppressing.suppress(NOW, ACME, "sms", "(202) 555-0123", "manual", expires_at=NOW + DAY))
    desk.do(suppressing.suppress(NOW, GLOBAL, "email", "bob@example.org", "manual"))
    rows = [suppressing.row(each) for each in desk.do(suppressing.export(NOW, ACME))]
    assert len(rows) == 2
    desk.do(suppressing.import_(NOW, Scope("beta"), rows))
    assert [suppressing.row(each) for each in desk.do(suppressing.export(NOW, Scope("beta")))] == rows


def test_an_import_takes_the_good_rows_and_says_what_is_wrong_with_each_other(desk: Desk) -> None:
    rows: list[Any] = [
        {"channel": "email", "recipient": " Ann@example.org", "reason": "bounce"},
        {"channel": "email", "recipient": "nobody"},
        {"channel": "email", "recipient": "bob@example.org", "colour": "red"},
        "ann",
        {"channel": "email", "recipient": ANN},
        {"channel": "email", "recipient": "eve@example.org", "expires_at": NOW - DAY},
    ]
    results = desk.do(suppressing.import_(NOW, ACME, rows))
    assert [each.row for each in results] == [0, 1, 2, 3, 4, 5]
    codes = [each.error.code if each.error else None for each in results]
    assert codes == [None, "recipient_not_email", "unknown_key", "bad_row", None, "expires_at"]
    assert [each.ok for each in results] == [code is None for code in codes]
    first, again = results[0].suppression, results[4].suppression
    assert first is not None
    assert first == again
    assert (first.recipient_normalized, first.reason) == (ANN, "bounce")
    assert [each.id for each in desk.do(suppressing.list_(NOW, ACME))] == [first.id]


def test_an_export_goes_on_where_its_page_ended(desk: Desk) -> None:
    """In pages of whatever size each row comes once: those of other scopes and those that have ended never."""
    names = [f"P{number}@example.org" for number in range(7)]
    for name in names:
        desk.do(suppressing.suppress(NOW, ACME, "email", name, "manual", topic="news" if name < "P4" else None))
    desk.do(suppressing.suppress(NOW, ACME, "email", "p0@example.org", "manual"))
    desk.do(suppressing.suppress(NOW, ACME, "email", "gone@example.org", "manual", expires_at=NOW + DAY))
    desk.do(suppressing.suppress(NOW, Scope("beta"), "email", "other@example.org", "manual"))
    later = NOW + 2 * DAY
    for size in (1, 2, 3, 100):
        seen: list[Suppression] = []
        while page := desk.do(suppressing.export(later, ACME, limit=size, after=seen[-1] if seen else None)):
            assert len(page) <= size
            seen += page
        assert sorted((each.recipient.lower(), each.topic) for each in seen) == sorted(
            [(name.lower(), "news" if name < "P4" else "") for name in names] + [("p0@example.org", "")]
        )
