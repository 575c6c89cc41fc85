"""Does every published payload mean what its provider's page says?

A file of `tests/recordings/PROVIDER/` has the address at which its text was read (`_source`: the provider's page, or a
file of a public repository) and the day it was read, there or in a stored copy (`_date`); what comes (`json`, `form` or
`body`, and `headers`); and what is expected of each event in it, in order: `feedback` (the fields named, or null),
`event_id`, `delivery`, `inbound` (the fields named of each message). `_basis` says what stands at the source: a whole
`sample` of this very event; its `fields` and their values, from which it is put together; or (of events that mean
nothing to us) no more than its `name`. `unread` says that it was written from what is known of the page, which nobody
could read: it names the page and has no date. People, times and our own id are put into all of them.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.channels.published import EVENTS, KNOWN, UNREAD, named

from dripdrop.channels import BUILT_IN
from dripdrop.plugins import Plugins
from dripdrop.rules.feedback import Feedback

ROOT = Path(__file__).parents[1] / "recordings"
FILES = sorted(ROOT.glob("*/*.json"))
every_recording = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")


@cache
def providers():
    registry = Plugins(builtin=BUILT_IN)
    rows = {row.name: row for row in registry.list("provider") if row.name not in ("local", "default")}
    return {name: registry.get("provider", name, row.channel) for name, row in rows.items()}


def feedback_providers():
    return sorted(name for name, provider in providers().items() if hasattr(provider, "normalize_feedback"))


def call(recorded):
    """(body, headers) as the provider sends them."""
    headers = dict(recorded.get("headers", {}))
    if "json" in recorded:
        return json.dumps(recorded["json"]).encode(), {"content-type": "application/json", **headers}
    if "form" in recorded:
        return urlencode(recorded["form"]).encode(), {"content-type": "application/x-www-form-urlencoded", **headers}
    return base64.b64decode(recorded["body"]), headers


def read(path):
    recorded = json.loads(path.read_text("utf-8"))
    provider = providers()[path.parent.name]
    body, headers = call(recorded)
    return provider, provider.parse_events(body, headers), recorded["expect"]


def plain(value):
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


@every_recording
def test_a_recording_names_its_page_and_the_day_it_was_read(path):
    recorded = json.loads(path.read_text("utf-8"))
    assert re.fullmatch(r"https://[a-z0-9.-]+/\S+", recorded["_source"])
    assert recorded["_basis"] in ("sample", "fields", "name", "unread")
    if recorded["_basis"] == "unread":
        assert "_date" not in recorded, "what nobody read has no day on which it was read"
    else:
        assert date(2026, 1, 1) <= date.fromisoformat(recorded["_date"])
    if recorded["_basis"] == "name":
        assert [each["feedback"] for each in recorded["expect"]] == [None], "it must not be read on a guess"


def test_the_recordings_that_nobody_could_read_are_counted_and_told():
    bases = [(path.parent.name, json.loads(path.read_text("utf-8"))["_basis"]) for path in FILES]
    unread = Counter(provider for provider, basis in bases if basis == "unread")
    if unread:
        warnings.warn(f"{unread.total()} of {len(FILES)} recordings are unread: {dict(unread)}", stacklevel=1)
    assert unread == UNREAD, "one more is a decision, and one less is to be told"


@cache
def recorded_events(provider):
    """Every event that a recording of the provider has."""
    paths = [path for path in FILES if path.parent.name == provider]
    return frozenset(name for path in paths for payload in read(path)[1] for name in named(provider, payload))


@pytest.mark.parametrize("name", feedback_providers())
def test_every_event_that_a_provider_publishes_is_recorded(name):
    assert EVENTS[name] - recorded_events(name) == set()


@pytest.mark.parametrize("name", feedback_providers())
def test_our_tables_know_no_event_that_is_not_published(name):
    assert KNOWN[name] - EVENTS[name] == set()


@pytest.mark.parametrize("name", feedback_providers())
def test_what_is_recorded_and_not_published_is_there_to_show_that_it_is_let_pass(name):
    unknown = [
        path
        for path in FILES
        if path.parent.name == name
        for payload in read(path)[1]
        if not EVENTS[name] & set(named(name, payload))
    ]
    assert {path.stem for path in unknown} <= {"a_status_that_is_new"}


@every_recording
def test_a_published_payload_means_what_its_page_says(path):
    provider, events, expected = read(path)
    assert len(events) == len(expected)
    for payload, wanted in zip(events, expected, strict=True):
        told = provider.normalize_feedback(payload)
        if wanted["feedback"] is None:
            assert told is None
        else:
            assert isinstance(told, Feedback)
            assert {name: plain(getattr(told, name)) for name in wanted["feedback"]} == wanted["feedback"]
        assert provider.resolve_delivery(payload) == wanted["delivery"]
        if "event_id" in wanted:
            assert provider.provider_event_id(payload) == wanted["event_id"]
        came = provider.parse_inbound(payload) if hasattr(provider, "parse_inbound") else []
        assert len(came) == len(wanted.get("inbound", []))
        for message, fields in zip(came, wanted.get("inbound", []), strict=True):
            assert {name: plain(getattr(message, name)) for name in fields} == fields


@pytest.mark.parametrize("name", feedback_providers())
def test_every_event_has_an_id_of_its_own_that_stays(name):
    ids = Counter()
    seen = {}
    for path in FILES:
        if path.parent.name == name:
            provider, events, _ = read(path)
            for payload in events:
                key = provider.provider_event_id(payload)
                assert key == provider.provider_event_id(json.loads(json.dumps(payload)))
                same = json.dumps(payload, sort_keys=True)
                ids[key] += seen.setdefault(key, same) != same
    assert seen, f"there is no recording of {name}"
    assert None not in seen
    # The same mail, forwarded raw or in fields, is the same.
    assert [key for key, others in ids.items() if others and not key.startswith("inbound|")] == []
