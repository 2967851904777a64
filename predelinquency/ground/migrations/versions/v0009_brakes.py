"""When all contact was stopped, by whom and why, and when it went on.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same table for ever.
"""
from typing import Any

import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0009", "0008"
branch_labels = depends_on = None


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def upgrade()->None:
    moment = sa.TIMESTAMP(timezone=True) if _is_postgres() else sa.Text()
    columns: dict[str, Any] = dict(nth=sa.BigInteger(), said_at=moment, stops=sa.Boolean(), said_by=sa.Text(), why=sa.Text())
    made = [sa.Column(name, kind, nullable=False, autoincrement=False) for name, kind in columns.items()]
    op.create_table("brakes", *made, sa.PrimaryKeyConstraint("nth", name=op.f("pk_brakes")), sa.CheckConstraint("why <> ''", name=op.f("ck_brakes_why")), sqlite_with_rowid=False)
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    op.execute("CREATE TRIGGER brakes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON brakes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for verb in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER brakes_no_{verb.lower()} BEFORE {verb} ON brakes BEGIN SELECT RAISE(ABORT, 'brakes is append-only: {verb} is refused'); END")
    op.execute("""CREATE TRIGGER brakes_no_replace BEFORE INSERT ON brakes WHEN EXISTS (SELECT 1 FROM brakes WHERE nth = NEW.nth)
                  BEGIN SELECT RAISE(ABORT, 'brakes is append-only: another row has this key'); END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    if rows := op.get_bind().execute(sa.text("SELECT count(*) FROM brakes")).scalar():
        raise StoreError(f"holds {rows} rows, which going back would destroy", where="brakes", remedy="keep this ledger and begin another one under a new URL")
    op.drop_table("brakes")
