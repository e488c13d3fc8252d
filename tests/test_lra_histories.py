"""What the history of a run says."""

from typing import Any

import pytest

from tnnlab.lra_histories import first_below, published_beside_short


def test_a_loss_that_rises_again_does_not_stay_below() -> None:
    def found(*losses: float) -> list[int | None]:
        lines = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
        run = {"history": {"train": lines}}
        both = (first_below(run, 1.0, stay=stay) for stay in (False, True))
        return [line["step"] if line else None for line in both]

    assert found(2.0, 0.9, 1.0, 0.8, 0.7) == [1, 3]
    assert found(2.0, 0.9, 1.5) == [1, None]
    assert found(0.9, 0.8) == [0, 0]
    assert found(1.0, 1.0) == [None, None]


def test_a_family_of_the_published_settings_stands_beside_its_short_run() -> None:
    def run(test: float, *lines: tuple[int, float, float]) -> dict[str, Any]:
        validation = [{"step": n, "loss": loss, "accuracy": right} for n, loss, right in lines]
        ends = {"train": {"loss": 0.25}, "test": {"accuracy": test}}
        return {"seed": 1, "metrics": ends, "history": {"validation": validation}}

    long = run(0.8, (1000, 0.7, 0.6), (2000, 0.5, 0.7), (3000, 0.9, 0.75), (4000, 1.0, 0.75))
    table = published_beside_short(
        {"tno": long, "fd": run(0.5, (1000, 0.69, 0.5))},
        {"fd": run(0.4), "tno": run(0.6), "ski": run(0.1)},
    )
    rows = [[cell.strip() for cell in row.strip("| ").split("|")] for row in table.splitlines()]
    assert rows[0] == ["seed 1", "tno", "fd"]
    with pytest.raises(ValueError, match=r"seeds \[0, 1\]"):
        published_beside_short({"tno": long}, {"tno": {**long, "seed": 0}})
    assert [row[1:] for row in rows[2:]] == [
        ["60.00", "40.00"],
        ["80.00", "50.00"],
        ["75.00 (3,000)", "50.00 (1,000)"],
        ["70.00", "50.00"],
        ["75.00", "50.00"],
        ["0.2500", "0.2500"],
        ["0.50 (2,000)", "0.69 (1,000)"],
        ["1.00", "0.69"],
    ]
