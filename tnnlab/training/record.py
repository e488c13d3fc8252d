"""The result record of a run: what was run, where, and what came out."""

from typing import Any

from tnnlab.results import provenance
from tnnlab.training.devices import peak_memory
from tnnlab.training.metrics import read_metrics
from tnnlab.training.setup import Run

PYTHON_COMMAND = "tnnlab.training.train(RunConfig.from_dict(record['config']), out)"


def make_record(run: Run, command: str | None, status: str) -> dict[str, Any]:
    """Gather a run's numbers; the metrics are those that it reported while it ran.

    Returns:
        plain JSON values. ``wall_time_s`` is of all sessions, data and evaluation included;
        ``tokens_per_s`` counts updates alone. ``metrics`` are the last ones per split;
        ``history`` has every line of them.
    """
    lines = read_metrics(run.out)
    kinds = ("train", "validation", "test", "length")
    history = {kind: rows for kind in kinds if (rows := _rows(lines, kind)) or kind != "length"}
    last = {kind: rows[-1] for kind, rows in history.items() if rows and kind != "length"}
    at = run.at
    return {
        "name": run.config.name,
        "title": run.config.title,
        "preset": run.config.preset,
        "status": status,
        "seed": run.config.seed,
        "command": command or PYTHON_COMMAND,
        "config": run.config.to_dict(),
        "precision": run.precision,
        "provenance": provenance(run.accelerator.device, processes=run.accelerator.num_processes),
        "started": at.started,
        "data": {
            **run.objective.provenance(),
            "sha256": at.data,
        },
        "parameters": run.network.num_parameters(),
        "steps": at.step,
        "tokens_seen": at.tokens,
        "tokens_per_s": at.tokens / at.training_s if at.training_s else None,
        "wall_time_s": run.elapsed_s(),
        "training_time_s": at.training_s,
        "peak_memory_bytes": peak_memory(run.accelerator.device),
        "metrics": last,
        "best": at.best,
        "baseline": next(iter(_rows(lines, "baseline")), None),
        "history": history,
        "samples": _rows(lines, "sample"),
    }


def _rows(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key != "kind"}
        for line in lines
        if line["kind"] == kind
    ]
