"""The ledger's five tables, and the triggers that keep them from changing.

A migration is history: it is written out here, not derived from today's records, so that it makes the same tables for ever.
"""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from predelinquency.ground.core import StoreError

revision = "0001"
down_revision = branch_labels = depends_on = None

KEYS = dict(
    scores=("customer_id", "as_of", "model_version", "feature_hash"),
    decisions=("customer_id", "as_of", "decided_at"),
    contacts=("customer_id", "contact_id", "state"),
    replies=("customer_id", "contact_id", "received_at"),
    outcomes=("customer_id", "as_of", "observed_on"),
)


def _types(postgres:bool)->dict[str, sa.types.TypeEngine]:
    return dict(integer=sa.BigInteger(), real=sa.Double(), truth=sa.Boolean(), text=sa.Text(),
                day=sa.Date() if postgres else sa.Text(), moment=sa.TIMESTAMP(timezone=True) if postgres else sa.Text(), json=postgresql.JSONB() if postgres else sa.JSON())


def _create(name:str, columns:str, when:str, *more:sa.schema.SchemaItem)->None:
    "`columns` reads: name type, a question mark where a value may be absent."
    types, made = _types(op.get_bind().dialect.name == "postgresql"), []
    for line in (columns + ", recorded_at moment, fingerprint text").split(", "):
        column, kind = line.split()
        made.append(sa.Column(column, types[kind.rstrip("?")], nullable=kind.endswith("?"), autoincrement=False))
    key = sa.PrimaryKeyConstraint(*KEYS[name], name=op.f(f"pk_{name}"))
    op.create_table(name, *made, key, *more, sqlite_with_rowid=False)
    op.create_index(op.f(f"ix_{name}_{when}"), name, [when])


def upgrade()->None:
    _create("scores", "customer_id integer, as_of day, probability real, margin real, model_version text, reasons json, feature_hash text", "as_of",
            sa.CheckConstraint("probability BETWEEN 0 AND 1", name=op.f("ck_scores_probability")))
    carries_out = ["customer_id", "as_of", "decided_at", "channel", "action"]
    _create("decisions", "customer_id integer, as_of day, decided_at moment, arm text, propensity real?, band text, action text, channel text, rule text, because text, "
            "value_minor real?, intended text, approval text, review truth, policy text, obligation_id integer?, instalment integer?, message_id text, subject text, message text, refusals json",
            "decided_at", sa.UniqueConstraint(*carries_out, name=op.f("uq_decisions_customer_id")))
    _create("contacts", "customer_id integer, contact_id text, state text, at moment, channel text, action text, as_of day?, decided_at moment?, message_id text, subject text, message text",
            "at", sa.CheckConstraint("state IN ('queued', 'sent', 'failed', 'withdrawn')", name=op.f("ck_contacts_state")), sa.CheckConstraint("channel <> ''", name=op.f("ck_contacts_channel")),
            sa.CheckConstraint("(as_of IS NULL) = (decided_at IS NULL)", name=op.f("ck_contacts_decision")),
            sa.ForeignKeyConstraint(carries_out, [f"decisions.{c}" for c in carries_out], name=op.f("fk_contacts_decisions")))
    _create("replies", "customer_id integer, contact_id text, received_at moment, channel text, kind text, text text", "received_at",
            sa.CheckConstraint("kind IN ('accepts', 'declines', 'asks', 'stop', 'complains', 'other')", name=op.f("ck_replies_kind")))
    _create("outcomes", "customer_id integer, as_of day, observed_on day, missed truth?, paid_minor integer, replied truth?, opted_out truth, complained truth", "observed_on")
    (_freeze_postgresql if op.get_bind().dialect.name == "postgresql" else _freeze_sqlite)()


def _freeze_postgresql()->None:
    op.execute("""CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP; END $$""")
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
    bind = op.get_bind()
    for name in KEYS:
        if rows := bind.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar():
            raise StoreError(f"holds {rows} rows, which going back would destroy", where=name, remedy="keep this ledger and begin another one under a new URL")
    for name in reversed(KEYS): op.drop_table(name)
    if bind.dialect.name == "postgresql": op.execute("DROP FUNCTION refuse_change()")
