"""The frame of the lab: what an experiment is, how it is carried out, judged and kept.

An experiment is one file, `minires/lab/experiments/degradation.py`, with one object, and its name in the list of
`experiments/__init__.py`:

    EXPERIMENT = Experiment(
        name="degradation",                        of `minires lab degradation` and `lab.degradation(...)`
        claim="A deeper plain network has a higher training loss.",      one sentence that is right, half right or wrong
        source="He et al. 2015, figure 6",
        expected="plain-56 above plain-20 in every seed; residual-56 not above residual-20",        the band, in words
        would_change="…",                          what would make the answer another one: a longer training, a …
        settings={"depths": (20, 56), "steps": 80, "seeds": 1},      of the laptop; each is an option, --depths 20 56
        full={"depths": (20, 56, 110), "steps": 64_000},             what --full makes of them: the paper's size
        data=("digits", "cifar10"),                the data sets it knows, the first by default; () for one without any
        seconds=20,                                on two cores, kernels compiled: how far along `minires lab all` is
        run=run,
        judge=judge,
    )

    def run(settings, progress):                   a generator of ("table", row); a row is a flat dict of plain values,
        if settings["steps"] < 1: raise ValueError(…)          and all rows of a table have the same keys
        progress.start(len(…) * …)                 the work begins: what is raised before leaves no folder
        for seed in seeds_of(settings):            settings["seed"], the first, is there always; so is settings["data"],
            progress.doing(f"plain-56, seed {seed}")                                              where `data` names any
            …
            yield "losses", {"network": "plain-56", "seed": seed, "step": 1, "loss": 2.3}
            progress.advance(3)                    in units of about equal time, as many as `start` was told; those in
                                                   which kernels were compiled do not count for the time left

    def judge(tables, settings):                   from the tables alone, {"losses": [row, …]}: gives a Verdict
        gap = Finding("loss of plain-56 over plain-20", value, low=0.2)           a number and the band it should be in
        if not gap.inside:
            return Verdict(TOO_SMALL, "At this size …, since …", [gap])
        return Verdict("right", "The deeper one fits its own training images worse.", [gap], open="Whether …")

Its figure is `draw(report) -> Figure` in `minires/plots/lab_degradation.py`, from the report alone, which is the dict
that `report_of` makes and report.json holds. Nothing is faked: where the small version does not show what the paper
shows, the answer is TOO_SMALL, with the reason. An experiment may not be named like a file of `minires/lab/`.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minires import kernels
from minires.lab.progress import Progress
from minires.lab.report import Report
from minires.runs import new_run, records

Row = dict[str, Any]
Tables = dict[str, list[Row]]
Settings = dict[str, Any]

TOO_SMALL = "not shown at this size"
ANSWERS = ("right", "half right", "wrong", TOO_SMALL, "open")


@dataclass(frozen=True)
class Finding:
    """A number that was measured, and the band that it was expected in; None is in no band."""

    what: str
    value: float | None
    low: float = -math.inf
    high: float = math.inf
    spec: str = ".2f"  #: how it is printed

    @property
    def inside(self) -> bool:
        return self.value is not None and self.low <= self.value <= self.high


@dataclass(frozen=True)
class Verdict:
    """What was found: an answer of ANSWERS about the claim, a sentence or two, the numbers, and what stays open."""

    answer: str
    words: str
    findings: list[Finding] = field(default_factory=list)
    open: str = ""
    lines: list[str] = field(default_factory=list)  #: a table, or more, in words

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise ValueError(f"Verdict: unknown answer {self.answer!r}; known: {', '.join(ANSWERS)}")


@dataclass(frozen=True)
class Experiment:
    """A claim, and how it is tried: the fields are explained at the head of this file. Calling it carries it out."""

    name: str
    claim: str
    source: str
    expected: str
    would_change: str
    settings: Settings
    run: Callable[[Settings, Progress], Iterator[tuple[str, Row]]]
    judge: Callable[[Tables, Settings], Verdict]
    full: Settings = field(default_factory=dict)
    data: tuple[str, ...] = ()
    seconds: float = 10.0

    def __call__(
        self,
        *,
        full: bool = False,
        data: str | None = None,
        kernels: str | None = None,
        out: str | Path | None = None,
        folder: str | Path | None = None,
        progress: bool | Progress = False,
        **settings: Any,
    ) -> Report:
        """Carry the experiment out and return its report: see `report_of`.

        full: at the paper's size. data: a data set's name. kernels: "numpy" or "numba". settings: any of
        `self.settings`, and `seed`, the first seed. out: where to make a run folder with report.json, a CSV file for
        each table, and the figure as PNG and SVG; None writes nothing. folder: a folder to write into instead.
        Ctrl-C ends it early: the report then holds what is finished, without a verdict.
        Before any work: ValueError for settings that it does not have, OSError where `out` cannot be written.
        """
        chosen = self.resolve(full, data, settings)
        folders = [] if folder is None else [Path(folder)]
        if isinstance(progress, bool):
            progress = Progress(shown=progress)
        with kernels_in_use(kernels):
            if out is not None:
                arguments = {"experiment": self.name, "full": full, **chosen}
                progress.at_start = lambda: folders.append(new_run(out, "lab", self.name, arguments))
            start = time.perf_counter()
            tables: Tables = {}
            interrupted = False
            try:
                for table, row in self.run(chosen, progress):
                    tables.setdefault(table, []).append(records.finite(row))
            except KeyboardInterrupt:
                interrupted = True
            finally:
                progress.close()
            verdict = None if interrupted else self.judge(tables, chosen)
            report = self.report_of(chosen, tables, verdict, time.perf_counter() - start)
        for place in folders:
            keep(report, place)
        return report

    def resolve(self, full: bool, data: str | None, settings: Mapping[str, Any]) -> Settings:
        """Return all settings: the laptop's or the paper's, changed by those given. ValueError for unknown ones."""
        chosen: Settings = {"seed": 0, **self.settings, **(self.full if full else {})}
        if data is not None and data not in self.data:
            known = f"known: {', '.join(self.data)}" if self.data else "it draws its own numbers"
            raise ValueError(f"lab: {self.name} has no data {data!r}; {known}")
        if self.data:
            chosen["data"] = data or self.data[0]
        for name, value in settings.items():
            if name not in chosen or name == "data":
                raise ValueError(f"lab: {self.name} has no setting {name!r}; known: {', '.join(chosen)}")
            chosen[name] = fitting(f"{self.name}: {name}", chosen[name], value)
        for name in ("seeds", "seed", "steps"):
            least = 1 if name == "seeds" else 0
            if name in chosen and chosen[name] < least:
                raise ValueError(f"lab: {self.name}: {name} must be at least {least}, got {chosen[name]}")
        return chosen

    def report_of(self, settings: Settings, tables: Tables, verdict: Verdict | None, seconds: float) -> Report:
        """Put together what report.json holds: the experiment's words, its settings, tables, findings and verdict."""
        found = verdict.findings if verdict else []
        return Report({
            "experiment": self.name,
            **{key: getattr(self, key) for key in ("claim", "source", "expected", "would_change")},
            "settings": settings,
            "kernels": kernels.in_use(),
            "tables": tables,
            "findings": [{**records.finite(asdict(finding)), "inside": finding.inside} for finding in found],
            "answer": verdict.answer if verdict else "open",
            "verdict": verdict.words if verdict else "It was interrupted.",
            "open": verdict.open if verdict else "",
            "lines": verdict.lines if verdict else [],
            "interrupted": verdict is None,
            "seconds": round(seconds, 1),
            "folder": None,
        })  # fmt: skip


def fitting(name: str, default: Any, value: Any) -> Any:
    """Return a setting's value as its default is: one alone stands for a tuple of one. ValueError for another kind."""
    if isinstance(default, tuple):
        values = (value,) if isinstance(value, str | int | float) else tuple(value)
        if not values:
            raise ValueError(f"lab: {name} is empty")
        return tuple([fitting(name, default[0], one) for one in values])
    kinds: tuple[type, ...] = (int, float) if type(default) is float else (type(default),)
    if default is not None and type(value) not in kinds:
        raise ValueError(f"lab: {name} must be of the kind of {default!r}, got {value!r}")
    return value


def seeds_of(settings: Settings) -> range:
    """Return the seeds of an experiment: settings["seeds"] of them, from settings["seed"] on."""
    return range(settings["seed"], settings["seed"] + settings["seeds"])


def kernels_in_use(name: str | None) -> Any:
    return kernels.use(name) if name else contextlib.nullcontext()


def keep(report: Report, folder: Path) -> None:
    """Write report.json, a CSV file for each table, and the figure, where there is something to draw."""
    from minires import plots  # Matplotlib is loaded after the work

    report["folder"] = str(folder)
    for name, rows in report["tables"].items():
        records.write_csv(folder / f"{name}.csv", rows)
    records.write_json(folder / "report.json", report)
    if not report["interrupted"]:
        plots.experiment(folder)


def lines_of(report: Report) -> list[str]:
    """Say a report for a terminal: claim, source, expected, measured, verdict, what would change it."""
    lines = [f"{report['experiment']}: {report['claim']}", f"  source    {report['source']}",
             f"  expected  {report['expected']}"]  # fmt: skip
    heads = ["measured", *[""] * len(report["findings"])]
    lines += [f"  {head:8}  {words_of(finding)}" for head, finding in zip(heads, report["findings"], strict=False)]
    lines += [f"            {line}" for line in report["lines"]]
    lines.append(f"  verdict   {report['answer'].upper()}. {report['verdict']}")
    if report["open"]:
        lines.append(f"  open      {report['open']}")
    return [*lines, f"  changes   {report['would_change']}"]


def words_of(finding: Mapping[str, Any]) -> str:
    """Say a finding of a report: "loss of plain-56 over plain-20: 1.92 (expected 0.2 or more)"."""
    low, high, spec = finding["low"], finding["high"], finding["spec"]
    value = "none" if finding["value"] is None else format(finding["value"], spec)
    if low is None and high is None:
        return f"{finding['what']}: {value}"
    if low is None:
        band = f"{format(high, spec)} or less"
    elif high is None:
        band = f"{format(low, spec)} or more"
    else:
        band = f"{format(low, spec)} to {format(high, spec)}"
    return f"{finding['what']}: {value} (expected {band}{'' if finding['inside'] else ': NOT so'})"
