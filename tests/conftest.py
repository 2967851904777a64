"""What several tests share, made once for all workers."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clone import Clone, reproduced
from filelock import FileLock

from predelinquency.ground import params

pytest_plugins = ("databases",)
PROJECT = Path(__file__).parent.parent
SMALL = {
    "simulate": {"customers": 600},
    "base": {"customers_per_part": 200},
    "evaluate": {"bootstrap": 50, "strangers": 2000, "shock_customers": 300},
    "prove": {"rows": 60, "replays": 100, "pairs": 60, "pair_replays": 100, "seeds": 2, "bootstrap": 20},
}
os.environ.update(
    dict(
        PLOOMBER_STATS_ENABLED="false",
        DVC_NO_ANALYTICS="1",
        MLFLOW_DISABLE_TELEMETRY="true",
        BENTOML_DO_NOT_TRACK="True",
        PLOOMBER_ENV_FILENAME="params.yaml",
    )
)


FAST = {  # files that ask functions and wait for nothing that another test makes: what `make check` runs
    "decide": {"test_cases", "test_engine", "test_messages", "test_policy"},
    "features": {"test_phrases", "test_windows"},
    "ground": {"test_contracts", "test_dues", "test_ledger_address", "test_params", "test_words"},
    "judge": {"test_baselines", "test_evaluate", "test_lacking", "test_paired"},
    "live": {"test_event_rows"},
    "model": {"test_labels", "test_learners", "test_splits"},
    "repo": {"test_export", "test_format", "test_files", "test_readme", "test_walls"},
    "sources": {"test_bare_sources"},
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    "`make check` does not even read the files that hold no fast test."
    if config.option.markexpr != "fast and not long" or collection_path.suffix != ".py":
        return None
    return True if collection_path.stem not in FAST.get(collection_path.parent.name, ()) else None


def turn(items: list[pytest.Item]) -> tuple[bool, bool, bool]:
    "First the file that makes the clone; meanwhile the other worker does what needs none of it, the slow before the short; then comes the rest in the same order."
    needs = {name for item in items for name in getattr(item, "fixturenames", ())}
    slow = any(item.get_closest_marker("slow") for item in items)
    return "trained" in needs, "clone" not in needs, not slow


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    "Whole files, in the order in which two workers are never idle. Fast is what asks functions and waits for nothing that another test makes."
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    items[:] = [item for file in sorted(files.values(), key=turn) for item in file]
    for item in items:
        waits = "once" in getattr(item, "fixturenames", ()) or any(
            item.get_closest_marker(mark) for mark in ("slow", "long")
        )
        if not waits and item.path.stem in FAST.get(item.path.parent.name, ()):
            item.add_marker("fast")


@pytest.fixture(scope="session")
def project() -> Path:
    "The project's folder."
    return PROJECT


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    "`once(name, make)`: a folder that the first worker makes and the others wait for."
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made(name: str, make: Callable[[Path], None]) -> Path:
        with FileLock(shared / f"{name}.lock"):
            if not (shared / name / ".made").exists():
                shutil.rmtree(shared / name, ignore_errors=True)
                (shared / name).mkdir()
                make(shared / name)
                (shared / name / ".made").touch()
        return shared / name

    return made


@pytest.fixture(scope="session")
def settings() -> params.Params:
    "The project's parameters with a small world."
    changes = {f"{section}.{key}": SMALL[section][key] for section in ("simulate", "base") for key in SMALL[section]}
    return params.load(PROJECT / "params.yaml", changes)


@pytest.fixture(scope="session")
def world(once: Callable[..., Path], settings: params.Params) -> Path:
    "A folder with `raw` and `truth` of a small world. Read only."

    def make(folder: Path) -> None:
        from predelinquency.world import world

        world.simulate(settings, folder / "raw", folder / "truth", progress=False)

    return once("world", make)


@pytest.fixture(scope="session")
def clone(once: Callable[..., Path], project: Path) -> Clone:
    "The project as git has it, with small parameters, reproduced once by DVC and committed. Only `test_tools` changes it."
    return Clone(once("clone", lambda made: reproduced(project, made / "project", SMALL)) / "project")


def held(folder: Path) -> str:
    "The files of a folder, a line each."
    names = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != ".made")
    return "\n".join(sorted(names))


@pytest.fixture(scope="session")
def trained(once: Callable[..., Path], clone: Clone) -> Iterator[Path]:
    "A folder of results: every stage of the pipeline on a small world. Read only: who leaves a file in it is told so."

    def make(folder: Path) -> None:
        shutil.copytree(clone.folder / "data", folder, dirs_exist_ok=True)
        kept = ("README.md", "reports/full_proof.json", "reports/fidelity.json", "reports/final.jsonl")
        for mine in (*folder.glob(".lock*"), *(folder / name for name in kept)):
            mine.unlink(missing_ok=True)  # the checkout's, no run's
        (folder.parent / "trained.files").write_text(held(folder))

    folder = once("trained", make)
    yield folder
    made, now = (said.splitlines() for said in ((folder.parent / "trained.files").read_text(), held(folder)))
    assert sorted({*made} ^ {*now}) == [], "a test wrote among the results that all share"


@pytest.fixture(scope="session")
def panel(trained: Path) -> Path:
    "The folder with the feature panel and the labels of the small world. Read only."
    return trained / "features"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    "`shared_data('berka')`: the folder of a real source, or a skip that says where it belongs."

    def found(name: str) -> Path:
        folder = PROJECT.parent / "shared/data" / name
        if not folder.is_dir():
            pytest.skip(f"the files of {name} are not here: put them into ../shared/data/{name}, beside the project")
        return folder

    return found
