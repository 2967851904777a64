"""Two tables more: the steps of cases, and what people say about them.

A migration is history: it is written out here, not derived from today's records, so that it makes the same tables for ever.
"""
import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0002", "0001"
branch_labels = depends_on = None

KEYS = dict(
    cases=("customer_id", "case_id", "at", "event"),
    notes=("customer_id", "obligation_id", "instalment", "said_at", "kind", "said_by"),
)


def _create(name:str, columns:str, when:str, **rules:str)->None:
    "`columns` reads: name type, a question mark where a value may be absent."
    postgres, made = op.get_bind().dialect.name == "postgresql", []
    types: dict[str, sa.types.TypeEngine] = dict(integer=sa.BigInteger(), real=sa.Double(), text=sa.Text(), day=sa.Date() if postgres else sa.Text(),
                                                 moment=sa.TIMESTAMP(timezone=True) if postgres else sa.Text())
    for line in (columns + ", recorded_at moment, fingerprint text").split(", "):
        column, kind = line.split()
        made.append(sa.Column(column, types[kind.rstrip("?")], nullable=kind.endswith("?"), autoincrement=False))
    key = sa.PrimaryKeyConstraint(*KEYS[name], name=op.f(f"pk_{name}"))
    checks = [sa.CheckConstraint(rule, name=op.f(f"ck_{name}_{what}")) for what, rule in rules.items()]
    op.create_table(name, *made, key, *checks, sqlite_with_rowid=False)
    op.create_index(op.f(f"ix_{name}_{when}"), name, [when])


def upgrade()->None:
    _create("cases", "customer_id integer, case_id text, at moment, event text, from_state text, to_state text, why text, obligation_id integer, instalment integer, due_on day, "
            "probability real?, scored_on day?, outcome text, until_on day?, after text", "at",
            event="event IN ('opened', 'scored', 'escalated', 'near', 'in_grace', 'put_off', 'returned', 'closed', 'corrected')",
            state="to_state IN ('early', 'near', 'in_grace', 'closed')", outcome="outcome IN ('', 'paid', 'moved', 'cancelled', 'missed', 'unknown')",
            ends="(to_state = 'closed') = (outcome <> '')")
    _create("notes", "customer_id integer, obligation_id integer, instalment integer, said_at moment, kind text, said_by text, why text, until_on day?, opinion text", "said_at",
            kind="kind IN ('put_off', 'disagrees', 'cannot_pay')", opinion="opinion IN ('', 'pays', 'misses')", why="why <> ''",
            until="(kind = 'put_off') = (until_on IS NOT NULL)", thinks="(kind = 'disagrees') = (opinion <> '')")
    (_freeze_postgresql if op.get_bind().dialect.name == "postgresql" else _freeze_sqlite)()


def _freeze_postgresql()->None:
    "With the function that the first migration made."
    for name in KEYS:
        op.execute(f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")


def _freeze_sqlite()->None:
    "INSERT OR REPLACE deletes without firing a delete trigger: so a key that is taken is looked for before every insert."
    for name, key in KEYS.items():
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} BEGIN SELECT RAISE(ABORT, '{name} is append-only: {verb} is refused'); END")
        same = " AND ".join(f"{c} = NEW.{c}" for c in key)
        op.execute(f"""CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS (SELECT 1 FROM {name} WHERE {same}) BEGIN
                       SELECT CASE WHEN EXISTS (SELECT 1 FROM {name} WHERE {same} AND fingerprint = NEW.fingerprint) THEN RAISE(IGNORE)
                              ELSE RAISE(ABORT, '{name} is append-only: another row has this key') END; END""")


def downgrade()->None:
    "Goes back only where nothing is lost."
    for name in KEYS:
        if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {name}")).scalar():
            raise StoreError(f"holds {rows} rows, which going back would destroy", where=name, remedy="keep this ledger and begin another one under a new URL")
    for name in reversed(KEYS): op.drop_table(name)
