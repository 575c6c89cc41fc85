"""Which definitions are there?  Strategies for property tests: documents with every key, and mappings of them.

`documents()` gives whole documents, as the engine would get them; `mappings()` gives what a file could hold, which is
right unless a mistake is put in. Both hold every key of a definition sooner or later.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dripdrop.rules.definition import Condition, Cron, Delay, Immediate, OnEvent, Step, Timing, Transition
from dripdrop.rules.document import NO_ID, SequenceDocument, ordered

KEYS = ("a", "b", "c", "welcome", "end", "step 2")
TEXTS = st.sampled_from(
    ["x", "Hi {{ first_name }}", "no", "5", "ü – \U0001f600", "two\nlines\n", " padded ", "a: b # c"]
)
NAMES = st.sampled_from(["plan", "a.b", "first_name"])
VALUES = st.sampled_from(["x", 5, 1.5, True, False, ["a", 1], "no"])
SMALL = st.dictionaries(
    st.sampled_from(["kind", "deep", "n"]), VALUES | st.just({"inner": [1, {"x": "y"}]}), max_size=2
)

DELAYS = st.builds(
    lambda n, unit: Delay(n, unit, f"in {n} {unit[:-1] if n == 1 else unit}"),
    st.integers(1, 99),
    st.sampled_from(["seconds", "minutes", "hours", "days", "weeks"]),
)
WAITING = st.builds(OnEvent, st.just("booked"), SMALL, st.none() | DELAYS, st.none())
CRONS = st.sampled_from([Cron("0 9 * * 1"), Cron("0 9 * * 1", "every monday at 9am")])
TIMINGS: st.SearchStrategy[Timing] = st.one_of(st.just(Immediate()), DELAYS, CRONS, WAITING)
WINDOWS = st.sampled_from([{"days": ["mon", "tue"], "from": "09:00", "to": "17:00"}, {"days": ["sat"]}])
CONDITIONS = st.one_of(
    st.builds(Condition, st.just("enrollment_data"), NAMES, st.sampled_from(["==", "!=", ">", "in"]), VALUES),
    st.builds(Condition, st.just("hook"), st.just("score"), st.sampled_from(["==", ">="]), VALUES),
    st.builds(Condition, st.just("event"), st.just("signed_up"), config=st.sampled_from([{}, {"within": "in 7 days"}])),
    st.just(Condition("predicate", "plan == 'pro' and seats > 5")),
    WINDOWS.map(lambda window: Condition("time_window", "", config={"window": window})),
)
SEVERAL = st.lists(CONDITIONS, max_size=3).map(tuple)
POLICIES = st.sampled_from(["continue", "complete", "pause", "cancel"])

STEP_CONFIG: dict[str, st.SearchStrategy[Any]] = {
    "repeat": st.sampled_from([True, 4]),
    "timezone": st.sampled_from(["Europe/Vienna", "{{ timezone }}"]),
    "window": st.sampled_from([[8, 21], ["8:30", "21:00"], {"mon": [9, 17], "sat": False}, False]),
    "late": st.sampled_from(["send", "skip", "space", {"do": "skip", "after": "in 2 hours"}]),
    "retries": st.integers(0, 9),
    "on_failure": POLICIES,
    "on_exhausted": POLICIES,
    "on_no_match": POLICIES,
    "on_unknown": st.sampled_from(["hold", "resend"]),
    "reply_behavior": st.just("pause_enrollment"),
    "unsubscribe": st.booleans(),
    "short_links": st.sampled_from([True, {"domain": "go.example.org", "utm": {"source": "drip"}}]),
    "spintax": st.booleans(),
    "variants": st.just([{"weight": 1, "name": "a", "subject": "One"}, {"weight": 2, "name": "b", "subject": "Two"}]),
    "locales": st.just({"de": {"subject": "Servus", "text": "Hallo"}}),
    "concurrency": st.just({"channel": 5}),
    "rate_limits": st.just({"recipient": "1/1h"}),
    "sending_rules": st.just({"daily_cap": 50}),
}
TEMPLATE: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("subject", "html", "text", "body"), TEXTS),
    "to": st.sampled_from(["ann@example.org", ["{{ email }}", "b@example.org"]]),
    "cc": st.just(["c@example.org"]),
    "bcc": st.just("d@example.org"),
    "from": st.just("Team <team@example.org>"),
    "reply_to": st.just("help@example.org"),
    "headers": st.just({"X-Kind": "drip"}),
    "attachments": st.just([{"filename": "a.txt", "content": "hello"}]),
    "payload": SMALL,
    "url": st.just("https://hooks.example.org/in"),
    "method": st.just("PUT"),
    "media_urls": st.just(["https://example.org/a.png"]),
    "chat_id": st.sampled_from(["@here", 42]),
    "topic": st.just("leads"),
    "event": st.just("lead.created"),
    "blocks": st.just([{"type": "divider"}]),
}
CONFIG: dict[str, st.SearchStrategy[Any]] = {
    "pool": st.just("cold"),
    "timezone": st.just("Asia/Tokyo"),
    "topic": st.just("news"),
    "class": st.sampled_from(["marketing", "transactional"]),
    "reentry": st.sampled_from(["always", "never", True, False, {"after": "in 30 days"}]),
    "exit_on": st.sampled_from([["cancelled"], ["a", {"event": "paid", "match": {"plan": "pro"}, "as": "completed"}]]),
    "http_hooks": st.just({"score": {"url": "https://hooks.example.org/score", "method": "POST"}}),
    "defaults": st.sampled_from([{"name": "N", "retries": 1}, {"timing": "in 1 day", "from": "a@example.org"}]),
    "window": st.just([9, 17]),
    "on_no_match": POLICIES,
    "variables": st.just(["first_name", "plan"]),
}


def some(choices: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with some of these keys."""
    return st.fixed_dictionaries({}, optional=choices)


@st.composite
def steps(draw: st.DrawFn, key: str, place: int) -> Step:
    """A step of that key, with any of a step's keys."""
    module = draw(st.booleans())
    template = {**draw(some(TEMPLATE)), **draw(st.sampled_from([{}, {"own": {"deep": [1]}}]))}
    if module:
        template = {"module": "myapp.mail", "function": "welcome", **template}
        template.pop("own", None)
    adapter, override = draw(st.sampled_from([(None, None), ("main", None), (None, "other")]))
    return Step(
        NO_ID,
        key,
        draw(st.sampled_from(["A", "Some name"])),
        draw(st.sampled_from(["email", "sms", "webhook", "pubsub", "pigeon"])),
        draw(st.sampled_from([place, place * 10, None])),
        draw(TIMINGS),
        template,
        "module" if module else "inline",
        adapter,
        override,
        draw(st.sampled_from(["all", "any"])),
        draw(SEVERAL),
        {**draw(some(STEP_CONFIG)), **draw(st.sampled_from([{}, {"recipient_key": "work_email"}]))},
        draw(st.booleans()),
    )


@st.composite
def documents(draw: st.DrawFn, *, defaults: bool = True) -> SequenceDocument:
    """A document in its stored order, with any of a definition's keys; it can be stored, and need not be sound."""
    named = draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True))
    parts = stored([draw(steps(key, place)) for place, key in enumerate(named, 1)])
    ways = []
    for origin in [None, *(step.key for step in parts)]:
        for place in range(draw(st.integers(0, 2))):
            target = draw(st.sampled_from([None, *named]))
            mode = draw(st.sampled_from(["all", "any", "always"]))
            ways.append(Transition(origin, target, mode, draw(SEVERAL), draw(st.sampled_from([place, place * 10]))))
    config = draw(some(CONFIG if defaults else {name: each for name, each in CONFIG.items() if name != "defaults"}))
    return SequenceDocument(
        "key",
        "Name",
        parts,
        tuple(ways),
        draw(st.none() | st.just("What it is for")),
        draw(st.sampled_from(["lifecycle", "outbound"])),
        config,
        draw(st.none() | st.just("myapp.hooks:Onboarding")),
        draw(SMALL),
        draw(st.booleans()),
    )


def stored(parts: list[Step]) -> tuple[Step, ...]:
    return tuple(ordered(SequenceDocument("key", "Name", tuple(parts))))
