"""Does MJML become what its reference compiler makes of it?"""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fetched import node_modules
from seen import tags, words

from dripdrop.rendering import inlining
from dripdrop.rendering.html_part import html_part

SAMPLES = sorted((Path(__file__).parent / "mjml").glob("*.mjml"))
COMPILE = """
const compile = require(process.argv[1] + '/mjml');
const source = require('fs').readFileSync(0, 'utf8');
Promise.resolve((compile.default || compile)(source, { keepComments: true }))
  .then(({ html, errors }) => process.stdout.write(JSON.stringify({ html, errors })));
"""


def reference(source: str) -> str:
    command = ["node", "-e", COMPILE, str(node_modules("mjml", "4.18.0"))]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=120, check=True)
    made = json.loads(done.stdout)
    assert made["errors"] == []
    html: str = made["html"]
    return html


@pytest.mark.system("npm")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_has_the_tags_and_the_words_of_the_reference(sample: Path) -> None:
    source = sample.read_text("utf-8")
    ours = html_part(source).render({"now": datetime(2030, 3, 1, tzinfo=UTC)})
    # As a browser reads it: rows have a body, and what cannot stand in a table stands before it.
    theirs = inlining.normal(reference(source))
    assert [name for name, _ in tags(ours)] == [name for name, _ in tags(theirs)]
    assert words(ours) == words(theirs)


def test_there_are_five_samples() -> None:
    assert len(SAMPLES) >= 5
