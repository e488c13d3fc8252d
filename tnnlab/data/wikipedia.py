"""Plain articles of Wikipedia to train on; the evaluation texts of WikiText-103 in the same form.

For comparing models with each other where the training text of WikiText-103 is not at hand.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tnnlab.data.corpora import Corpus, Segment, check_split
from tnnlab.data.detokenize import detokenize
from tnnlab.data.folders import data_folder
from tnnlab.data.textfiles import TextCorpus
from tnnlab.data.wikitext import WikiText103

_UNKNOWN = re.compile("( ?<unk>)")
_TITLE = re.compile(r" = (.+) = $")
_SECTION = re.compile(r" (?:= ){2,}(.+?)(?: =){2,} $")
_LAYOUT = (
    "text files (.txt; plain, .xz or .gz) in which each article begins with a line ' = Title = ' "
    "after an empty line, then an empty line, the title once more, an empty line, and the text, a "
    "paragraph a line"
)


class WikipediaCorpus(Corpus):
    """Articles of Wikipedia, with the validation and test text of WikiText-103 as plain text.

    The training text is taken as it stands, each article a document. The evaluation text
    (Merity et al., 2016) is brought to its form: `detokenize` in each line; a section's title is a
    line that ends with a full stop; no empty lines between paragraphs. Not scored, but context for
    the rest, are the tokens of ``<unk>``, which stands for words that nobody can know, and the
    repetition of the article's title, which only the training text has.

    Perplexities on this text compare models that were trained on the same articles. They are *not*
    comparable with published figures for WikiText-103.

    Args:
        folder: text files of the articles; default ``$TNNLAB_DATA/wikipedia``.

    Raises:
        FileNotFoundError: no such folder, or no text file in it; on reading, no WikiText-103
            (see `WikiText103`).
    """

    name = "wikipedia"
    licence = "CC BY-SA 3.0 (WikiText-103), CC BY-SA as given with the articles (Wikipedia)"
    word_rule = (
        "validation and test: words of WikiText-103's own tokens, separated by white space, "
        "without <unk> and the = of section titles, plus one end-of-line per line that is not "
        "empty; train: words separated by white space"
    )

    def __init__(self, folder: Path | None = None) -> None:
        local = data_folder()
        if folder is None and local is not None:
            folder = local / "wikipedia"
        if folder is None or not folder.is_dir():
            given = "TNNLAB_DATA is not set" if folder is None else f"no folder {str(folder)!r}"
            raise FileNotFoundError(
                f"no articles for the corpus 'wikipedia': {given}. Put {_LAYOUT}, into "
                "$TNNLAB_DATA/wikipedia, or give the path of such a folder. A public source of "
                "articles is the data set wikimedia/wikipedia on the Hugging Face hub (CC BY-SA; "
                "its columns title and text)"
            )
        self.articles = TextCorpus(folder)
        self.wikitext = WikiText103()
        self.source = (
            f"train: articles of Wikipedia ({len(self.articles.files)} files, laid out by title "
            f"lines); validation and test: {self.wikitext.source}"
        )

    @property
    def split_rule(self) -> str:
        return (
            "train: all articles of the folder; validation and test: those of WikiText-103 as "
            "published, as plain text"
        )

    def documents(self, split: str) -> Iterator[str]:
        check_split(split)
        if split == "train":
            return self.articles.all_documents()
        return ("".join(segment.text for segment in document) for document in self.segments(split))

    def segments(self, split: str) -> Iterator[Iterable[Segment]]:
        if split == "train":
            return super().segments(split)
        check_split(split)
        return map(plain_article, self.wikitext.documents(split))

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.articles.fingerprint.encode())
        for split in ("validation", "test"):
            digest.update(repr([*self.segments(split)]).encode())
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        return super().provenance() | {
            "comparable": "between models trained on these articles; not with published "
            "perplexities on WikiText-103",
            "files": len(self.articles.files),
        }


def plain_article(article: str) -> list[Segment]:
    """An article of WikiText as plain text. ``<unk>`` and the repeated title are segments of their
    own, not scored.

    >>> [segment.text for segment in plain_article(" = A = \\n \\n The <unk> , or a . \\n")]
    [' = A = \\n', '\\nA\\n', '\\nThe', ' <unk>', ', or a.\\n\\n']
    """
    lines = [line for line in article.split("\n") if line.strip()]
    segments: list[Segment] = []
    if lines and (title := _TITLE.match(lines[0])):
        name = detokenize(title[1])
        segments += _split(f" = {name} = \n", f"{lines.pop(0)}\n")
        segments.append(Segment(f"\n{name}\n", 0, scored=False))
    plain, original = ["\n"], []
    for line in lines:
        section = _SECTION.match(line)
        line = section[1] if section else line
        text = detokenize(line)
        plain.append(f"{text}{'.' if section and text[-1] not in '!?' else ''}\n")
        original.append(f"{line}\n")
    return segments + _split("".join(plain) + "\n", "".join(original))


def _split(plain: str, original: str) -> list[Segment]:
    """Plain text in segments, with the words that its WikiText has there."""
    texts = _UNKNOWN.split(plain)  # every second one is an unknown word
    words = map(WikiText103.count_words, original.split("<unk>"))
    segments = [Segment(texts[0], next(words))]
    for unknown, text in zip(texts[1::2], texts[2::2], strict=True):
        segments += [Segment(unknown, 0, scored=False), Segment(text, next(words))]
    return [segment for segment in segments if segment.text]
