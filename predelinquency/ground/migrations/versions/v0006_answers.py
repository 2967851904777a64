"""What was answered to whom who asked for a decision, so that asking again decides nothing again.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same table for ever.
"""
from typing import Any

import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0006", "0005"
branch_labels = depends_on = None


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def upgrade()->None:
    moment, day = (sa.TIMESTAMP(timezone=True), sa.Date()) if _is_postgres() else (sa.Text(), sa.Text())
    columns: dict[str, Any] = dict(asked_by=sa.Text(), asked_as=sa.Text(), customer_id=sa.BigInteger(), as_of=day, question=sa.Text(), answer=sa.Text(), answered_at=moment)
    made = [sa.Column(name, kind, nullable=False, autoincrement=False) for name, kind in columns.items()]
    op.create_table("answers", *made, sa.PrimaryKeyConstraint("asked_by", "asked_as", name=op.f("pk_answers")), sqlite_with_rowid=False)
    op.create_index(op.f("ix_answers_customer_id"), "answers", ["customer_id"])
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    op.execute("CREATE TRIGGER answers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON answers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for verb in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER answers_no_{verb.lower()} BEFORE {verb} ON answers BEGIN SELECT RAISE(ABORT, 'answers is append-only: {verb} is refused'); END")
    op.execute("""CREATE TRIGGER answers_no_replace BEFORE INSERT ON answers WHEN EXISTS (SELECT 1 FROM answers WHERE asked_by = NEW.asked_by AND asked_as = NEW.asked_as)
                  BEGIN SELECT RAISE(ABORT, 'answers is append-only: another row has this key'); END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    if rows := op.get_bind().execute(sa.text("SELECT count(*) FROM answers")).scalar():
        raise StoreError(f"holds {rows} rows, which going back would destroy", where="answers", remedy="keep this ledger and begin another one under a new URL")
    op.drop_table("answers")
