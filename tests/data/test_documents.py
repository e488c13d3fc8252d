"""Cutting text loses nothing and cuts where it says."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from tnnlab.data.documents import SPLITS, articles, part_of, pieces, split_of

ARTICLE = " \n = One = \n \n Text . \n \n = = Section = = \n More . \n \n"
FORMULA = " Let x \n = 1 rad / s and k = \n 2 . \n"


def test_articles_begin_at_titles_only() -> None:
    second = " = Two = \n" + FORMULA
    text = ARTICLE + second
    assert list(articles(text.splitlines(keepends=True))) == [ARTICLE, second]


def test_text_without_titles_is_one_article() -> None:
    assert list(articles(["# A\n", "\n", "x = 1 = y\n"])) == ["# A\n\nx = 1 = y\n"]
    assert list(articles([])) == []


def test_splits_have_their_shares() -> None:
    counts = Counter(split_of(f"file {number}") for number in range(20_000))
    assert counts["train"] == pytest.approx(18_000, abs=200)
    assert counts["validation"] == pytest.approx(1_000, abs=150)
    assert counts["test"] == pytest.approx(1_000, abs=150)


def test_split_of_a_key_never_changes() -> None:
    # A change here would move files between splits, and make old results incomparable.
    assert {split_of(f"m{number}.py") for number in (0, 1, 2, 3)} == {"train"}
    assert {split_of(f"m{number}.py") for number in (23, 59, 63, 64)} == {"validation"}
    assert {split_of(f"m{number}.py") for number in (5, 15, 61, 74)} == {"test"}


@pytest.mark.parametrize(
    "text", ["word " * 100, "one\ntwo\n" * 50, "title\n" + "x" * 5_000, "x" * 100, "short", ""]
)
def test_parts_join_to_the_text(text: str) -> None:
    parts = [part_of(text, split) for split in SPLITS]
    assert "".join(parts) == text
    if len(text) >= 100:
        assert [len(part) / len(text) for part in parts] == pytest.approx(
            [0.9, 0.05, 0.05], abs=0.02
        )
    if text.endswith(("\n", " ")):
        assert sum(len(part.split()) for part in parts) == len(text.split())


def test_pieces_join_to_the_text_and_keep_words() -> None:
    generator = random.Random(0)
    text = "".join(generator.choice("ab  \n\t\x1c!é") for _ in range(20_000))
    cut = list(pieces(text, 100))
    assert "".join(cut) == text
    assert len(cut) > 100
    assert all(right[0] in " \n" and not left[-1].isspace() for left, right in pairwise(cut))


def test_pieces_bound_a_text_without_spaces() -> None:
    cut = list(pieces("x" * 1_001, 100))
    assert "".join(cut) == "x" * 1_001
    assert max(map(len, cut)) <= 200
