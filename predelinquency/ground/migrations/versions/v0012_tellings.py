"""Which alert was told at which place outside, and whose key asked for a ticket.

A migration is history: it is written out here, not derived from today's tables, so that it makes the same tables for ever.
"""
from typing import Any

import sqlalchemy as sa
from alembic import op

from predelinquency.ground.core import StoreError

revision, down_revision = "0012", "0011"
branch_labels = depends_on = None

NAME, KEY = "tellings", ("bell", "rule", "subject", "period")
STATES = "state IN ('begun', 'waits', 'told', 'unsure', 'given_up')"


def tickets(*more: sa.Column)->None:
    "Tickets are good for half a minute: the table is made anew, and who held one asks for another."
    op.drop_table("tickets")
    op.create_table("tickets", sa.Column("digest", sa.Text(), nullable=False), sa.Column("until", sa.BigInteger(), nullable=False), sa.Column("redeemed", sa.Boolean(), nullable=False),
                    *more, sa.PrimaryKeyConstraint("digest", name=op.f("pk_tickets")), sqlite_with_rowid=False)


def upgrade()->None:
    text, whole = sa.Text(), sa.BigInteger()
    kinds: dict[str, sa.types.TypeEngine[Any]] = dict(bell=text, rule=text, subject=text, period=whole, said_at=whole, bundle=text, state=text, began_at=whole, until=whole, tries=sa.Integer())
    op.create_table(NAME, *[sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in kinds.items()], sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{NAME}")),
                    sa.CheckConstraint(STATES, name=op.f(f"ck_{NAME}_state")), sqlite_with_rowid=False)
    for column in ("bundle", "state"): op.create_index(op.f(f"ix_{NAME}_{column}"), NAME, [column])
    tickets(sa.Column("asked_by", text, nullable=False))


def downgrade()->None:
    "Goes back only where nothing is lost: alerts that were told would be told again."
    if rows := op.get_bind().execute(sa.text(f"SELECT count(*) FROM {NAME}")).scalar():
        raise StoreError(f"holds {rows} rows, which going back would destroy", where=NAME, remedy="keep this ledger and begin another one under a new URL")
    op.drop_table(NAME)
    tickets()
