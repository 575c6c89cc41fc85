"""Is each broken provider refused by the test that is meant for it, and a sound one by none?"""

from __future__ import annotations

import pytest

from dripdrop.testing.contracts.broken import BROKEN, SoundProvider, suite_of

RUN = """
from dripdrop.testing.contracts import broken

for kind in (broken.SoundProvider, *broken.BROKEN):
    globals()["Test" + kind.__name__] = broken.suite_of(kind)
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory, request):
    """{provider: the tests that failed}, from a run of pytest in a folder that has nothing of ours."""
    import os
    import re
    import subprocess
    import sys
    from pathlib import Path

    folder = tmp_path_factory.mktemp("stranger")
    (folder / "test_suite.py").write_text(RUN)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", "-c", os.devnull]
    source = Path(__file__).parents[2] / "src"
    ran = subprocess.run(
        [*command, f"--rootdir={folder}", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    found = {}
    for verdict, kind, test in re.findall(r"^(PASSED|FAILED|ERROR) .*::Test(\w+)::(\w+)", ran.stdout, re.MULTILINE):
        found.setdefault(kind, set())
        if verdict != "PASSED":
            found[kind].add(test)
    assert found, ran.stdout + ran.stderr
    return found


def test_there_are_at_least_ten():
    assert len(BROKEN) >= 10
    assert len(set(BROKEN.values())) == len(BROKEN)


def test_a_sound_provider_passes_every_test(refused):
    assert refused[SoundProvider.__name__] == set()


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_one_is_refused_by_the_test_meant_for_it_and_by_no_other(broken, refused):
    assert refused[broken.__name__] == {BROKEN[broken]}


def test_the_suite_can_be_written_down_in_a_few_lines():
    assert suite_of(SoundProvider).provider is SoundProvider
