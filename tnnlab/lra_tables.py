"""What the pages on the Long Range Arena show of records: ours beside published, and what it cost.

A record belongs to a task by what its data say, whatever its folder is called; runs that differ in
nothing but their seed are one line. Where there is no record, the line says so.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tnnlab import plots
from tnnlab.data.names import check_name
from tnnlab.overlaps import alone
from tnnlab.results import duration, hardware, markdown_table, mean, speed, without_seed
from tnnlab.training.sweeps import named_members, read_sweep, sweep_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Sequence[Mapping[str, Any]]

# By task and family, the accuracy on the test split in per cent. TNN (Qin et al., ICLR 2023),
# SKI-TNN and FD-TNN (Moreno, Mei & Walters, 2023). They give no figure for Path-X.
PUBLISHED: dict[str, dict[str, float]] = {
    "listops": {"tno": 47.33, "ski": 45.31, "fd": 55.21},
    "text": {"tno": 86.39, "ski": 83.19, "fd": 85.00},
    "retrieval": {"tno": 89.40, "ski": 88.73, "fd": 90.26},
    "image": {"tno": 77.84, "ski": 76.46, "fd": 84.12},
    "pathfinder": {"tno": 73.89, "ski": 68.30, "fd": 69.45},
    "path-x": {},
}
_NO_RECORD = "*No record of this task yet.*"


@dataclass(frozen=True)
class Line:
    """Runs of one family that differ in their seed only; none: not run yet.

    Attributes:
        task: of the Long Range Arena.
        family: the name of a member of a sweep, without its seed.
        runs: their records.

    >>> Line("text", "fd", ()).published, Line("text", "fd", ()).accuracy
    (85.0, None)
    """

    task: str
    family: str
    runs: tuple[Mapping[str, Any], ...]

    @property
    def stands_in(self) -> bool:
        """Whether the runs had other data in place of the task's."""
        return bool(self.runs) and self.runs[0]["data"]["task"] != self.task

    @property
    def preset(self) -> str:
        """The preset of its recipe; ``full`` has the published settings. Empty without a run."""
        return self.runs[0]["preset"] if self.runs else ""

    @property
    def published(self) -> float | None:
        """The published accuracy of the operator in per cent, with whatever recipe of ours; None
        where there is none, or ours is of other data or of a smoke run, and may not stand beside
        it."""
        if self.stands_in or self.preset == "smoke":
            return None
        operator = self.runs[0]["config"]["model"]["operator"] if self.runs else self.family
        return PUBLISHED[self.task].get(operator)

    @property
    def accuracies(self) -> list[float]:
        """Of each run, on the test split, in per cent."""
        return [100 * run["metrics"]["test"]["accuracy"] for run in self.runs]

    @property
    def accuracy(self) -> float | None:
        """The mean of :attr:`accuracies`; None without a run."""
        return statistics.mean(self.accuracies) if self.runs else None

    @property
    def difference(self) -> float | None:
        """Ours minus published, in percentage points, where both are there."""
        ours, published = self.accuracy, self.published
        return None if ours is None or published is None else ours - published

    @property
    def chance(self) -> float | None:
        """Standard error of an accuracy on that many samples, in percentage points."""
        if self.accuracy is None:
            return None
        samples = self.runs[0]["metrics"]["test"]["samples"]
        return (self.accuracy * (100 - self.accuracy) / samples) ** 0.5

    @property
    def setting(self) -> str:
        """Preset and updates, and the data where they stand in for the task's."""
        if not self.runs:
            return ""
        run = self.runs[0]
        data = f"{run['data']['task']}, " if self.stands_in else ""
        return f"{data}{self.preset}, {run['steps']:,}"


def lines_of(records: Records, task: str) -> list[Line]:
    """The lines of a task: families of its sweep, then others with a published figure, then others.

    What counts are complete records with a test accuracy whose name begins with ``lra-``.

    Raises:
        ValueError: no such task.

    >>> [line.accuracy for line in lines_of([], "text") if line.family == "tno"]
    [None]
    """
    check_name("task", task, tuple(PUBLISHED))
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: record.get("seed", 0)):
        if _belongs(record, task):
            folder = record["name"].rpartition("/")[0]  # another sweep has other settings
            run = (record["data"]["task"], record["preset"], f"{record['steps']:9}", folder)
            groups.setdefault((_family(record), *run), []).append(record)
    known = [*_expected(task), *PUBLISHED[task], *sorted(family for family, *_ in groups)]
    order = {family: place for place, family in reversed([*enumerate(known)])}
    absent = [(family,) for family in order if family not in {key[0] for key in groups}]
    keys = sorted([*groups, *absent], key=lambda key: (order[key[0]], key))
    return [Line(task, key[0], tuple(groups.get(key, ()))) for key in keys]


def _belongs(record: Mapping[str, Any], task: str) -> bool:
    return (
        record["name"].startswith("lra-")
        and record.get("status") == "complete"
        and record["data"]["task"].removesuffix("-stand-in") == task
        and "accuracy" in record["metrics"].get("test", {})
    )


def _family(record: Mapping[str, Any]) -> str:
    folder, _, member = record["name"].rpartition("/")
    # A run that is no member of a sweep has the name of its recipe.
    return without_seed(member) if folder else record["config"]["model"]["operator"]


def _expected(task: str) -> list[str]:
    """The families of the task's sweep, where it has one (Path-X has none)."""
    sweep = f"lra-{task}"
    return [*named_members(sweep)] if sweep in sweep_names() else []


def comparison(records: Records, task: str) -> str:
    """Published and ours on the test split, in per cent, as a Markdown table.

    *Gap* is ours minus published; *± samples* the standard error of an accuracy on that many
    samples; *± seeds* the standard deviation over seeds, and their number, where there are several.

    >>> comparison([], "text").splitlines()[2].split(" | ")[:2]
    ['| tno', '86.39']
    """
    rows = []
    for line in lines_of(records, task):
        several = len(line.runs) > 1
        spread = f"{statistics.stdev(line.accuracies):.2f} ({len(line.runs)})" if several else "–"
        ours = "not\u00a0run\u00a0yet" if line.accuracy is None else f"{line.accuracy:.2f}"
        cells = [line.family, _number(line.published), ours, _number(line.difference, "+")]
        rows.append([*cells, _number(line.chance), spread, line.setting])
    header = ["family", "published", "ours", "gap", "± samples", "± seeds", "run"]
    return markdown_table(header, rows, text=["run"]) if rows else _NO_RECORD


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.2f}"


def data_of(records: Records, task: str) -> str:
    """What data the runs had, and what a constant answer reaches on their test split, as Markdown.

    >>> data_of([], "text")
    '*No record of this task yet.*'
    """
    found: dict[str, float] = {}
    for run in (run for line in lines_of(records, task) for run in line.runs):
        counts = run["data"]["samples_of_each_class"]["test"]
        found[run["data"]["description"]] = 100 * max(counts) / sum(counts)
    told = [f"- {data}; a constant answer reaches {share:.2f} %." for data, share in found.items()]
    return "\n".join(told) or _NO_RECORD


def cost(records: Records, task: str) -> str:
    """What the runs of a task took, as a Markdown table: sizes, updates and positions per second
    once compiled, the most memory, wall time. Times are means over the seeds that :func:`timed`
    gives; a star at a speed: it gives none.

    >>> cost([], "text")
    '*No record of this task yet.*'
    """
    rows = []
    for line in lines_of(records, task):
        if not line.runs:
            continue
        counted = timed(line.runs, records)
        runs, star = (counted, "") if counted else (line.runs, "*")
        run = runs[0]
        memory = [one["peak_memory_bytes"] for one in line.runs if one["peak_memory_bytes"]]
        rows.append(
            [
                line.family,
                f"{run['parameters'] / 1e6:.2f}",
                mean([updates_per_s(one) for one in runs]) + star,
                mean([speed(one) / 1e6 for one in runs]) + star,
                f"{max(memory) / 2**30:.2f}" if memory else "–",
                duration(statistics.mean(one["wall_time_s"] for one in runs)),
                hardware(run),
            ]
        )
    header = ["family", "M params", "updates/s", "M positions/s", "GiB", "wall time", "hardware"]
    return markdown_table(header, rows, text=["hardware"]) if rows else _NO_RECORD


def timed(runs: Records, records: Records) -> list[Mapping[str, Any]]:
    """Those of some runs whose times count: that had the device to themselves, and of these the
    ones with CUDA graphs, where there are any.

    >>> timed([], [])
    []
    """
    quiet = alone(runs, records)
    graphs = [run for run in quiet if run["config"]["training"]["compile"] == "reduce-overhead"]
    return graphs or quiet


def updates_per_s(run: Mapping[str, Any]) -> float:
    """Updates of a run per second, once all is compiled.

    >>> lines = [{"tokens_per_s": 800.0}]
    >>> updates_per_s({"history": {"train": lines}, "steps": 10, "tokens_seen": 4000})
    2.0
    """
    return speed(run) * run["steps"] / run["tokens_seen"]


def validated_and_tested(runs: Records) -> str:
    """What the runs of one setting in a search reach, in per cent: the first on the validation and
    the test split; of several seeds, the mean in the test as well.

    >>> runs = [{"metrics": {"validation": {"accuracy": 0.5}, "test": {"accuracy": 0.25}}}] * 2
    >>> validated_and_tested(runs[:1]), validated_and_tested(runs)
    ('50.00, 25.00', '50.00, 25.00; test, 2 seeds: 25.00 ± 0.00')
    """
    first = (100 * runs[0]["metrics"][split]["accuracy"] for split in ("validation", "test"))
    told = ", ".join(f"{accuracy:.2f}" for accuracy in first)
    if len(runs) == 1:
        return told
    tested = [100 * run["metrics"]["test"]["accuracy"] for run in runs]
    spread = f"{statistics.mean(tested):.2f} ± {statistics.stdev(tested):.2f}"
    return f"{told}; test, {len(runs)} seeds: {spread}"


def commands(task: str) -> list[list[str]]:
    """The commands, as words, that train each family of a task: those of its sweep. Path-X, which
    has none, has one command.

    >>> " ".join(commands("path-x")[0])
    'tnnlab train lra-pathfinder --data.task path-x --model.decay 0.999'
    """
    train = ["tnnlab", "train"]
    if _expected(task):
        return [[*train, *member.arguments] for member in read_sweep(f"lra-{task}")]
    return [[*train, "lra-pathfinder", "--data.task", "path-x", "--model.decay", "0.999"]]


def plot_validation(axes: "Axes", records: Records, task: str) -> None:
    """Accuracy on the validation split against updates: a line for each family, the first of its
    seeds, and a constant answer (grey). Without a record, words.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> plot_validation(axes, [], "text")
    >>> axes.texts[0].get_text()
    'not run yet'
    """
    from matplotlib.ticker import PercentFormatter

    lines = [line for line in lines_of(records, task) if line.runs]
    names = [line.family for line in lines]
    shown = {
        line.family if names.count(line.family) == 1 else f"{line.family}, {line.setting}": line
        for line in lines
    }
    first = {name: line.runs[0] for name, line in shown.items()}
    plots.plot_histories(axes, first, kind="validation", x="step", y="accuracy")
    axes.set(xlabel="update", ylabel="accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if not first:
        axes.text(0.5, 0.5, "not run yet", ha="center", va="center", transform=axes.transAxes)
        return
    counts = next(iter(first.values()))["data"]["samples_of_each_class"]["validation"]
    constant = max(counts) / sum(counts)
    axes.axhline(constant, color="0.5", linestyle=":", label="a constant answer")
    axes.legend()
