"Alembic runs this; `predelinquency.ground.ledger.migrate` hands over a connection that is inside a transaction."
from alembic import context

from predelinquency.ground.ledger import LEDGER_METADATA, VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], target_metadata=LEDGER_METADATA, version_table=VERSION_TABLE, compare_type=True)
with context.begin_transaction(): context.run_migrations()
