"""Which of the night's jobs was begun for which day, and how it ended.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same tables for ever.
"""
import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0010", "0009"
branch_labels = depends_on = None

NAME, KEY = "job_runs", ("job", "day", "nth")


def upgrade()->None:
    postgres, text = bool(op.get_bind().dialect.name == "postgresql"), sa.Text()
    moment, day = (sa.TIMESTAMP(timezone=True), sa.Date()) if postgres else (text, text)
    kinds = dict(job=text, day=day, nth=sa.Integer(), begun_at=moment, begun_by=text, ended_at=moment, state=text, said=text)
    op.create_table(NAME, *[sa.Column(column, kind, nullable=column == "ended_at", autoincrement=False) for column, kind in kinds.items()],
                    sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{NAME}")),
                    sa.CheckConstraint("state IN ('begun', 'done', 'failed', 'lost')", name=op.f(f"ck_{NAME}_state")), sqlite_with_rowid=False)


def downgrade()->None:
    "Goes back only where nothing is lost."
    if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {NAME}")).scalar():
        raise StoreError(f"holds {rows} rows, which going back would destroy", where=NAME, remedy="keep this ledger and begin another one under a new URL")
    op.drop_table(NAME)
