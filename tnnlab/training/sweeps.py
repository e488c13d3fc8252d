"""Sweeps: many runs from one file, each in a process of its own.

A sweep file is YAML: a ``recipe``, ``overrides`` that all members have, and ``members``, which name
what each has of its own. ``variants`` makes every member anew with each of them, and ``seeds``
repeats them all; ``members`` may name another sweep, whose members, laid under the ``overrides``,
it has.

    recipe: lra-listops
    preset: full                       # may be left out
    overrides: {training.steps: 5000}
    variants: {slow: {training.learning_rate: 0.0001}, fast: {training.learning_rate: 0.001}}
    seeds: [0, 1, 2]                   # these two, too: a member is tno-slow-seed0
    members:
      tno: {}
      fd: {model.operator: fd}

A member whose record is complete is left alone, one that was stopped goes on where it was, and one
that fails does not stop the others.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from queue import Queue
from typing import Any

import torch

from tnnlab.results import RUN, write_record
from tnnlab.training.errors import ConfigError
from tnnlab.training.recipes import FOLDER as RECIPES
from tnnlab.training.recipes import FULL, read_recipe, read_yaml, yaml_names

KEYS = {"recipe", "preset", "overrides", "variants", "seeds", "members"}
_VISIBLE = "CUDA_VISIBLE_DEVICES"
MOST_LINES = 60  # of a record's training history: a curve needs no more


@dataclass(frozen=True)
class Member:
    """A run of a sweep.

    Attributes:
        name: of its folder and its record.
        arguments: of ``tnnlab train``.
    """

    name: str
    arguments: tuple[str, ...]


FOLDER = RECIPES / "sweeps"


def sweep_names() -> list[str]:
    """The sweeps that come with the package."""
    return yaml_names(FOLDER)


def named_members(sweep: str) -> Mapping[str, Any]:
    """What the members of a sweep (or of the sweep that it names) have of their own, by name.

    Nothing is checked, which takes its time: :func:`read_sweep` tries each as a run.

    Raises:
        ConfigError: there is no such sweep.

    >>> list(named_members("lm-small-rates"))[:2]
    ['tno', 'fd']
    """
    members = read_yaml("sweep", sweep, FOLDER)[1]["members"]
    return named_members(members) if isinstance(members, str) else members


def read_sweep(sweep: str, only: Sequence[str] | None = None) -> list[Member]:
    """The members of a sweep, each checked as a run before the first one starts.

    Args:
        sweep: a name among :func:`sweep_names`, or a path to a YAML file: see the module.
        only: patterns of names, as of a shell; None: all.

    Raises:
        ConfigError: a key or a run that cannot work, or nothing to do.
    """
    file, values = read_yaml("sweep", sweep, FOLDER)
    if not isinstance(values, Mapping) or not {"recipe", "members"} <= set(values) <= KEYS:
        raise ConfigError(f"{file} has the keys recipe and members, and may have {sorted(KEYS)}")
    recipe, preset = str(values["recipe"]), str(values.get("preset", FULL))
    common, named = values.get("overrides") or {}, values["members"] or {}
    variants, seeds = values.get("variants") or {"": {}}, values.get("seeds") or [None]
    borrowed = isinstance(named, str)
    named = named_members(named) if borrowed else named
    groups = [group for group in (named, variants) if isinstance(group, Mapping)]
    parts = (common, named, variants, *(own for group in groups for own in group.values()))
    if not isinstance(seeds, list) or not all(isinstance(p, Mapping | None) for p in parts):
        raise ConfigError(
            f"{file}: seeds is a list; overrides, variants, members and each of them are mappings "
            "of keys"
        )
    members = []
    for (name, own), (variant, more), seed in product(named.items(), variants.items(), seeds):
        seeded = {} if seed is None else {"seed": seed}
        first, then = (own or {}, common) if borrowed else (common, own or {})
        options = {**first, **then, **(more or {}), **seeded}
        words = [str(name), str(variant), *(f"seed{seed}" for seed in seeded.values())]
        label = "-".join(filter(None, words))
        if only is not None and not any(fnmatch(label, pattern) for pattern in only):
            continue
        if not re.fullmatch(r"\w[\w.-]*", label) or label == "records":
            raise ConfigError(f"{file}: {label!r} names a folder: letters, digits, . _ and -")
        try:
            read_recipe(recipe, preset=preset, overrides=_nested(options))
        except ConfigError as error:
            raise ConfigError(f"{file}, member {label}: {error}") from error
        members.append(Member(label, _arguments(recipe, preset, options)))
    if not members:
        raise ConfigError(f"{file} has no member {', '.join(only or ())}: {', '.join(named)}")
    return members


def run_sweep(
    members: Sequence[Member], out: Path, *, jobs: int, report: Callable[[str], None]
) -> list[str]:
    """Run what is not complete, ``jobs`` at a time, and gather the records.

    Of several GPUs (those that ``CUDA_VISIBLE_DEVICES`` names, where it is set) each job has one,
    and the next member runs where one has ended.

    Args:
        members: as :func:`read_sweep` gives them.
        out: holds a folder for each member, ``NAME.log`` beside it, and ``records/NAME.json``:
            the records, with a thinned history.
        jobs: processes at a time.
        report: is given a line for each member that ends.

    Returns:
        the names of those that failed.

    Raises:
        ConfigError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ConfigError(f"jobs is at least 1; got {jobs}")
    (out / "records").mkdir(parents=True, exist_ok=True)
    places = _places(jobs, torch.cuda.device_count())

    def run(member: Member) -> bool:
        folder, result = out / member.name, out / member.name / RUN
        if not _complete(result):
            command = [sys.executable, "-m", "tnnlab", "train", *member.arguments]
            with (out / f"{member.name}.log").open("a") as log, _taken(places) as place:
                subprocess.run(
                    [*command, "--out", str(folder), "--resume"],
                    stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **place}, check=False,
                )  # fmt: skip
        complete = _complete(result)
        if complete:
            record = json.loads(result.read_text(encoding="utf-8"))
            write_record(out / "records" / f"{member.name}.json", thinned(record))
        report(f"{member.name}: {'complete' if complete else f'failed, see {member.name}.log'}")
        return complete

    with ThreadPoolExecutor(jobs) as pool:
        complete = list(pool.map(run, members))
    return [member.name for member, done in zip(members, complete, strict=True) if not done]


def _places(jobs: int, gpus: int) -> Queue[dict[str, str]]:
    """What tells each of ``jobs`` processes at a time which GPU is its own."""
    named = os.environ.get(_VISIBLE)
    names = named.split(",") if named else [str(gpu) for gpu in range(gpus)]
    places: Queue[dict[str, str]] = Queue()
    for job in range(jobs):
        places.put({_VISIBLE: names[job % gpus]} if gpus > 1 else {})
    return places


@contextmanager
def _taken(places: Queue[dict[str, str]]) -> Iterator[dict[str, str]]:
    place = places.get()
    try:
        yield place
    finally:
        places.put(place)


def thinned(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with at most :data:`MOST_LINES` lines of training, evenly spread, the last one kept;
    evaluations stay."""
    lines = record["history"].get("train", [])
    step = max(1, -(-len(lines) // MOST_LINES))
    kept = lines[::-1][::step][::-1]
    return {**record, "history": {**record["history"], "train": kept}}


def _complete(result: Path) -> bool:
    try:
        return json.loads(result.read_text(encoding="utf-8"))["status"] == "complete"
    except (FileNotFoundError, ValueError):
        return False


def _arguments(recipe: str, preset: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    preset_words = () if preset == FULL else ("--preset", preset)
    words = (f"--{key}={_word(value)}" for key, value in options.items())
    return (recipe, *preset_words, *words)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested ones."""
    nested: dict[str, Any] = {}
    for key, value in options.items():
        *parents, last = str(key).split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return nested
