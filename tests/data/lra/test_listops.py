"""ListOps against a naive parser and a naive generator."""

import random
import statistics
from pathlib import Path

import numpy as np
import pytest

from tnnlab.data.lra import generate_listops, listops, load_listops, load_task
from tnnlab.data.lra.listops import VOCABULARY, read_tsv
from tnnlab.data.lra.listops_trees import CLOSE, MIN

EXAMPLE = "[MAX 2 9 [MIN 4 7 ] 0 ]"
FUNCTIONS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(statistics.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def value(words: list[str]) -> int:
    """The naive parser: a stack of open brackets."""
    stack: list[list] = [[]]
    for word in words:
        if word in FUNCTIONS:
            stack.append([word])
        elif word == "]":
            name, *values = stack.pop()
            assert len(values) >= 2
            stack[-1].append(FUNCTIONS[name](values))
        else:
            stack[-1].append(int(word))
    ((answer,),) = stack
    return answer


def naive_tree(rng: random.Random, depth: int = 1) -> list[str]:
    """The naive generator: the published distribution, node by node."""
    if depth < 10 and rng.random() < 0.25:
        arguments = [naive_tree(rng, depth + 1) for _ in range(rng.randint(2, 10))]
        return [rng.choice(list(FUNCTIONS)), *(word for part in arguments for word in part), "]"]
    return [str(rng.randrange(10))]


def words(tokens: np.ndarray) -> list[str]:
    return [VOCABULARY[token] for token in tokens]


@pytest.mark.parametrize(
    ("expression", "answer"),
    [(EXAMPLE, 9), ("[MED 5 1 9 ]", 5), ("[SM 9 8 [MED 1 2 3 4 ] ]", 9)],  # the median 2.5 is 2
)
def test_the_parser_knows_what_is_right(expression: str, answer: int) -> None:
    assert value(expression.split()) == answer


def test_values_are_those_of_the_naive_parser() -> None:
    rows, values = generate_listops(300, seed=0)
    assert [value(words(row)) for row in rows] == values.tolist()
    rows, values = generate_listops(3_000, seed=1, shortest=4, longest=60)
    assert [value(words(row)) for row in rows] == values.tolist()


def test_expressions_keep_their_limits() -> None:
    rows, _ = generate_listops(1_000, seed=3)
    assert rows.lengths.min() > 500 and rows.lengths.max() < 2000
    assert len({row.tobytes() for row in rows}) == 1_000
    for row in rows:
        depth = np.cumsum(np.where(row >= MIN, np.where(row == CLOSE, -1, 1), 0))
        assert depth.max() <= 9 and depth.min() == depth[-1] == 0  # digits lie one deeper
    rows, _ = generate_listops(200, seed=0, shortest=4, longest=9, max_depth=2, max_arguments=3)
    assert set(rows.lengths) == {4, 5}


def test_the_first_ones_are_the_same_for_every_count() -> None:
    few, few_values = generate_listops(10, seed=4)
    many, many_values = generate_listops(1_500, seed=4)
    assert [row.tolist() for row in few] == [row.tolist() for row in many.take(slice(10))]
    assert few_values.tolist() == many_values[:10].tolist()
    other, _ = generate_listops(10, seed=5)
    assert [row.tolist() for row in few] != [row.tolist() for row in other]


def test_the_distribution_is_that_of_the_naive_generator() -> None:
    rng, naive = random.Random(0), []
    while len(naive) < 250:
        tree = naive_tree(rng)
        if 500 < len(tree) < 2000:
            naive.append(tree)
    rows, values = generate_listops(2_000, seed=0)
    ours = [words(row) for row in rows]

    def compare(name: str, *samples: list[float]) -> None:
        """The means of both are four standard errors apart at most."""
        (first, second), variances = map(np.mean, samples), [np.var(x) / len(x) for x in samples]
        assert abs(first - second) < 4 * np.sqrt(sum(variances)), name

    compare("length", [len(tree) for tree in naive], [len(tree) for tree in ours])
    for word in VOCABULARY[:15]:
        shares = [[tree.count(word) / len(tree) for tree in trees] for trees in (naive, ours)]
        compare(word, *shares)
    answers = [value(tree) for tree in naive]
    for digit in range(10):
        compare(f"answer {digit}", [a == digit for a in answers], [v == digit for v in values])


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 4 symbols, depth 2 .* lengths 2 to 3"):
        generate_listops(1, seed=0, shortest=2, longest=3)
    with pytest.raises(ValueError, match=r"no new expression of 6 to 9 symbols, and there are 0"):
        generate_listops(1, seed=0, shortest=6, longest=9, max_depth=2, max_arguments=3)


def tsv(expressions: list[str]) -> str:
    """As the release has it: parentheses around every step of reading, other line ends."""
    rows = []
    for expression in expressions:
        text = expression
        for symbol in FUNCTIONS:
            text = text.replace(symbol, f"( ( ( {symbol}")
        text = text.replace("]", ") ) ] )")
        rows.append(f"{text}\t{value(expression.split())}\r\n")
    return "Source\tTarget\r\n" + "".join(rows)


def test_released_files_are_read(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listops, "COUNTS", {"train": 2, "validation": 1, "test": 1})
    folder = data_folder / "listops"
    folder.mkdir()
    texts = {"train": [EXAMPLE, "[SM 1 2 ]"], "val": ["[MED 1 2 2 ]"], "test": ["[MIN 0 9 ]"]}
    for name, expressions in texts.items():
        (folder / f"basic_{name}.tsv").write_text(tsv(expressions), newline="")
    for _ in range(2):  # the second time from the cache
        task = load_task("listops")
        assert words(task.train[0][0]) == EXAMPLE.split()
        assert task.train.labels.tolist() == [9, 3]
        assert " ".join(words(task.validation[0][0])) == "[MED 1 2 2 ]" and task.test[0][1] == 0
        assert "released" in task.description
    monkeypatch.setattr(listops, "COUNTS", {"train": 96_000, "validation": 1, "test": 1})
    with pytest.raises(ValueError, match=r"ListOps .* train 2 instead of 96,000\. The files are"):
        load_task("listops")
    (folder / "basic_val.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"basic_val\.tsv missing .* lra_release\.gz"):
        load_task("listops")


@pytest.mark.parametrize(
    "line", ["[MAX 2 9 ]", "[MAX 2 9 ]\t", "[MAX 2 9 ]\t12", "[ABC 2 9 ]\t9", "\t3", "a\tb"]
)
def test_lines_that_are_no_expressions_are_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"basic_train\.tsv, line 3, is no ListOps expression"):
        read_tsv([b"Source\tTarget\n", b"[MAX 2 9 ]\t9\n", line.encode()], "basic_train.tsv")


def test_other_columns_are_named() -> None:
    with pytest.raises(ValueError, match="expected the columns Source, Target"):
        read_tsv([b"text\tlabel\n"], "basic_train.tsv")
    with pytest.raises(ValueError, match="expected the columns Source, Target"):
        read_tsv([], "basic_train.tsv")


def test_generated_splits_are_the_published_shares() -> None:
    task = load_listops("generated", samples=150, seed=2, lengths=(20, 90))
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [144, 3, 3]
    rows, values = generate_listops(150, seed=2, shortest=20, longest=90)
    assert task.validation[0][0].tolist() == rows[144].tolist()
    assert task.test.labels.tolist() == values[147:].tolist()
    assert task.vocab_size == 16 and "not the released" in task.description
    with pytest.raises(ValueError, match="at least 50 samples"):
        load_listops(samples=49)


def test_missing_files_are_explained() -> None:
    with pytest.raises(FileNotFoundError, match=r"TNNLAB_DATA/listops with .*lra_release\.gz"):
        load_listops("files")
    with pytest.raises(ValueError, match=r"unknown source 'file': .*did you mean 'files'"):
        load_listops("file")
