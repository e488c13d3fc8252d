"""Which runs went side by side: their times tell how a device was shared, not how fast they are."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any


def device(record: Mapping[str, Any]) -> str:
    """The card, or the processor, that a record was made on.

    >>> device({"provenance": {"hardware": {"device": "a GPU"}}})
    'a GPU'
    """
    return record["provenance"]["hardware"]["device"]


def beside(record: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the records that were made at the same time on hardware of the same name.

    Older records do not tell which card of a machine they were made on: it may have been another.

    >>> where = {"hardware": {"device": "a GPU"}}
    >>> begun = {"one": "2026-01-01T00:00:00", "other": "2026-01-01T00:00:59"}
    >>> one, other = (
    ...     {"name": name, "started": started, "wall_time_s": 60.0, "provenance": where}
    ...     for name, started in begun.items()
    ... )
    >>> beside(one, [one]), beside(one, [one, other])
    ([], ['other'])
    >>> for run, card in ((one, "0a1b2c3d"), (other, "4e5f6071")):
    ...     run["provenance"] = {"hardware": {"device": "a GPU", "card": card}}
    >>> beside(one, [one, other])
    []
    """
    return at_once(record, (other for other in records if _may_share(other, record)))


def at_once(record: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the records that were made at the same time, on this hardware or any other.

    >>> where = {"hardware": {"device": "a GPU", "card": "0a1b2c3d"}}
    >>> one = {"started": "2026-01-01T00:00:00", "wall_time_s": 60.0, "provenance": where}
    >>> one, other = one | {"name": "one"}, one | {"name": "other", "provenance": {"hardware": {}}}
    >>> at_once(one, [one, other])
    ['other']
    """
    start, end = _span(record)
    others = (r for r in records if r["name"] != record["name"] and "wall_time_s" in r)
    spans = [(other["name"], *_span(other)) for other in others]
    return [name for name, begun, done in spans if begun < end and start < done]


def alone(
    runs: Iterable[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of some runs that had nothing :func:`beside` them: whose times count.

    >>> where = {"hardware": {"device": "a GPU"}}
    >>> begun = {"one": "00:00:00", "other": "00:00:59", "later": "00:03:00"}
    >>> runs = [
    ...     {"name": n, "started": f"2026-01-01T{t}", "wall_time_s": 60.0, "provenance": where}
    ...     for n, t in begun.items()
    ... ]
    >>> [run["name"] for run in alone(runs[1:], runs)]
    ['later']
    """
    return [run for run in runs if not beside(run, records)]


def _may_share(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    cards = {r["provenance"]["hardware"].get("card") for r in (one, other)}
    return device(one) == device(other) and (len(cards) == 1 or None in cards)


def _span(record: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """When a record's measurement began and ended: benchmarks tell the end alone, as their date."""
    took = timedelta(seconds=record["wall_time_s"])
    if started := record.get("started"):
        begin = datetime.fromisoformat(started)
        return begin, begin + took
    end = datetime.fromisoformat(record["provenance"]["date"])
    return end - took, end
