"""What was removed when its time was over; and a delete passes only in the transaction that writes such an entry.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same tables for ever.
"""
import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0008", "0007"
branch_labels = depends_on = None

NAME, KEY = "removals", ("removed_at", "from_table")
REFUSED = "RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP"
# an entry for this table that this very transaction wrote; the schema is that of the table, so that no other table of this name is asked
ENTERED = """IF TG_OP = 'DELETE' AND TG_TABLE_NAME <> 'removals' THEN
                 EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I.removals WHERE from_table = $1 AND xmin = pg_current_xact_id()::xid)', TG_TABLE_SCHEMA) INTO entered USING TG_TABLE_NAME::text;
                 IF entered THEN RETURN NULL; END IF;
             END IF;"""


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def _refuse(declare: str, unless: str)->None:
    op.execute(f"CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ {declare} BEGIN {unless} {REFUSED}; END $$")


def upgrade()->None:
    moment, day, text = (sa.TIMESTAMP(timezone=True), sa.Date(), sa.Text()) if _is_postgres() else (sa.Text(), sa.Text(), sa.Text())
    kinds = dict(removed_at=moment, from_table=text, before_on=day, row_count=sa.BigInteger(), said_by=text, why=text)
    op.create_table(NAME, *[sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in kinds.items()],
                    sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{NAME}")), sa.CheckConstraint("said_by <> ''", name=op.f(f"ck_{NAME}_said_by")),
                    sa.CheckConstraint("why <> ''", name=op.f(f"ck_{NAME}_why")), sqlite_with_rowid=False)
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    op.execute(f"CREATE TRIGGER {NAME}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {NAME} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")
    _refuse("DECLARE entered boolean;", ENTERED)


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for verb in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {NAME}_no_{verb.lower()} BEFORE {verb} ON {NAME} BEGIN SELECT RAISE(ABORT, '{NAME} is append-only: {verb} is refused'); END")
    same = " AND ".join(f"{c} = NEW.{c}" for c in KEY)
    op.execute(f"""CREATE TRIGGER {NAME}_no_replace BEFORE INSERT ON {NAME} WHEN EXISTS (SELECT 1 FROM {NAME} WHERE {same})
                   BEGIN SELECT RAISE(ABORT, '{NAME} is append-only: another row has this key'); END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {NAME}")).scalar():
        raise StoreError(f"holds {rows} rows, which going back would destroy", where=NAME, remedy="keep this ledger and begin another one under a new URL")
    if _is_postgres(): _refuse("", "")
    op.drop_table(NAME)
