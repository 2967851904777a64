"""What a follower of the log of events writes: scores between two nights, its place, what waits, what was laid aside, and the feed of what is new.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same tables for ever.
"""
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from predelinquency.ground.core import StoreError

revision, down_revision = "0004", "0003"
branch_labels = depends_on = None

GROWING = {"live_scores": ("customer_id", "revision"), "alerts": ("rule", "subject", "period"), "dead_letters": ("partition", "position")}
KEPT = (*GROWING, "waiting", "log_places", "feed")
TABLES = (*KEPT, "feed_ends", "tickets")


def _is_postgres()->bool:
    return bool(op.get_bind().dialect.name == "postgresql")


def _create(name: str, key: tuple[str, ...], columns: Mapping[str, sa.types.TypeEngine[Any]], *rules: sa.Constraint, empty: tuple[str, ...] = ())->None:
    made = [sa.Column(column, kind, nullable=column in empty, autoincrement=False) for column, kind in columns.items()]
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")), *rules, sqlite_with_rowid=False)


def upgrade()->None:
    day, json, text, whole, wide = (sa.Date() if _is_postgres() else sa.Text()), (postgresql.JSONB() if _is_postgres() else sa.JSON()), sa.Text(), sa.Integer(), sa.BigInteger()
    scores: dict[str, sa.types.TypeEngine[Any]] = dict(customer_id=wide, revision=whole, as_of=day, final=sa.Boolean(), eligible=sa.Boolean(), probability=sa.Double(), margin=sa.Double(), model_version=text,
                  feature_hash=text, reasons=json, dues=json, incomplete=whole, partition=whole, position=wide, arrived_at=wide)
    _create("live_scores", GROWING["live_scores"], scores,
            sa.CheckConstraint("probability BETWEEN 0 AND 1", name=op.f("ck_live_scores_probability")),
            sa.CheckConstraint("eligible = (probability IS NOT NULL)", name=op.f("ck_live_scores_eligible")),
            sa.UniqueConstraint("partition", "position", "customer_id", "final", name=op.f("uq_live_scores_partition")), empty=("probability", "margin"))
    _create("alerts", GROWING["alerts"], dict(rule=text, subject=text, period=wide, customer_id=wide, level=text, said_at=wide, body=json), empty=("customer_id",))
    _create("log_places", ("partition",), dict(partition=whole, position=wide, fence=wide, owner=text, until=wide))
    of_log = dict(partition=whole, position=wide, customer_id=wide)
    _create("waiting", ("partition", "position"), of_log | dict(arrived_at=wide))
    _create("dead_letters", GROWING["dead_letters"], of_log | dict(why=text, laid_at=wide))
    _create("feed", ("n",), dict(n=wide, kind=text, customer_id=wide, said_at=wide, body=json), empty=("customer_id",))
    _create("feed_ends", ("one",), dict(one=whole, last=wide, gone=wide), sa.CheckConstraint("one = 1", name=op.f("ck_feed_ends_one")))
    _create("tickets", ("digest",), dict(digest=text, until=wide, redeemed=sa.Boolean()))
    for name in ("alerts", "waiting", "dead_letters"): op.create_index(op.f(f"ix_{name}_customer_id"), name, ["customer_id"])
    (_freeze_postgresql if _is_postgres() else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    for name in GROWING: op.execute(f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for name, key in GROWING.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} BEGIN SELECT RAISE(ABORT, '{name} is append-only: {verb} is refused'); END")
        same = " AND ".join(f"{c} = NEW.{c}" for c in key)
        op.execute(f"""CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS (SELECT 1 FROM {name} WHERE {same})
                       BEGIN SELECT RAISE(ABORT, '{name} is append-only: another row has this key'); END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    for name in KEPT:
        if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {name}")).scalar():
            raise StoreError(f"holds {rows} rows, which going back would destroy", where=name, remedy="keep this ledger and begin another one under a new URL")
    for name in TABLES: op.drop_table(name)
