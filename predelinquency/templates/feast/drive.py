"""What `predelinquency feast` asks of Feast, in Feast's own environment: `python drive.py VERB`, what to do as JSON on
the standard input, what came of it as JSON on the standard output."""

import contextlib
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["TZ"] = "UTC"  # before Feast reads a time
time.tzset()

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def apply(store: Any, _: dict[str, Any]) -> dict[str, Any]:
    "Tell the registry what there is."
    import definitions

    store.apply(definitions.OBJECTS)
    return {"views": sorted(view.name for view in store.list_feature_views())}


def sync(store: Any, asked: dict[str, Any]) -> dict[str, Any]:
    "The newest row of every customer into the online store."
    import guarded

    apply(store, asked)
    began = time.perf_counter()
    first, last = (datetime.fromtimestamp(asked[at] / 1_000, UTC) for at in ("first_ms", "last_ms"))
    store.materialize(first - timedelta(days=1), last, feature_views=["customer"])
    return guarded.COUNTS | {"seconds": time.perf_counter() - began}


def rows(store: Any, asked: dict[str, Any]) -> dict[str, Any]:
    "What was known of each of these, at its moment."
    import pandas as pd

    service = store.get_feature_service(asked["service"])
    spine = pd.read_parquet(asked["spine"])
    began = time.perf_counter()
    found = store.get_historical_features(spine, service).to_df()
    seconds = time.perf_counter() - began
    found.to_parquet(asked["out"])
    return {"rows": len(found), "seconds": seconds}


def online(store: Any, asked: dict[str, Any]) -> dict[str, Any]:
    "The row of each of these customers that stands in the online store."
    service, ids = store.get_feature_service("customer"), asked["customers"]
    began = time.perf_counter()
    found = store.get_online_features(service, [{"customer_id": i} for i in ids]).to_df()
    seconds = time.perf_counter() - began
    found.astype({name: "float32" for name in found.columns.drop("customer_id")}).to_parquet(asked["out"])
    return {"rows": len(found), "seconds": seconds}


VERBS = {verb.__name__: verb for verb in (apply, sync, rows, online)}


def main() -> None:
    from feast import FeatureStore

    asked = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # Feast talks
        answer = VERBS[sys.argv[1]](FeatureStore(repo_path=str(HERE)), asked)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
