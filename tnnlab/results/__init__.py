"""Result records: what was run, where, and what came out; nothing is typed by hand.

A record is a JSON object with at least ``name``, ``preset``, ``status``, ``seed``, ``provenance``,
``wall_time_s`` and ``metrics``. Runs write ``result.json`` into their folder; those that the book
cites are kept in ``data/results/``, the members of a sweep in a folder of their own.
"""

from tnnlab.results.origin import Record as Record
from tnnlab.results.origin import provenance
from tnnlab.results.records import RUN as RUN
from tnnlab.results.records import load_records, records_folder, write_record
from tnnlab.results.tables import (
    by_family,
    commit,
    duration,
    hardware,
    markdown_table,
    mean,
    outcome,
    speed,
    table,
    without_seed,
)

__all__ = [
    "by_family",
    "commit",
    "duration",
    "hardware",
    "load_records",
    "markdown_table",
    "mean",
    "outcome",
    "provenance",
    "records_folder",
    "speed",
    "table",
    "without_seed",
    "write_record",
]
