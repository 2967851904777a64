"""Who looks after a case, and who has seen to an alert.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same tables for ever.
"""
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0007", "0006"
branch_labels = depends_on = None

TABLES = {"assignments": ("customer_id", "case_id", "nth"), "acknowledgements": ("rule", "subject", "period")}


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def _create(name: str, columns: Mapping[str, sa.types.TypeEngine[Any]], *rules: sa.Constraint)->None:
    made = [sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in columns.items()]
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*TABLES[name], name=op.f(f"pk_{name}")), *rules, sqlite_with_rowid=False)


def upgrade()->None:
    moment, text, wide = (sa.TIMESTAMP(timezone=True) if _is_postgres() else sa.Text()), sa.Text(), sa.BigInteger()
    _create("assignments", dict(customer_id=wide, case_id=text, nth=wide, assigned_at=moment, owner=text, assigned_by=text, why=text, recorded_at=moment, fingerprint=text),
            sa.CheckConstraint("nth > 0", name=op.f("ck_assignments_nth")))
    op.create_index(op.f("ix_assignments_assigned_at"), "assignments", ["assigned_at"])
    _create("acknowledgements", dict(rule=text, subject=text, period=wide, acknowledged_at=moment, acknowledged_by=text))
    op.create_index(op.f("ix_alerts_said_at"), "alerts", ["said_at"])
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    for name in TABLES: op.execute(f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    same_again = {"assignments": "fingerprint = NEW.fingerprint", "acknowledgements": "acknowledged_at = NEW.acknowledged_at AND acknowledged_by = NEW.acknowledged_by"}
    for name, key in TABLES.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} BEGIN SELECT RAISE(ABORT, '{name} is append-only: {verb} is refused'); END")
        same = " AND ".join(f"{c} = NEW.{c}" for c in key)
        op.execute(f"""CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS (SELECT 1 FROM {name} WHERE {same}) BEGIN
                       SELECT CASE WHEN EXISTS (SELECT 1 FROM {name} WHERE {same} AND {same_again[name]}) THEN RAISE(IGNORE)
                              ELSE RAISE(ABORT, '{name} is append-only: another row has this key') END; END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    for name in TABLES:
        if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {name}")).scalar():
            raise StoreError(f"holds {rows} rows, which going back would destroy", where=name, remedy="keep this ledger and begin another one under a new URL")
    for name in TABLES: op.drop_table(name)
    op.drop_index(op.f("ix_alerts_said_at"), "alerts")
