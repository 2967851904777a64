"Sources that lack something: a small world with tables left out, taken through training and evaluation in one process."

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from predelinquency.features import catalogue
from predelinquency.ground import disk, params, schema
from predelinquency.ground.disk import Part
from predelinquency.judge import baselines, evaluation, exhibits, pictures, promotion, statistics, training
from predelinquency.judge import report as judge_report
from predelinquency.judge.lineage import about_model
from predelinquency.judge.tripwires import Tripwire
from predelinquency.model import champion as model_champion
from predelinquency.model import learners, panels
from predelinquency.model import rows as model_rows
from predelinquency.model.rows import Rows

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Gone:
    "What has gone from a source."

    tables: tuple[str, ...] = ()  # left without a row
    own: bool = False  # it brings its own moments
    days: int = 240  # over which these are spread
    unknown: bool = False  # no input is known of anybody
    spared: tuple[str, ...] = ()  # splits in which nobody misses
    segment: bool = True  # segments are known
    trees: int = 12


def tables_of(world: Path) -> Tables:
    "A small world in which one due in 23 is never paid, so that misses are many."
    found = {name: disk.read(world, name) for name in schema.TABLES}
    paid = found["payments"]
    lost = (paid.customer_id * 7 + paid.instalment * 5) % 23 == 0
    return found | dict(payments=paid[~lost].reset_index(drop=True))


def moments(customers: pd.DataFrame, days: int) -> pd.DataFrame:
    "Two moments a customer, three of ten of which go badly, by lot."
    who, rng = np.sort(customers.customer_id.to_numpy()), np.random.default_rng(3)
    first = pd.Timestamp("2024-08-01") + pd.to_timedelta(np.arange(len(who)) % days, unit="D")
    rows = pd.concat(
        [
            pd.DataFrame(dict(customer_id=who, as_of=first + pd.Timedelta(days=60 * k), seen_before=k > 0))
            for k in range(2 if days > 1 else 1)
        ]
    )
    bad = (rng.random(len(rows)) < 0.3).astype("int32")
    rows = rows.assign(target=bad, reference=pd.Series([None] * len(rows), rows.index, dtype=object))
    rows = rows.assign(obligation_id=pd.NA, instalment=pd.NA, known_on=rows.as_of + pd.Timedelta(days=45))
    kinds = {"obligation_id": "Int64", "instalment": "Int32", "as_of": "datetime64[ms]", "known_on": "datetime64[ms]"}
    return rows.astype(kinds).sort_values(["customer_id", "as_of"], ignore_index=True)


def rows_of(folder: Path, tables: Tables, gone: Gone, base: params.Base) -> dict[str, Rows]:
    "Tables and panel of the source are written; its rows come back."
    left = {name: t.iloc[:0] if name in gone.tables else t for name, t in tables.items()}
    if not gone.segment:
        left["customers"] = left["customers"].assign(segment=None)
    more = {"moments": moments(left["customers"], gone.days)} if gone.own else {}
    high = int(left["customers"].customer_id.max()) + 1
    with disk.writing(folder / "raw", [*schema.TABLES.values(), *([schema.MOMENTS] if gone.own else [])]) as writer:
        writer.add(Part(0, high), left | more)
    source = panels.open_source(folder / "raw", base, 7)
    panels.make(source, folder / "features", disk.parts(source.raw, "customers"), simulated=False)
    rows = model_rows.gather(folder / "features", catalogue.names(), base, 10**6)
    for split in gone.spared:
        labels = rows[split].labels
        rows[split] = Rows(labels.assign(target=labels.target.where(labels.target.isna(), 0)), rows[split].x)
    return {split: Rows(r.labels, r.x * np.nan) if gone.unknown else r for split, r in rows.items()}


def trained(folder: Path, rows: Mapping[str, Rows], gone: Gone, p: params.Params) -> tuple[list[Any], dict[str, Any]]:
    "What the stage train shows, and its figures."
    how = learners.Recipe(catalogue.names(), replace(p.train, trees=gone.trees), catalogue.monotone(), p.base.seed)
    if gone.own:
        seen = disk.read(folder / "raw", "moments").seen_before.to_numpy(bool)
        learned = baselines.learn_moments(rows["test"], seen, how, p.base, {})
    else:
        learned = baselines.learn_snapshots(rows, how, p.base, {})
    about = {**learned.about, "outcomes": {}}
    champion = model_champion.save(folder / "model", learned.fits, about, learned.scored)
    names = champion.manifest["champion"], champion.manifest["challenger"]
    judged = statistics.judged(statistics.checked(learned.scored))
    side, why = training.side_by_side(judged, *names), training.reasons_of(judged, *names)
    sample = training.thinned(rows["test" if gone.own else "calibrate"].usable())
    push = training.push_of_each({names[0]: champion.fitted, names[1]: learned.fits[names[1]]}, sample)
    shown = [
        promotion.training_in_words(champion.manifest),
        training.used_for(training.blocks(rows, gone.own)),
        training.contest(champion, learned.about, learned.fits),
        training.ranked(side, why),
        training.important(push),
    ]
    return shown, training.training_figures(champion, about, side, push, why)


def evaluated(folder: Path, p: params.Params) -> tuple[list[Any], dict[str, Any]]:
    "What the stage evaluate shows, and its figures; the tripwires are another test's."
    run = evaluation.open_run(folder / "raw", folder / "features", folder / "model", p.base)
    watch = evaluation.Watch([Tripwire("asked", True, "elsewhere")], None, evaluation.best_single(run.inputs["test"]))
    found = evaluation.evaluate(run, evaluation.Extra(), watch, judge_report.proved(None), p.evaluate)
    product = {name: str(folder / name) for name in ("plots", "scored", "metrics", "headline")}
    evaluation.write_findings(found, run, product)
    files = dict(metrics=found.report, model=about_model(run.champion.manifest))
    sections = [exhibits.trust, exhibits.simpler, exhibits.achievable, exhibits.whom, exhibits.monthly, exhibits.word]
    sections += [exhibits.warning, exhibits.offers, exhibits.requirements, exhibits.shifts]
    shown = [judge_report.in_words(found.report), *(section(found) for section in sections)]
    shown += [exhibits.contacts(found, 0.05), exhibits.portfolio(found, 0.05)]
    return [*shown, pictures.pictures(files, folder / "plots")], found.report
