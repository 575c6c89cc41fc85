"""One migrated database for all tests of a file that only look, or undo what they did."""

from __future__ import annotations

import psycopg
import pytest


@pytest.fixture(scope="module")
def connection(postgres, migrated_template):
    with postgres.database(migrated_template) as name, psycopg.connect(postgres.url_of(name), autocommit=True) as found:
        yield found
