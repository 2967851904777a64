"""Feast itself, in an environment of its own: the same rows to the bit, and the newest row stands whoever writes."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_rows import FIRST, write_results
from live_server import Server

from predelinquency.ops import feast

pytestmark = pytest.mark.long

LACKING = "Feast cannot be installed here: it wants Python 3.11 or newer and an index of packages for pip"
SCRIPT = """
import json, os, sys, time
if len(sys.argv) < 3:
    os.environ["TZ"] = "UTC"; time.tzset()
import pandas as pd
from feast import FeatureStore

store, folder = FeatureStore(repo_path="."), sys.argv[1]
features = [f.name for f in store.get_feature_view("customer").features]
said = {}
if os.path.exists(f"{folder}/pushes.parquet"):
    pushes = pd.read_parquet(f"{folder}/pushes.parquet")
    while not os.path.exists(f"{folder}/../go"):
        open(f"{folder}/ready", "a").close(); time.sleep(0.005)
    for _, some in pushes.groupby("turn"):
        values = pd.DataFrame({name: some["value"] for name in features}, dtype="float32")
        store.write_to_online_store("customer", pd.concat([some[["customer_id", "as_of"]], values], axis=1))
if os.path.exists(f"{folder}/between.parquet"):
    import redis
    first, then = (pd.read_parquet(f"{folder}/{n}.parquet") for n in ("before", "between"))
    other, waiting, run = FeatureStore(repo_path="."), [then], redis.client.Pipeline.execute
    def execute(self, *words, **more):
        looks = any(command[0][0] in ("HGET", "HMGET") for command in self.command_stack)
        said = run(self, *words, **more)
        if looks and waiting:
            other.write_to_online_store("customer", waiting.pop())
        return said
    redis.client.Pipeline.execute = execute
    store.write_to_online_store("customer", first)
    assert not waiting, "nobody looked"
if os.path.exists(f"{folder}/spine.parquet"):
    found = store.get_historical_features(pd.read_parquet(f"{folder}/spine.parquet"), store.get_feature_service("customer")).to_df()
    found.to_parquet(f"{folder}/found.parquet")
if os.path.exists(f"{folder}/who.json"):
    rows = [dict(customer_id=who) for who in json.load(open(f"{folder}/who.json"))]
    found = store.get_online_features(store.get_feature_service("customer"), rows).to_df()
    found.to_parquet(f"{folder}/online.parquet")
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    "The Python of an environment with Feast; PREDELINQUENCY_FEAST_PYTHON names one that is there already."
    if there := os.environ.get("PREDELINQUENCY_FEAST_PYTHON"):
        return there
    folder = tmp_path_factory.mktemp("feast")
    feast.write_repository(folder, feast.repository())
    for line in feast.install_lines(folder):
        done = subprocess.run(line.split(), capture_output=True, text=True)
        if done.returncode:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{LACKING}\n{done.stderr[-500:]}")
    return f"{folder}/env/bin/python"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results"), customers=60)


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def bank(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, results: Path, python: str
) -> Iterator[Path]:
    "A repository that was synchronised, with its online store in a file or on a server."
    folder, online = tmp_path_factory.mktemp(request.param) / "bank", None
    if request.param == "redis":
        server: Server = request.getfixturevalue("redis_server")("--appendonly", "no")
        online = server.url
    feast.write_repository(folder, feast.repository(online))
    feast.sync_feast(str(folder), root=str(results), python=python)
    (folder / "script.py").write_text(SCRIPT)
    yield folder


@pytest.fixture
def begin(bank: Path, python: str, tmp_path: Path) -> Callable[..., subprocess.Popen]:
    "`begin('one')`: the script on that folder of this test, as a process of its own."

    def started(name: str, *words: str, **more: str) -> subprocess.Popen:
        clean = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")} | more
        command = [python, "script.py", str(tmp_path / name), *words]
        return subprocess.Popen(command, cwd=bank, env=clean, stderr=subprocess.PIPE, text=True)

    return started


def ended(*processes: subprocess.Popen) -> None:
    for process in processes:
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said


def put(folder: Path, pushes: pd.DataFrame | None = None, who: list[int] | None = None) -> Path:
    "What the script is to do."
    folder.mkdir(exist_ok=True)
    if pushes is not None:
        pushes.to_parquet(folder / "pushes.parquet")
    if who is not None:
        (folder / "who.json").write_text(json.dumps(who))
    return folder


def moments(days: np.ndarray) -> pd.Series:
    return pd.Series(FIRST + days.astype("timedelta64[D]")).astype("datetime64[us]").dt.tz_localize("UTC")


def test_what_feast_says_of_the_past_and_of_now_is_what_the_run_says_to_the_bit(
    bank: Path, results: Path, python: str
) -> None:
    found = feast.compare_answers(bank, results, 200, python)
    assert (found.differ, found.differ_online) == (0, 0)
    assert found.rows == 200 and found.customers > 40


def test_in_another_zone_the_past_is_the_same_and_before_the_first_row_nothing_is_known(
    bank: Path, results: Path, tmp_path: Path, begin: Callable[..., subprocess.Popen]
) -> None:
    ours = feast.draw_questions(results, 60)
    early = ours.assign(event_timestamp=FIRST - np.timedelta64(1, "ms"))
    asked = pd.concat([ours, early])[["customer_id", "event_timestamp"]].reset_index(drop=True)
    asked["event_timestamp"] = asked["event_timestamp"].astype("datetime64[us]").dt.tz_localize("UTC")
    asked.assign(row=range(len(asked))).to_parquet(put(tmp_path / "one") / "spine.parquet")
    ended(begin("one", "as it is", TZ="Asia/Kolkata"))
    theirs = pd.read_parquet(tmp_path / "one/found.parquet").sort_values("row", ignore_index=True)
    columns = [f.name for f in feast.views()[0].features]
    assert feast.differing(ours, theirs[: len(ours)], columns) == 0
    assert len(theirs) == 2 * len(ours) and theirs.loc[len(ours) :, columns].isna().all(axis=None)
    put(tmp_path / "two", who=[1])
    process = begin("two", "as it is", TZ="Asia/Kolkata")
    said = process.communicate(timeout=300)[1]
    assert ("set TZ=UTC" in said, process.returncode) == ((True, 1) if "online.db" in store_of(bank) else (False, 0))


def store_of(bank: Path) -> str:
    return (bank / "feature_store.yaml").read_text()


def test_an_older_row_changes_nothing_a_newer_one_does_and_of_one_moment_the_last_written_stands(
    bank: Path, results: Path, python: str, tmp_path: Path, begin: Callable[..., subprocess.Popen]
) -> None:
    "Customers 1 to 4 of the run end in week 6, day 35."
    steps = [
        (1, 34, 5.0),
        (2, 35, 6.0),
        (3, 36, 7.0),
        (3, 35, 8.0),
        (3, 36, 9.0),
        (4, 20, 1.0),
        (4, 37, 3.0),
        (4, 30, 2.0),
    ]
    pushes = pd.DataFrame(steps, columns=["customer_id", "day", "value"])
    pushes = pushes.assign(turn=[0, 1, 2, 3, 4, 5, 5, 5], as_of=moments(pushes["day"].to_numpy()))
    (tmp_path / "go").touch()
    put(tmp_path / "one", pushes, [1, 2, 3, 4])
    ended(begin("one"))
    found = pd.read_parquet(tmp_path / "one/online.parquet").set_index("customer_id")
    newest = feast.newest_of(results, [1])
    columns = [f.name for f in feast.views()[0].features]
    assert feast.differing(newest, found.loc[[1]], columns) == 0, "an older row changes nothing"
    assert {who: {*found.loc[who, columns]} for who in (2, 3, 4)} == {2: {6.0}, 3: {9.0}, 4: {3.0}}
    again = feast.ask_feast(
        bank, "sync", feast.export_rows(results, feast.views()[0], bank / "data/customer.parquet")._asdict(), python
    )
    assert (again["written"], again["older"]) == (58, 2), "of 3 and 4 a newer row stands"
    put(tmp_path / "two", None, [2, 3, 4])
    ended(begin("two"))
    found = pd.read_parquet(tmp_path / "two/online.parquet").set_index("customer_id")
    assert feast.differing(feast.newest_of(results, [2]), found.loc[[2]], columns) == 0
    assert {who: {*found.loc[who, columns]} for who in (3, 4)} == {3: {9.0}, 4: {3.0}}


def test_writers_who_come_in_between_each_other_leave_the_newest_row_of_everybody(
    bank: Path, tmp_path: Path, begin: Callable[..., subprocess.Popen]
) -> None:
    "Three at once, each with fifteen batches of the same customers at moments in no order; the value names the moment."
    if "online.db" not in store_of(bank):
        pytest.skip("they seldom meet in Redis: the next test makes them")
    customers, turns, draw = np.arange(1_000, 1_010), 15, np.random.default_rng(0)
    names = ["one", "two", "three"]
    days = draw.permutation(len(names) * turns * len(customers)).reshape(len(names), turns, len(customers))
    for name, of in zip(names, days, strict=True):
        rows = dict(customer_id=np.tile(customers, turns), turn=np.repeat(np.arange(turns), len(customers)))
        put(tmp_path / name, pd.DataFrame(rows | dict(as_of=moments(of.ravel()), value=of.ravel().astype("float32"))))
    writers = [begin(name) for name in names]
    while not all((tmp_path / name / "ready").exists() for name in names):
        assert all(w.poll() is None for w in writers)
        time.sleep(0.02)
    (tmp_path / "go").touch()
    ended(*writers)
    put(tmp_path / "last", None, customers.tolist())
    ended(begin("last"))
    found = pd.read_parquet(tmp_path / "last/online.parquet").set_index("customer_id")
    columns = [f.name for f in feast.views()[0].features]
    expected = dict(zip(customers.tolist(), days.max(axis=(0, 1)).tolist(), strict=True))
    assert {who: {*found.loc[who, columns].astype(int)} for who in expected} == {w: {v} for w, v in expected.items()}


def test_a_row_that_comes_in_between_the_look_and_the_write_of_another_is_not_overwritten(
    bank: Path, tmp_path: Path, begin: Callable[..., subprocess.Popen]
) -> None:
    if "online.db" in store_of(bank):
        pytest.skip("in a file nobody can come in between: the test before")
    columns = [f.name for f in feast.views()[0].features]
    put(tmp_path / "one", None, [2_000])
    for name, day in (("before", 3), ("between", 4)):
        row = pd.DataFrame(float(day), [0], columns, "float32").assign(
            customer_id=2_000, as_of=moments(np.array([day]))
        )
        row.to_parquet(tmp_path / "one" / f"{name}.parquet")
    ended(begin("one"))
    assert {*pd.read_parquet(tmp_path / "one/online.parquet").loc[0, columns]} == {4.0}


def test_without_the_guard_feast_lets_an_older_row_replace_a_newer_one(
    bank: Path, python: str, tmp_path: Path, begin: Callable[..., subprocess.Popen]
) -> None:
    "Why there is one: where this fails, Feast has mended it."
    if "online.db" not in store_of(bank):
        pytest.skip("Feast's own Redis store looks before it writes: only another writer in between shows it")
    plain = shutil.copytree(bank, tmp_path / "plain", ignore=shutil.ignore_patterns("online.db*"))
    (plain / "feature_store.yaml").write_text(store_of(bank).replace("guarded.GuardedSqliteOnlineStore", "sqlite"))
    feast.ask_feast(plain, "apply", {}, python)
    pushes = pd.DataFrame(dict(customer_id=1, turn=[0, 1], value=[2.0, 1.0], as_of=moments(np.array([40, 10]))))
    (tmp_path / "go").touch()
    put(tmp_path / "one", pushes, [1])
    clean = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")}
    command = [python, "script.py", str(tmp_path / "one")]
    subprocess.run(command, cwd=plain, env=clean, capture_output=True, check=True)
    assert pd.read_parquet(tmp_path / "one/online.parquet")["balance"].tolist() == [1.0]
