"""What a corpus is, and how to get one by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from tnnlab.data.documents import SPLITS, pieces
from tnnlab.data.names import check_name

CORPUS_NAMES = ("stdlib", "text", "wikipedia", "wikitext103")
_PIECE = 8_192  # characters encoded as one text


class Segment(NamedTuple):
    """A stretch of a document that is encoded by itself.

    Attributes:
        text: the stretch.
        words: words in it, by the corpus's `word_rule`; 0 if it is not scored.
        scored: False: its tokens are context for the others, and never targets in an evaluation.

    >>> Segment("Any text", words=2).scored
    True
    """

    text: str
    words: int
    scored: bool = True


class Corpus(ABC):
    """A body of text in three splits, the same on every run.

    >>> corpus = load_corpus("stdlib")
    >>> corpus.name, corpus.count_words("import this"), len(corpus.fingerprint)
    ('stdlib', 2, 64)
    """

    name: str
    source: str
    licence: str
    #: What `count_words` counts: the denominator of the per-word perplexity.
    word_rule = "words separated by white space"

    @abstractmethod
    def documents(self, split: str) -> Iterator[str]:
        """The documents of ``"train"``, ``"validation"`` or ``"test"``, in a fixed order.

        Raises:
            ValueError: no such split.
            FileNotFoundError: the text of this split is not on this machine.
        """

    @property
    @abstractmethod
    def split_rule(self) -> str:
        """How the text is dealt to train, validation and test."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over the content; equal fingerprints mean equal text."""

    @staticmethod
    def count_words(text: str) -> int:
        """The number of words in a text, by `word_rule`."""
        return len(text.split())

    def segments(self, split: str) -> Iterator[Iterable[Segment]]:
        """The documents of a split, each in the segments that it is encoded in: joined, they are
        the document. Raises as `documents`."""
        for document in self.documents(split):
            yield (Segment(piece, self.count_words(piece)) for piece in pieces(document, _PIECE))

    def word_count(self, split: str) -> int:
        """The number of words of a split, by `word_rule`. Reads the whole split."""
        return sum(segment.words for document in self.segments(split) for segment in document)

    def provenance(self) -> dict[str, Any]:
        """What the text is, for a result record: JSON-able, with no path of this machine."""
        return {
            "corpus": self.name,
            "source": self.source,
            "licence": self.licence,
            "fingerprint": self.fingerprint,
            "split_rule": self.split_rule,
            "word_rule": self.word_rule,
        }


def load_corpus(name: str, path: str | PathLike[str] | None = None) -> Corpus:
    """Load a corpus by name. Text is read when it is asked for, not here.

    Args:
        name: ``"stdlib"``, the source text of Python's standard library (on every machine);
            ``"wikitext103"``, WikiText-103 from the Hugging Face hub or from local parquet files;
            ``"wikipedia"``, plain articles of Wikipedia to train on, and the evaluation texts of
            WikiText-103 as plain text; ``"text"``, your own text file or folder of text files.
        path: for ``"text"``, the file or folder; for ``"wikipedia"``, the folder of articles
            (default ``$TNNLAB_DATA/wikipedia``); for ``"wikitext103"``, a folder of parquet files
            (default ``$TNNLAB_DATA/wikitext/wikitext-103-v1`` where it exists, else the hub).

    Raises:
        ValueError: unknown name; ``"text"`` without a path; ``"stdlib"`` with one.
        FileNotFoundError: there is nothing usable at ``path``.

    >>> text = next(iter(load_corpus("stdlib").documents("validation")))
    >>> type(text).__name__, len(text) > 0
    ('str', True)
    """
    check_name("corpus", name, CORPUS_NAMES)
    if name == "stdlib":
        if path is not None:
            raise ValueError(
                f"the corpus 'stdlib' takes no path (given: {str(path)!r}): for files of your own "
                "use the corpus 'text'"
            )
        from tnnlab.data.stdlib import StdlibCorpus

        return StdlibCorpus()
    if name == "wikitext103":
        from tnnlab.data.wikitext import WikiText103

        return WikiText103(None if path is None else Path(path).expanduser())
    if name == "wikipedia":
        from tnnlab.data.wikipedia import WikipediaCorpus

        return WikipediaCorpus(None if path is None else Path(path).expanduser())
    if path is None:
        raise ValueError("the corpus 'text' needs a path: a text file or a folder of text files")
    from tnnlab.data.textfiles import TextCorpus

    return TextCorpus(Path(path).expanduser())


def check_split(split: str) -> None:
    """Raise ValueError unless ``split`` is one of the three."""
    check_name("split", split, SPLITS)
