"""Online stores for Feast in which the newest row of an entity stands, whoever writes and in whatever order.

Feast's own SQLite store lets an older row replace a newer one; its Redis store looks before it writes, but another
writer may come in between. Here a writer looks and writes in one step. Rows of the same moment: the last one written
stands, so what was made again takes effect.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, RedisType, _mmh3, _redis_key
from feast.infra.online_stores.redis import _versioned_fv_name as _view_name
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _quote_id, _table_id
from feast.utils import make_tzaware
from google.protobuf.timestamp_pb2 import Timestamp
from feast.infra.key_encoding_utils import serialize_entity_key
from redis.exceptions import WatchError

Row = tuple[Any, dict[str, Any], Any, Any]  # as Feast hands it over: entity key, values, event time, time of making
COUNTS = {"written": 0, "older": 0}  # rows that this process has written, and left out because a newer one stands
AT_ONCE = 200  # rows that Redis is watched for at a time: the fewer, the less often two writers meet


def newest(data: list[Row], key_of: Callable[[Any], bytes], moment_of: Callable[[Any], int]) -> dict[bytes, Row]:
    "The newest row of each entity in a batch; of the same moment the last one."
    found: dict[bytes, Row] = {}
    for row in data:
        key = key_of(row[0])
        if key not in found or moment_of(row[2]) >= moment_of(found[key][2]):
            found[key] = row
    return found


def counted(rows: int, written: int) -> None:
    COUNTS["written"] += written
    COUNTS["older"] += rows - written


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    type: Literal["guarded.GuardedSqliteOnlineStore"] = "guarded.GuardedSqliteOnlineStore"
    wait_seconds: int = 600
    "How long a writer waits for another one."


class GuardedSqliteOnlineStore(SqliteOnlineStore):
    "Looks and writes in one transaction, which no other writer's can overlap."

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Lock()

    def _get_conn(self, config: Any) -> Any:
        if time.timezone or time.daylight:  # Feast keeps local seconds: two zones would not agree which row is newer
            raise RuntimeError("the online store keeps times in UTC: set TZ=UTC for this process")
        if not self._conn:
            conn = super()._get_conn(config)
            conn.execute(f"PRAGMA busy_timeout = {1_000 * config.online_store.wait_seconds}")
            conn.execute("PRAGMA journal_mode = WAL")  # who reads does not wait for who writes
        return self._conn

    def online_write_batch(self, config: Any, table: Any, data: list[Row], progress: Any) -> None:
        version = config.entity_key_serialization_version

        def key_of(entity: Any) -> bytes:
            return serialize_entity_key(entity, entity_key_serialization_version=version)

        def moment_of(event_time: Any) -> int:  # whole seconds, as Feast's SQLite store keeps them
            return int(make_tzaware(event_time).timestamp())

        name = _quote_id(_table_id(config.project, table, config.registry.enable_online_feature_view_versioning))
        stands = f"SELECT max(CAST(event_ts AS INTEGER)) FROM {name} WHERE entity_key = ?"
        rows = newest(data, key_of, moment_of)
        with self._turn:
            conn = self._get_conn(config)
            conn.execute("BEGIN IMMEDIATE")
            try:
                kept = []
                for key, row in rows.items():
                    held = conn.execute(stands, (key,)).fetchone()[0]
                    if held is None or held <= moment_of(row[2]):
                        kept.append(row)
                super().online_write_batch(config, table, kept, progress)  # ends this transaction
            finally:
                conn.rollback()  # of what failed; nothing is left to undo where all went well
        counted(len(data), len(kept))


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    type: Literal["guarded.GuardedRedisOnlineStore"] = "guarded.GuardedRedisOnlineStore"


class GuardedRedisOnlineStore(RedisOnlineStore):
    "Watches the rows that it looks at: a write of somebody else in between makes it look again."

    def online_write_batch(self, config: Any, table: Any, data: list[Row], progress: Any) -> None:
        if config.online_store.redis_type == RedisType.redis_cluster:
            raise RuntimeError("a Redis cluster cannot watch rows on several nodes: use one server, or Sentinel")
        version = config.entity_key_serialization_version

        def key_of(entity: Any) -> bytes:
            return _redis_key(config.project, entity, entity_key_serialization_version=version)

        rows = list(newest(data, key_of, _nanoseconds).items())
        written = 0
        for first in range(0, len(rows), AT_ONCE):
            some = rows[first : first + AT_ONCE]
            while (done := self._write(config, table, some)) is None:
                pass  # another writer was faster: look again
            written += done
            if progress:
                progress(len(some))
        counted(len(data), written)

    def _write(self, config: Any, table: Any, rows: list[tuple[bytes, Row]]) -> int | None:
        "How many were written; None, and nothing is, when one of these rows was written by another meanwhile."
        client, view = self._get_client(config.online_store), _view_name(table, config)
        lasts, at = config.online_store.key_ttl_seconds, f"_ts:{view}"
        with client.pipeline(transaction=True) as both, client.pipeline(transaction=False) as look:
            both.watch(*(key for key, _ in rows))
            for key, _ in rows:
                look.hget(key, at)
            held = look.execute()
            both.multi()
            written = 0
            for (key, (_, values, event_time, _)), stands in zip(rows, held, strict=True):
                if stands is not None and _parsed(stands) > _nanoseconds(event_time):
                    continue
                said = {_mmh3(f"{view}:{name}"): value.SerializeToString() for name, value in values.items()}
                both.hset(key, mapping={at: _stamp(event_time).SerializeToString(), **said})
                if lasts:
                    both.expire(key, lasts)
                written += 1
            try:
                both.execute()
            except WatchError:
                return None
        return written

    async def online_write_batch_async(self, config: Any, table: Any, data: list[Row], progress: Any) -> None:
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)


def _stamp(event_time: Any) -> Timestamp:
    said = Timestamp()
    said.FromDatetime(make_tzaware(event_time))
    return said


def _nanoseconds(event_time: Any) -> int:
    return _stamp(event_time).ToNanoseconds()


def _parsed(held: bytes) -> int:
    said = Timestamp()
    said.ParseFromString(held)
    return said.ToNanoseconds()
