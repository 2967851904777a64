"""Ways around the software, for the tests of what is kept."""

from collections.abc import Callable

import pytest


@pytest.fixture
def raw() -> Callable[[str, str], object]:
    "`raw(url, statement)`: past the software, straight to the database; the first value of the answer."

    def ask(url: str, statement: str) -> object:
        if url.startswith("sqlite"):
            import sqlite3

            connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        else:
            import psycopg

            connection = psycopg.connect(url, autocommit=True)
        try:
            cursor = connection.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
        finally:
            connection.close()

    return ask
