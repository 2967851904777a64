"""What a decision could have been, what became of it after it was sent, and the two outcomes that no action can game.

A migration is history: it is written out here, not derived from today's records, so that it makes the same tables for ever.
"""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from predelinquency.ground.core import StoreError

revision, down_revision = "0003", "0002"
branch_labels = depends_on = None

NAME, KEY = "milestones", ("customer_id", "as_of", "decided_at", "kind")


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def _more()->dict[str, list[sa.Column]]:
    "The columns that older tables gain; what was decided before has neither stratum nor propensities."
    json = postgresql.JSONB() if _is_postgres() else sa.JSON()
    return dict(decisions=[sa.Column("stratum", sa.Text(), nullable=False, server_default=sa.text("''")),
                           sa.Column("propensities", json, nullable=False, server_default=sa.text("'[]'")),
                           sa.Column("customer_minor", sa.Double(), nullable=True)],
                outcomes=[sa.Column("in_arrears", sa.Boolean(), nullable=True), sa.Column("overdue_minor", sa.BigInteger(), nullable=True)])


def upgrade()->None:
    day, moment = (sa.Date(), sa.TIMESTAMP(timezone=True)) if _is_postgres() else (sa.Text(), sa.Text())
    for table, columns in _more().items():
        for column in columns: op.add_column(table, column)
    kinds = dict(customer_id=sa.BigInteger(), as_of=day, decided_at=moment, kind=sa.Text(), at=moment, said_by=sa.Text(), why=sa.Text(), recorded_at=moment, fingerprint=sa.Text())
    op.create_table(NAME, *[sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in kinds.items()],
                    sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{NAME}")),
                    sa.CheckConstraint("kind IN ('approved', 'rejected', 'delivered', 'opened', 'taken_up')", name=op.f(f"ck_{NAME}_kind")),
                    sa.CheckConstraint("kind <> 'rejected' OR why <> ''", name=op.f(f"ck_{NAME}_why")), sqlite_with_rowid=False)
    op.create_index(op.f(f"ix_{NAME}_at"), NAME, ["at"])
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    op.execute(f"CREATE TRIGGER {NAME}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {NAME} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for verb in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {NAME}_no_{verb.lower()} BEFORE {verb} ON {NAME} BEGIN SELECT RAISE(ABORT, '{NAME} is append-only: {verb} is refused'); END")
    same = " AND ".join(f"{c} = NEW.{c}" for c in KEY)
    op.execute(f"""CREATE TRIGGER {NAME}_no_replace BEFORE INSERT ON {NAME} WHEN EXISTS (SELECT 1 FROM {NAME} WHERE {same}) BEGIN
                   SELECT CASE WHEN EXISTS (SELECT 1 FROM {NAME} WHERE {same} AND fingerprint = NEW.fingerprint) THEN RAISE(IGNORE)
                          ELSE RAISE(ABORT, '{NAME} is append-only: another row has this key') END; END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    said = dict(milestones="true", decisions="stratum <> '' OR CAST(propensities AS TEXT) <> '[]' OR COALESCE(customer_minor, 0) <> 0", outcomes="in_arrears IS NOT NULL OR overdue_minor IS NOT NULL")
    for name, lost in said.items():
        if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {name} WHERE {lost}")).scalar():
            raise StoreError(f"holds {rows} rows, which going back would destroy", where=name, remedy="keep this ledger and begin another one under a new URL")
    op.drop_table(NAME)
    for table, columns in _more().items():
        for column in columns: op.drop_column(table, column.name)
