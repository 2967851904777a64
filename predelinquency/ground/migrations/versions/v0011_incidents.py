"""What went wrong: when that became known, what was done about it, and when it was over.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same table for ever.
"""
from typing import Any

import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0011", "0010"
branch_labels = depends_on = None

NAME = "incidents"


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def upgrade()->None:
    moment, text = sa.TIMESTAMP(timezone=True) if _is_postgres() else sa.Text(), sa.Text()
    columns: dict[str, Any] = dict(nth=sa.BigInteger(), step=sa.Integer(), kind=text, said_at=moment, said_by=text, words=text, duty=text, known_at=moment, came_from=text)
    made = [sa.Column(name, kind, nullable=False, autoincrement=False) for name, kind in columns.items()]
    op.create_table(NAME, *made, sa.PrimaryKeyConstraint("nth", "step", name=op.f(f"pk_{NAME}")),
                    sa.CheckConstraint("kind IN ('opened', 'noted', 'closed')", name=op.f(f"ck_{NAME}_kind")),
                    sa.CheckConstraint("said_by <> '' AND words <> ''", name=op.f(f"ck_{NAME}_said")), sqlite_with_rowid=False)
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    op.execute(f"CREATE TRIGGER {NAME}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {NAME} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for verb in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {NAME}_no_{verb.lower()} BEFORE {verb} ON {NAME} BEGIN SELECT RAISE(ABORT, '{NAME} is append-only: {verb} is refused'); END")
    op.execute(f"""CREATE TRIGGER {NAME}_no_replace BEFORE INSERT ON {NAME} WHEN EXISTS (SELECT 1 FROM {NAME} WHERE nth = NEW.nth AND step = NEW.step)
                  BEGIN SELECT RAISE(ABORT, '{NAME} is append-only: another row has this key'); END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {NAME}")).scalar():
        raise StoreError(f"holds {rows} rows, which going back would destroy", where=NAME, remedy="keep this ledger and begin another one under a new URL")
    op.drop_table(NAME)
