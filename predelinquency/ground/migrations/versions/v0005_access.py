"""Who may ask: keys that were handed out, their ends, and whose data each of them was shown.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same tables for ever.
"""
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0005", "0004"
branch_labels = depends_on = None

TABLES = {"access_keys": ("key_id",), "access_ends": ("key_id", "said_at"), "views": ("customer_id", "seen_at", "key_name", "route")}


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def _create(name: str, columns: Mapping[str, sa.types.TypeEngine[Any]], *rules: sa.Constraint)->None:
    made = [sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in columns.items()]
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*TABLES[name], name=op.f(f"pk_{name}")), *rules, sqlite_with_rowid=False)


def upgrade()->None:
    moment, text, whole, wide = (sa.TIMESTAMP(timezone=True) if _is_postgres() else sa.Text()), sa.Text(), sa.Integer(), sa.BigInteger()
    _create("access_keys", dict(key_id=text, name=text, role=text, digest=text, per_minute=whole, begins_at=moment, ends_at=moment, made_at=moment),
            sa.CheckConstraint("ends_at > begins_at", name=op.f("ck_access_keys_ends")), sa.CheckConstraint("per_minute > 0", name=op.f("ck_access_keys_per_minute")))
    _create("access_ends", dict(key_id=text, said_at=moment, ends_at=moment))
    _create("views", dict(customer_id=wide, seen_at=moment, key_name=text, route=text))
    op.create_index(op.f("ix_views_key_name"), "views", ["key_name"])
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    for name in TABLES: op.execute(f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert. Of a view every column is its key: replacing it changes nothing."
    for name, key in TABLES.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} BEGIN SELECT RAISE(ABORT, '{name} is append-only: {verb} is refused'); END")
        if name != "views":
            same = " AND ".join(f"{c} = NEW.{c}" for c in key)
            op.execute(f"""CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS (SELECT 1 FROM {name} WHERE {same})
                           BEGIN SELECT RAISE(ABORT, '{name} is append-only: another row has this key'); END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    for name in TABLES:
        if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {name}")).scalar():
            raise StoreError(f"holds {rows} rows, which going back would destroy", where=name, remedy="keep this ledger and begin another one under a new URL")
    for name in TABLES: op.drop_table(name)
