"""A stand-in for the retrieval task: are two passages of one article, or of two?"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from tnnlab.data.corpora import Corpus
from tnnlab.data.documents import SPLITS
from tnnlab.data.lra.files import local_folder
from tnnlab.data.lra.ragged import Pool
from tnnlab.data.lra.retrieval import pair_arrays, pairs
from tnnlab.data.lra.store import Arrays, stored
from tnnlab.data.lra.task import Task
from tnnlab.data.textfiles import TextCorpus

SAMPLES = {"train": 40_000, "validation": 4_000, "test": 4_000}
_VERSION = 1  # of the code behind the stored arrays


def load_retrieval_stand_in(
    *, path: str | PathLike[str] | None = None, length: int = 4000, seed: int = 0
) -> Task:
    """Pairs of passages, as bytes with an end token (258 tokens), in place of AAN's papers.

    This is NOT the Long Range Arena's retrieval task: same form, other text and another question.
    Figures on it compare models with each other, and not with published ones.

    Each document is cut into passages of ``length - 1`` bytes, after its title line; what is left
    at its end is dropped, and so are documents with fewer than two passages. A pair begins with any
    passage of any document. With label 1 the second is another passage of the same document, with
    label 0 any passage of another one: either passage alone says nothing about the label. Half of
    the pairs have label 1, and none comes twice. Splits are those of the corpus: no document of a
    large corpus is in two.

    Args:
        path: a text file or folder, as for ``load_corpus("text", path)``; default
            ``$TNNLAB_DATA/wikipedia``.
        length: tokens of a passage, the end included.
        seed: of the choice of pairs.

    Raises:
        FileNotFoundError: no text.
        ValueError: too little text in a split.

    >>> load_retrieval_stand_in(path="not-here")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FileNotFoundError: ...
    """
    place = local_folder("wikipedia") if path is None else Path(path).expanduser()
    if place is None:
        raise FileNotFoundError(
            "no folder $TNNLAB_DATA/wikipedia: put long texts there (Wikipedia articles, say; each "
            "file one, or several that begin with ' = Title = ' lines), or give their path"
        )
    corpus: Corpus = TextCorpus(place)

    def build() -> Arrays:
        arrays = {}
        for number, split in enumerate(SPLITS):
            rng = np.random.default_rng([seed, number])
            made = draw_pairs(corpus.documents(split), SAMPLES[split], length, rng)
            arrays |= {f"{split}_{name}": array for name, array in made.items()}
        return arrays

    identity = {
        "version": _VERSION,
        "corpus": corpus.fingerprint,
        "samples": SAMPLES,
        "length": length,
        "seed": seed,
    }
    arrays = stored("retrieval-stand-in", identity, build)
    return Task(
        "retrieval-stand-in",
        f"stand-in for AAN, not the published task: two passages of {length - 1} bytes with an end "
        "token, of one document (1) or of two (0)",
        f"{corpus.source}, fingerprint {corpus.fingerprint}",
        corpus.licence,
        2,
        *(pairs(arrays, f"{split}_") for split in SPLITS),
    )


def passages(document: str, length: int) -> list[bytes]:
    """All whole passages of a document, in order, without its title line."""
    lines = document.lstrip().partition("\n")
    text = (lines[2] if lines[0].strip().startswith("= ") else document).strip().encode()
    return [text[end - length : end] for end in range(length, len(text) + 1, length)]


def draw_pairs(
    documents: Iterable[str], count: int, length: int, rng: np.random.Generator
) -> Arrays:
    """What `pairs` reads: ``count`` different pairs, half of them of one document.

    Raises:
        ValueError: fewer than two documents with two passages, or too few different pairs.
    """
    pool = Pool()
    cut = (passages(document, length - 1) for document in documents)
    numbers = [sorted({pool.add(text) for text in texts}) for texts in cut]
    numbers = [of_one for of_one in numbers if len(of_one) > 1]
    drawn: dict[tuple[int, int], int] = {}
    for _ in range(20 * count):
        if len(drawn) == count or len(numbers) < 2:
            break
        label = len(drawn) % 2
        one, other = rng.choice(len(numbers), 2, replace=False)
        if label:
            first, second = rng.choice(numbers[one], 2, replace=False)
        else:
            first, second = rng.choice(numbers[one]), rng.choice(numbers[other])
        if first != second and (int(second), int(first)) not in drawn:
            drawn.setdefault((int(first), int(second)), label)
    if len(drawn) < count:
        raise ValueError(
            f"{len(numbers)} documents with two passages of {length - 1} bytes give only "
            f"{len(drawn)} of {count} pairs: more text, or a smaller length"
        )
    order = rng.permutation(count)
    labels = np.fromiter(drawn.values(), np.uint8, count)[order]
    return pair_arrays(pool, np.array(list(drawn))[order], labels)
