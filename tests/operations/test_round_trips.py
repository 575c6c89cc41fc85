"""Is a definition the same after it was stored?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from tests.rules.documents import documents

from dripdrop.rules.document import NO_ID, SequenceDocument, canonical, digest, document_of
from dripdrop.rules.reading import read
from dripdrop.store import sequences
from dripdrop.store.flow import Flow
from dripdrop.store.runners import run_sync
from dripdrop.store.sequences import Sequence

NOW = datetime(2030, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


def kept(document: SequenceDocument) -> Flow[SequenceDocument]:
    """The document as it comes back from the database."""
    written = Sequence(
        NO_ID, "", document.key, document.name, document.description, document.hook_module, document.active,
        document.metadata,
    )  # fmt: skip
    sequence = yield from sequences.insert(NOW, written)
    assert sequence is not None
    edition = yield from sequences.insert_version(
        NOW, sequence, 1, name=None, mode=document.mode, config=document.config, digest=digest(document)
    )
    assert edition is not None
    ids = yield from sequences.insert_steps(NOW, edition, document.steps)
    assert ids is not None
    steps = {step.key: each for step, each in zip(document.steps, ids, strict=True)}
    yield from sequences.insert_transitions(NOW, edition, document.transitions, steps)
    version = yield from sequences.load_version(edition.id)
    return document_of(version, description=sequence.description, active=sequence.active)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=documents())
def test_a_document_survives_the_way_through_the_database(connection: Any, one: SequenceDocument) -> None:
    once, findings = read(canonical(one))
    assert findings == []
    assert once is not None
    # Names of adapters become ids on the way in.
    bare = replace(once, steps=tuple(replace(step, adapter=None, adapter_override=None) for step in once.steps))
    with connection.transaction(force_rollback=True):
        back = run_sync(connection, kept(bare))
    assert canonical(back) == canonical(bare)
    assert digest(back) == digest(bare)
