"""The predicate language against an evaluation by hand, over predicates that are made up and data that is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dripdrop.errors import Invalid
from dripdrop.predicate import parse
from dripdrop.rules.facts import Facts
from dripdrop.rules.predicate import Predicate
from dripdrop.rules.predicate_syntax import MAX_CHARACTERS, MAX_DEPTH, MAX_TERMS
from effort import at_once

ANN = {
    "plan": "pro",
    "seats": 5,
    "ratio": 1.0,
    "trial": False,
    "tags": ["vip", 1, None, True],
    "home": {"city": "Wien", "zone": None},
    "since": "2030-03-01",
    "seen": "2030-03-01T12:00:00Z",
    "event": {"kind": "own"},
    "and": 7,
    "none": None,
    "größe": "L",
}
FACTS = Facts(
    ANN,
    hooks={"score": 80, "profile": {"tier": "gold"}},
    event={"kind": "live"},
    sequence={"key": "trial"},
    step={"key": "welcome", "channel": "email"},
)


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("plan == 'pro'", True),
        ("plan == 'Pro'", False),
        ("plan != 'free'", True),
        ("seats == 5", True),
        ("seats == 5.0", True),
        ("seats == '5'", False),
        ("ratio == 1", True),
        ("ratio == true", False),
        ("trial == false", True),
        ("trial == 0", False),
        ("trial != true", True),
        ("none == nil", True),
        ("missing == null", True),
        ("missing != 'x'", True),
        ("missing == ''", False),
        ("missing > 0 or missing <= 0 or missing < 'a'", False),
        ("seats > 4 and seats >= 5 and seats <= 5 and seats < 6", True),
        ("seats > '4'", False),
        ("plan > 'a'", False),
        ("trial < 1", False),
        ("tags contains 'vip'", True),
        ("tags contains 'vi'", False),
        ("tags contains 1.0", True),
        ("tags contains true", True),
        ("tags contains nil", True),
        ("tags contains false", False),
        ("tags not contains 'x'", True),
        ("plan contains 'pro'", False),
        ("missing contains nil", False),
        ("plan not contains 'pro'", True),
        ("plan in ['free', 'pro']", True),
        ("plan in []", False),
        ("seats in [1, 5.0, 'x']", True),
        ("trial in [0, 'false']", False),
        ("missing in [nil]", True),
        ("tags == ['vip', 1, nil, true]", True),
        ("tags == ['vip', 1, nil]", False),
        ("tags != ['vip', 1, nil, 1]", True),
        ("home.city == 'Wien'", True),
        ("home.city.name == nil", True),
        ("plan.name == nil and tags.first == nil", True),
        ("größe == 'L'", True),
        ("since == '2030-03-01'::DATE", True),
        ("since >= '2030-03-01'::DATE and since < '2030-03-02'::date", True),
        ("since > '2030-03-01T00:00:00Z'::DATETIME", False),
        ("seen == '2030-03-01T13:00:00+01:00'::DATETIME", True),
        ("seen > '2030-03-01T11:59:59.5'::DATETIME", True),
        ("seen > '2030-02-01'::DATE", False),
        ("plan > '2030-02-01'::DATE", False),
        ("missing != '2030-02-01'::DATE", True),
        ("since in ['x', '2030-03-01'::DATE]", True),
        ("enrollment.plan == 'pro'", True),
        ("enrollment.home.city == 'Wien'", True),
        ("event.kind == 'live'", True),
        ("enrollment.event.kind == 'own'", True),
        ("enrollment.and == 7", True),
        ("sequence.key == 'trial' and step.channel == 'email'", True),
        ("hook.score >= 70 and hook.profile.tier == 'gold'", True),
        ("hook.other == nil", True),
        ("plan == 'x' AND plan == 'y' OR plan == 'pro'", True),
        ("plan == 'pro' or plan == 'x' and plan == 'y'", True),
        ("(plan == 'pro' Or plan == 'x') And plan == 'y'", False),
        ("((plan == 'pro'))", True),
        ("((plan == 'pro' or seats == 1) and (seats == 5))\n\tand trial == FALSE", True),
        ("plan=='pro'and seats==5", True),
        ("seats >-.5 and seats < +1e1 and seats == 05", True),
        ("plan IN ['pro'] and tags Contains 'vip' and tags NOT CONTAINS 'x'", True),
    ],
)
def test_what_a_predicate_says(text: str, so: bool) -> None:
    found = parse(text)
    assert found.holds(FACTS) is so
    assert parse(str(found)) == found
    assert parse(str(found)).holds(FACTS) is so


def test_a_plain_mapping_is_the_enrollments_data() -> None:
    assert parse("enrollment.company_size >= 50").holds({"company_size": 50})
    assert not parse("hook.score > 1").holds({"hook": {"score": 5}})


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plan=='pro'", "plan == 'pro'"),
        ("enrollment.plan == 'pro'", "plan == 'pro'"),
        ("(a == 1 and (b == TRUE And c == NULL))", "a == 1 and b == true and c == nil"),
        ("a == 1 and b == 2 or d NOT CONTAINS .5", "a == 1 and b == 2 or d not contains 0.5"),
        ("(a == 1 or b == 2) and c == 3", "(a == 1 or b == 2) and c == 3"),
        ("enrollment.event.kind == 'x'", "enrollment.event.kind == 'x'"),
        ("enrollment.in == 1", "enrollment.in == 1"),
        ("a in [ 'x' ,+1 ]", "a in ['x', 1]"),
    ],
)  # fmt: skip
def test_there_is_one_way_to_write_it(text: str, written: str) -> None:
    assert str(parse(text)) == written


def test_what_says_the_same_is_equal() -> None:
    assert parse("a == 1 and (b == 2 and c == 3)") == parse("(a == 1.0 AND b==2) and enrollment.c == 3")
    assert len({parse("a == 1"), parse("a==01"), parse("a == '1'"), parse("a == true")}) == 3
    assert parse("a == true") != parse("a == 1")
    assert parse("a == 1") != "a == 1"
    assert parse("a == 1") is parse("a == 1")


def test_text_holds_every_character() -> None:
    assert parse("a == 'it''s'").holds({"a": "it's"})
    assert parse("a == ''''").holds({"a": "'"})
    assert parse("a == ''").holds({"a": ""})
    assert parse(r"a == 'x\\y'").holds({"a": "x\\y"})
    assert parse(r"a == 'x\n'").holds({"a": r"x\n"})
    assert parse(r"a in ['x\', 'y, ]']").holds({"a": "y, ]"})


def test_what_it_asks_is_told_by_place() -> None:
    found = parse(
        "plan == 'x' and (hook.score > 1 or event.kind == 'y' or home.city == 'z') and hook.profile.tier == nil"
    )
    assert found.names() == {
        "enrollment": {"plan", "home.city"},
        "hook": {"score", "profile.tier"},
        "event": {"kind"},
        "sequence": set(),
        "step": set(),
    }
    assert found.hooks() == {"score", "profile"}
    assert found.missing(FACTS) == ()
    assert found.missing({"plan": 1}) == ("hook.score", "event.kind", "home.city", "hook.profile.tier")


@pytest.mark.parametrize(
    ("text", "column", "cure"),
    [
        ("a == 1 && b == 2", 8, "`and`"),
        ("a == 1 || b == 2", 8, "`or`"),
        ("a === 1", 3, "`==`"),
        ("a = 1", 3, "`==`"),
        ("a <> 1", 3, "`!=`"),
        ("a ~ 'x'", 3, "`in`"),
        ("a =~ 'x'", 3, "`in`"),
        ("a not in ['x']", 7, "`!=` for each"),
        ("a not 5", 7, "plan == 'pro'"),
        ("not a == 1", 1, "opposite"),
        ("!a", 1, "opposite"),
        ("a == 1 xor b == 2", 8, "both cases"),
        ("()", 2, "plan == 'pro'"),
        ("a == 1 and ()", 13, "plan == 'pro'"),
        ("(a == 1", 8, "plan == 'pro'"),
        ("a == 1)", 7, "plan == 'pro'"),
        ("a == 1 b == 2", 8, "plan == 'pro'"),
        ("a == 1 aNd b == 2", 8, "plan == 'pro'"),
        ("a == 1 and", 11, "plan == 'pro'"),
        ("and a == 1", 1, "plan == 'pro'"),
        ("a", 2, "`a == true`"),
        ("a and b == 1", 3, "`a == true`"),
        ("5 < a", 1, "Turn it round"),
        ("'x' in a", 1, "Turn it round"),
        ("a == pro", 6, "single quotes"),
        ('a == "pro"', 6, "single quotes"),
        ("a == ’pro’", 6, "single quotes"),
        ("a == 'pro", 6, "written twice"),
        ("a == 'it's'", 10, "written twice"),
        ("a in 'x'", 6, "plan in ["),
        ("a in b", 6, "plan in ["),
        ("a in ['x',]", 11, "single quotes"),
        ("a in ['x' 'y']", 11, "plan == 'pro'"),
        ("a in [['x']]", 7, "holds no lists"),
        ("a in ['x'", 10, "plan == 'pro'"),
        ("a.length > 1", 1, "keep the number"),
        ("a.b.size > 1", 1, "keep the number"),
        ("a..b == 1", 2, "plan == 'pro'"),
        (".a == 1", 1, "plan == 'pro'"),
        ("a. == 1", 2, "plan == 'pro'"),
        ("a.0 == 1", 2, "plan == 'pro'"),
        ("a-b == 1", 2, "plan == 'pro'"),
        ("a == 1.2.3", 9, "plan == 'pro'"),
        ("a == 1e999", 6, "computer"),
        ("a == '2030-02-30'::DATE", 6, "2030-03-01"),
        ("a == '20300301'::DATE", 6, "2030-03-01"),
        ("a == '2030-03-01'::DATETIME", 6, "2030-03-01"),
        ("a == '2030-03-01T25:00:00'::DATETIME", 6, "2030-03-01"),
        ("a == '5'::INT", 6, "2030-03-01"),
        ("a == '5'::", 6, "2030-03-01"),
        ("a == 5::DATE", 7, "plan == 'pro'"),
    ],
)
def test_a_mistake_is_told_with_its_column_and_its_cure(text: str, column: int, cure: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert refused.value.code == "predicate"
    assert f"At column {column} " in refused.value.message
    assert cure in refused.value.cure
    assert (refused.value.findings[0].line, refused.value.findings[0].column) == (1, column)


def test_of_several_lines_the_line_is_told_too() -> None:
    with pytest.raises(Invalid) as refused:
        parse("plan == 'pro'\n  and seats = 5\n")
    assert "line 2, column 13" in refused.value.message


@pytest.mark.parametrize("text", ["", "  \n\t", None, 5, ["a == 1"], b"a == 1"])
def test_a_predicate_is_text_that_says_something(text: Any) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert refused.value.code == "predicate"


# Predicates that are made up, and what they mean without any parser.

NAMES = st.sampled_from(
    ["a", "b", "home.city", "home.zone.name", "enrollment.event.kind", "hook.score", "event.kind", "step.key"]
)
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -1.0, 1e300, 10**30])
DAYS = st.dates(date(2030, 1, 1), date(2030, 1, 3))
INSTANTS = st.integers(0, 26).map(lambda hours: datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
TEXTS = st.sampled_from(["", "x", "1", "true", "it's", "\\", "a\\'b", "or", "]", "2030-01-01", "é\n"]) | st.text(
    max_size=5
)
SCALARS = st.none() | st.booleans() | NUMBERS | DAYS | INSTANTS | TEXTS
OPERATORS = st.sampled_from(["==", "!=", ">", ">=", "<", "<=", "contains", "not contains"])
COMPARISONS = st.tuples(NAMES, OPERATORS, SCALARS | st.lists(SCALARS, max_size=3)) | st.tuples(
    NAMES, st.just("in"), st.lists(SCALARS, max_size=3)
)
TREES = st.recursive(
    COMPARISONS,
    lambda inner: st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    max_leaves=8,
)
JSON = SCALARS.map(lambda value: value.isoformat() if isinstance(value, date) else value)
VALUES = JSON | SCALARS | st.lists(JSON, max_size=3)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "a": VALUES,
        "b": VALUES,
        "home": VALUES | st.fixed_dictionaries({}, optional={"city": VALUES, "zone": VALUES}),
        "event": st.fixed_dictionaries({"kind": VALUES}),
    },
)
KNOWN = st.builds(
    Facts,
    DATA,
    hooks=st.fixed_dictionaries({"score": VALUES}),
    event=st.fixed_dictionaries({"kind": VALUES}),
    step=st.just({"key": "x"}),
)


def written(tree: Any) -> str:
    """A tree as text, with every parenthesis that can be written."""
    if tree[0] in ("and", "or"):
        return "(" + f" {tree[0].upper()} ".join(map(written, tree[1])) + ")"
    return f"{tree[0]} {tree[1]} {literal(tree[2])}"


def literal(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'::DATETIME"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::DATE"
    return {"None": "nil", "True": "True", "False": "FALSE"}.get(repr(value), repr(value))


def meant(tree: Any, facts: Facts) -> bool:
    """Whether a tree holds, said as plainly as possible."""
    if tree[0] == "and":
        return all(meant(each, facts) for each in tree[1])
    if tree[0] == "or":
        return any(meant(each, facts) for each in tree[1])
    name, operator, wanted = tree
    value = looked_up(name, facts)
    if operator == "in":
        return any(same(value, each) for each in wanted)
    if operator in ("contains", "not contains"):
        inside = isinstance(value, list) and any(same(each, wanted) for each in value)
        return inside is (operator == "contains")
    if operator in ("==", "!="):
        return same(value, wanted) is (operator == "==")
    value = cast(value, wanted)
    if kind(value) != kind(wanted) or kind(value) not in ("number", "date", "datetime"):
        return False
    less, equal = value < wanted, value == wanted
    return {">": not less and not equal, ">=": not less, "<": less, "<=": less or equal}[operator]


def looked_up(name: str, facts: Facts) -> Any:
    first, *rest = name.split(".")
    places = {"enrollment": facts.data, "hook": facts.hooks, "event": facts.event, "step": facts.step}
    value: Any = places[first] if first in places else {first: facts.data.get(first)}[first]
    for key in rest:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def kind(value: Any) -> str:
    kinds = [(bool, "boolean"), ((int, float), "number"), (str, "text"), (datetime, "datetime"), (date, "date")]
    return next((name for types, name in kinds if isinstance(value, types)), "other")  # type: ignore[arg-type]


def cast(value: Any, wanted: Any) -> Any:
    """Text of the data is read as a date only beside one."""
    if not isinstance(value, str) or not isinstance(wanted, date):
        return value
    try:
        found = datetime.fromisoformat(value) if isinstance(wanted, datetime) else date.fromisoformat(value)
    except ValueError:
        return value
    if isinstance(found, datetime):
        return value if len(value) < 16 else found.replace(tzinfo=found.tzinfo or UTC)
    return found


def same(value: Any, wanted: Any) -> bool:
    value = cast(value, wanted)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(same(*pair) for pair in zip(value, wanted, strict=True))
    if value is None or wanted is None:
        return value is wanted
    return kind(value) == kind(wanted) != "other" and bool(value == wanted)


@given(TREES, KNOWN)
@example(("or", [("and", [("a", "==", 1), ("b", "==", 2)]), ("a", "==", True)]), Facts({"a": 1}))
def test_a_predicate_means_what_it_says(tree: Any, facts: Facts) -> None:
    assert parse(written(tree)).holds(facts) is meant(tree, facts)


@given(TREES)
def test_what_is_written_is_read_back(tree: Any) -> None:
    found = parse(written(tree))
    again = parse(str(found))
    assert again == found
    assert hash(again) == hash(found)
    assert str(again) == str(found)
    assert repr(found) == f"Predicate({str(found)!r})"


@given(TREES, st.data())
def test_a_predicate_without_one_of_its_characters_is_read_or_refused(tree: Any, data: st.DataObject) -> None:
    text = written(tree)
    place = data.draw(st.integers(0, len(text) - 1))
    assert is_read_or_refused(
        text[:place] + data.draw(st.sampled_from(["", "(", "'", " ", "\x00", "]"])) + text[place + 1 :]
    )


@given(st.text(max_size=60) | st.text("ab.=<>!'()[], andorint1-\\", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert is_read_or_refused(text)


def is_read_or_refused(text: str) -> bool:
    try:
        found = parse(text)
    except Invalid as refused:
        return refused.code == "predicate" and bool(refused.cure) and bool(refused.findings)
    return parse(str(found)) == found and found.holds(ANN) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000_000,
        "(" * 10_000_000,
        "'" * 9_999,
        "a == 1 and " * 1_000_000,
        "[" * MAX_CHARACTERS,
        "a in [" + "1," * 4_990 + "1",
        "a == " + "9" * 9_000,
        "a == 1" + " " * 9_000 + "b",
        ".".join("a" * 4_990),
        "(" * (MAX_DEPTH + 1) + "a == 1" + ")" * (MAX_DEPTH + 1),
        " or ".join(["a == 1"] * (MAX_TERMS + 1)),
        "a == '" + "''" * 4_990,
    ],
    ids=len,
)
def test_hostile_text_is_refused_at_once(text: str) -> None:
    with at_once(), pytest.raises(Invalid):
        parse(text)


def test_the_largest_predicates_are_read_and_judged() -> None:
    deep: Predicate = parse("(" * MAX_DEPTH + "a == 1" + ")" * MAX_DEPTH)
    nested = "a == 0"
    for depth in range(MAX_DEPTH):
        nested = f"({nested} {'and' if depth % 2 else 'or'} a == {depth})"
    wide = parse(" or ".join([f"a == {n}" for n in range(MAX_TERMS)]))
    assert deep.holds({"a": 1})
    assert parse(str(parse(nested))) == parse(nested)
    assert parse(nested).holds({"a": 0}) in (True, False)
    assert wide.holds({"a": MAX_TERMS - 1})
    assert not wide.holds({"a": MAX_TERMS})


HOSTED = (
    "a == 1.5",
    "a > 1",
    "a contains 1",
    "a in [1, 'x', nil]",
    "a.a.a == nil",
    "a > '2030-01-01'::DATE",
    "a == ['x']",
    "a < '2030-01-01T00:00:00Z'::DATETIME",
)


def test_hostile_data_harms_nobody() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    ring: list[Any] = []
    ring.append(ring)
    for value in (loop, ring, 10**5000, float("nan"), float("inf"), object(), "9" * 10_000_000, {1: 2}, {"x"}, b"x"):
        for text in HOSTED:
            assert parse(text).holds({"a": value}) in (True, False)
    assert not parse("a == 1 or a < 1 or a >= 1").holds({"a": float("nan")})
