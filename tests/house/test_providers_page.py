"""Does docs/providers.md tell of every provider and token source of ours, and what each can do about a doubt?"""

from __future__ import annotations

import re

import pytest
from tree import ROOT

from dripdrop.channels import BUILT_IN
from dripdrop.channels.deliver import doubt
from dripdrop.plugins import Plugins

PAGE = (ROOT / "docs" / "providers.md").read_text("utf-8")
REGISTRY = Plugins(builtin=BUILT_IN)
OURS = [(row.channel, row.name) for row in REGISTRY.list("provider")]
ROWS = {
    (channel.strip(), name): (word, why)
    for channels, name, word, why in re.findall(r"^\| ([a-z, ]+) \| `(\w+)` \| (\w+) \| ([^|]+) \|", PAGE, re.MULTILINE)
    for channel in channels.split(",")
}


@pytest.mark.parametrize("row", OURS, ids=lambda row: ".".join(row))
def test_a_provider_has_a_row_that_says_what_it_does_in_doubt(row):
    assert row in ROWS, f"{row} is not in docs/providers.md"
    word, why = ROWS[row]
    assert word == type(doubt(REGISTRY.get("provider", row[1], row[0]))).__name__
    assert "https://" in why or row[1] == "local", f"{row} names no page"


def test_no_row_tells_of_a_provider_that_is_none():
    assert set(ROWS) <= set(OURS)


@pytest.mark.parametrize("row", REGISTRY.list("token_source"), ids=lambda row: row.name)
def test_a_token_source_has_a_row(row):
    assert f"| `{row.name}` |" in PAGE
    assert REGISTRY.get("token_source", row.name) is not None
