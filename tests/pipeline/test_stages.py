"""A stage is complete or absent, and says what went wrong in words."""

import json
import signal
from pathlib import Path

import nbformat
import pytest

from predelinquency.ground import core
from predelinquency.ground.core import ParamsError, SchemaError, StoreError
from predelinquency.ops import stages

WHOLE = {"raw/customers.txt": "12", "reports/simulate.json": '{"customers": 12}'}


def simulate(toy, customers=12):
    return stages.run("simulate", changes={"simulate.customers": customers}, project=toy.folder)


def test_stages_run_one_after_the_other_and_read_each_other(toy):
    done = toy.typed("stage", "simulate", "featurize", "--set", "simulate.customers=12")
    assert done.returncode == 0, done.stderr
    assert toy.state() == WHOLE | {"reports/featurize.json": '{"doubled": 24}'}


def test_results_go_where_root_says_and_nowhere_else(toy):
    assert toy.typed("stage", "simulate", "--root", "data/runs/trial", "--set", "simulate.customers=12").returncode == 0
    assert toy.state() == {f"runs/trial/{name}": text for name, text in WHOLE.items()}


def test_the_report_is_the_executed_notebook(toy):
    simulate(toy)
    cells = nbformat.read(toy.folder / "data/reports/simulate.ipynb", 4).cells
    assert any(
        "injected-parameters" in c.metadata.get("tags", []) and "'customers': 12" in c.source.replace('"', "'")
        for c in cells
    )


def test_a_refusal_in_a_stage_is_that_refusal_outside_and_changes_nothing(toy):
    simulate(toy)
    toy.during("raise SchemaError('a broken row', where='accounts, row 3', remedy='mend it')")
    with pytest.raises(SchemaError, match=r"accounts, row 3: a broken row\n  to fix: mend it"):
        simulate(toy, 13)
    assert toy.state() == WHOLE


def test_an_unforeseen_error_is_one_line_and_the_whole_story_is_kept_until_the_next_success(toy):
    toy.during("1 / 0")
    with pytest.raises(stages.StageError, match="ZeroDivisionError: division by zero") as told:
        simulate(toy)
    kept = toy.folder / "data/reports/simulate.failed.ipynb"
    assert str(kept) in str(told.value)
    assert any(
        o.output_type == "error" for c in nbformat.read(kept, 4).cells if c.cell_type == "code" for o in c.outputs
    )
    assert not (toy.folder / "data/reports/simulate.ipynb").exists()
    toy.during("pass")
    simulate(toy)
    assert not kept.exists()


@pytest.mark.parametrize(
    "said", ["[Errno 28] No space left on device", "(sqlite3.OperationalError) database or disk is full"]
)
def test_a_full_disk_is_refused_with_its_place_and_leaves_no_half_a_story(toy, monkeypatch, said):
    simulate(toy)

    def full(stage, project, draft, *_: object) -> None:
        draft.write_text('{"cells": [')
        raise OSError(28, "No space left on device") if "Errno" in said else RuntimeError(said)

    monkeypatch.setattr(stages, "_execute", full)
    with pytest.raises(StoreError, match=r"(?s)data/reports: could not write: no space left.*free disk space"):
        simulate(toy, 13)
    assert toy.state() == WHOLE and {p.name for p in (toy.folder / "data/reports").iterdir()} == {
        "simulate.ipynb",
        "simulate.json",
    }


@pytest.mark.parametrize(
    "sent, says",
    [
        (signal.SIGKILL, "SIGKILL: .*memory ran out\\n  to fix: free memory"),
        (signal.SIGSEGV, "SIGSEGV: a segmentation fault.* bug .*\\n  to fix: report it"),
        pytest.param(signal.SIGABRT, "SIGABRT: .*bug\\n  to fix: report it", marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, "SIGTERM: ended from outside\\n  to fix: find out who", marks=pytest.mark.long),
        pytest.param(signal.SIGBUS, "SIGBUS: .*disk is full", marks=pytest.mark.long),
        pytest.param(signal.SIGUSR2, "SIGUSR2: an unusual signal", marks=pytest.mark.long),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_a_process_that_dies_is_noticed_and_told_by_its_signal(toy, sent, says):
    toy.during(
        f"import signal; signal.signal({int(sent)}, signal.SIG_DFL) if {int(sent)} != 9 else None; os.kill(os.getpid(), {int(sent)})"
    )
    with pytest.raises(stages.StageError, match=f"(?s)^stage simulate: its process died of {says}") as told:
        simulate(toy)
    assert ("memory" in str(told.value)) == (sent == signal.SIGKILL)
    assert toy.state().keys() == {name for name in toy.state() if ".draft" in name}, (
        "only the draft of the dead process may be left"
    )
    toy.during("pass")
    simulate(toy)
    assert toy.state() == WHOLE


def test_a_process_that_leaves_by_itself_is_told_with_its_status(toy):
    toy.during("os._exit(3)")
    with pytest.raises(stages.StageError, match="its process died: it left with status 3\\n  to fix: "):
        simulate(toy)


@pytest.mark.parametrize("status", [None, 0, 7, *(-s.value for s in signal.Signals)])
def test_only_a_killed_process_is_blamed_on_memory(status):
    assert ("memory" in str(stages.died(status))) == (status == -signal.SIGKILL)


def test_a_process_that_dies_before_it_can_be_asked_is_noticed(toy, monkeypatch):
    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("Kernel died before replying to kernel_info")

    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", dies)
    with pytest.raises(stages.StageError, match="its process died"):
        simulate(toy)


def test_nothing_that_a_stage_waits_for_has_a_limit(toy, monkeypatch):
    given: dict = {}
    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **options: given.update(options))
    with pytest.raises(StoreError):
        simulate(toy)  # nothing was executed
    assert given["execution_timeout"] is None
    assert min(given["start_timeout"], given["iopub_timeout"]) > 365 * 86_400


def test_two_runs_side_by_side_from_one_folder_have_sockets_of_their_own(toy, blocked):
    first = blocked("stage", "simulate", "--root", "data/runs/first")
    toy.during("pass")
    second = toy.typed("stage", "simulate", "--root", "data/runs/second", "--set", "simulate.customers=12")
    assert second.returncode == 0, second.stderr
    assert not [p.name for p in toy.folder.iterdir() if "ipc" in p.name], "no socket lies in the working folder"
    assert (toy.folder / "data/runs/second/raw/customers.txt").read_text() == "12"
    assert first.poll() is None, "the first one still stands where it stood"
    first.kill()
    first.wait()
    toy.ended()


def test_a_cell_that_runs_too_long_is_stopped(toy):
    toy.during("import signal; signal.pause()")
    stage = stages.graph(toy.folder)["simulate"]
    values = dict(upstream={}, product=stages.place(stage, toy.folder / "data"), base={}, section={"customers": 1})
    (toy.folder / "data/reports").mkdir(parents=True)
    with pytest.raises(stages.StageError, match="longer than it may"):
        stages.execute(stage, toy.folder, toy.folder / "data/reports/simulate.ipynb", values, seconds=1)


def test_killing_a_run_leaves_what_was_there_and_the_next_run_goes_on(toy, blocked):
    simulate(toy)
    run = blocked()
    run.kill()
    run.wait()
    toy.ended()
    assert {name: text for name, text in toy.state().items() if ".draft" not in name} == WHOLE
    toy.during("pass")
    assert simulate(toy, 13).swept, "the drafts of the killed run are swept, and said"
    assert toy.state() == {"raw/customers.txt": "13", "reports/simulate.json": '{"customers": 13}'}
    assert [p.name for p in (toy.folder / "data").rglob(".*.draft*")] == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
def test_interrupting_a_run_says_so_and_leaves_nothing(toy, blocked, sent):
    run = blocked()
    run.send_signal(sent)
    _, said = run.communicate(timeout=60)
    toy.ended()
    assert run.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert {name for name in toy.state() if ".draft" not in name} == set()


def test_a_folder_has_one_run_at_a_time(toy, blocked):
    run = blocked()
    with pytest.raises(StoreError, match="another stage is running here"):
        simulate(toy)
    run.kill()
    run.wait()
    toy.ended()


def test_a_stage_that_reads_what_is_being_made_is_refused_and_so_is_one_that_makes_what_is_being_read(toy, blocked):
    made = stages.graph(toy.folder)
    run = blocked()
    with pytest.raises(StoreError, match="another stage is running here"):
        stages.run("featurize", project=toy.folder)
    run.kill()
    run.wait()
    toy.ended()
    with (
        stages.at_work(made["featurize"], made, toy.folder / "data"),
        pytest.raises(StoreError, match="another stage is running here"),
    ):
        simulate(toy)


def test_who_holds_the_folder_has_it_alone(toy):
    with core.holding(toy.folder / "data"), pytest.raises(StoreError, match="another stage is running here"):
        simulate(toy)
    made = stages.graph(toy.folder)
    with stages.at_work(made["simulate"], made, toy.folder / "data"), pytest.raises(StoreError, match="another stage"):
        with core.holding(toy.folder / "data"):
            pass


def test_what_another_stage_is_writing_is_not_swept(tmp_path: Path):
    graph = {name: stages.Stage(name, Path(f"{name}.ipynb"), {}, ()) for name in ("prove", "explain")}
    with stages.at_work(graph["prove"], graph, tmp_path):
        with stages.at_work(graph["explain"], graph, tmp_path) as busy:
            assert busy == {"prove"}
        (tmp_path / ".proof.4711.draft").touch()
        assert stages.sweep([tmp_path], {"proof"}) == []
    with stages.at_work(graph["explain"], graph, tmp_path) as busy:
        assert busy == set()
    assert stages.sweep([tmp_path]) == ["removed .proof.4711.draft"]


def test_a_source_of_a_banks_own_takes_the_place_of_the_world(tmp_path: Path, project: Path):
    graph = stages.graph(project)
    with (
        stages.at_work(graph["featurize"], graph, tmp_path),
        pytest.raises(StoreError, match="another stage"),
        stages.at_work(graph["ingest"], graph, tmp_path),
    ):
        pass


def test_a_result_that_was_moved_aside_comes_back(tmp_path: Path):
    (tmp_path / ".raw.4711.old").mkdir()
    (tmp_path / ".raw.4711.old/rows").write_text("all")
    (tmp_path / ".raw.4711.draft").mkdir()
    assert stages.sweep([tmp_path]) == ["removed .raw.4711.draft", "put back raw"]
    assert (tmp_path / "raw/rows").read_text() == "all"


def test_a_stage_must_write_all_it_promises(toy):
    graph = (toy.folder / "pipeline.yaml").read_text()
    (toy.folder / "pipeline.yaml").write_text(
        graph.replace("data/reports/simulate.json}", "data/reports/simulate.json, more: data/more}")
    )
    with pytest.raises(stages.StageError, match="did not write .*data/more"):
        simulate(toy)


def test_a_stage_whose_input_is_missing_names_the_stage_that_makes_it(toy):
    done = toy.typed("stage", "featurize")
    assert done.returncode == 1
    assert "data/raw" in done.stderr and "predelinquency stage simulate" in done.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (["stage", "simulat"], "did you mean simulate?"),
        (["stage", "simulate", "--set", "simulate.customer=3"], "did you mean simulate.customers?"),
        (["stage", "simulate", "--set", "simulate.customers=many"], "it must be a int"),
        (["stage", "simulate", "--set", "simulate.customers"], "write section.key=value"),
        (["stage", "simulate", "--set", "simulation.customers=3"], "did you mean simulate?"),
        (["report", "--root", "data/runs/none"], "make run"),
        (["source", "check", "nobank", "--data", "."], "there is no such mapping file"),
        (["source", "check", "berka", "--data", "nowhere"], "nowhere"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_command_that_cannot_be_done_says_why_without_a_traceback(toy, words, said):
    done = toy.typed(*words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert toy.state() == {} if (toy.folder / "data").exists() else True


def test_a_command_typed_wrongly_ends_with_two(toy):
    assert toy.typed("stage").returncode == 2


def test_outside_the_project_the_command_says_where_to_go(toy, tmp_path_factory):
    toy.folder = tmp_path_factory.mktemp("elsewhere")
    done = toy.typed("stage", "simulate")
    assert done.returncode == 1 and "run it in the project's folder" in done.stderr


def test_one_stage_shows_its_numbers_beside_the_last_run(toy):
    toy.typed("stage", "simulate", "--set", "simulate.customers=12")
    done = toy.typed("stage", "simulate", "--set", "simulate.customers=15")
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("customers")] == [
        ["customers", "12", "15", "+3"]
    ]
    assert "the same numbers" in toy.typed("stage", "simulate", "--set", "simulate.customers=15").stdout


def test_a_source_has_a_folder_of_its_own(toy):
    stage = stages.graph(toy.folder)["ingest"]
    assert stage.products == {
        "nb": "data/reports/ingest.ipynb",
        "raw": "data/raw",
        "report": "data/reports/ingest.json",
    }
    (toy.folder / "nbs/01_ingest.ipynb").write_text(
        (toy.folder / "nbs/simulate.ipynb").read_text().replace("customers", "mapping")
    )
    with pytest.raises(StoreError, match="holds the simulated world"):
        stages.run("ingest", project=toy.folder)
    simulate(toy)
    stages.run("ingest", "data/runs/bank", {"ingest.mapping": "21"}, toy.folder)
    with pytest.raises(StoreError, match="already holds what stage ingest made"):
        stages.run("simulate", "data/runs/bank", project=toy.folder)


def test_later_stages_read_an_ingested_source_where_the_world_would_stand(toy):
    (toy.folder / "nbs/01_ingest.ipynb").write_text(
        (toy.folder / "nbs/simulate.ipynb").read_text().replace('section[\\"customers\\"]', 'section[\\"mapping\\"]')
    )
    stages.run("ingest", "data/runs/bank", {"ingest.mapping": "21"}, toy.folder)
    stages.run("featurize", "data/runs/bank", project=toy.folder)
    assert json.loads((toy.folder / "data/runs/bank/reports/featurize.json").read_text()) == {"doubled": 42}


def test_parameters_are_read_as_their_own_type():
    read = stages.overrides(
        ["ingest.data=123", "base.first_visible=2023-01-01", "train.learning_rate=1e-2", "train.max_depth=5"]
    )
    assert read == {
        "ingest.data": "123",
        "base.first_visible": "2023-01-01",
        "train.learning_rate": 0.01,
        "train.max_depth": 5,
    }


def test_a_notebook_without_a_parameters_cell_is_refused(toy):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), toy.folder / "nbs/simulate.ipynb")
    with pytest.raises(ParamsError, match="tagged 'parameters'"):
        stages.graph(toy.folder)


def test_a_stage_started_with_a_notebook_newer_than_its_export_exports_first(toy, project):
    import shutil

    for name in ("settings.ini", "pyproject.toml"):
        shutil.copy(project / name, toy.folder)
    shutil.copytree(
        project / "predelinquency", toy.folder / "predelinquency", ignore=shutil.ignore_patterns("__pycache__")
    )
    for wing in sorted((project / "nbs").glob("[0-9]*_*")):
        if wing.is_dir():
            shutil.copytree(wing, toy.folder / "nbs" / wing.name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    edited = toy.folder / "nbs/00_ground/00_core.ipynb"
    edited.write_text(edited.read_text().replace("DAY_MS = 86_400_000", "DAY_MS = 24 * 3_600_000"))
    done = toy.typed("stage", "featurize")  # which is refused: nobody has simulated
    assert done.returncode == 1 and "which is not there" in done.stderr
    assert "00_ground/00_core.ipynb had changed since its export: exported it first" in done.stderr
    assert "DAY_MS = 24 * 3_600_000" in (toy.folder / "predelinquency/ground/core.py").read_text()
