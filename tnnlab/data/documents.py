"""Cutting text: files into articles, corpora into splits, long texts into pieces."""

import hashlib
import re
from collections.abc import Iterable, Iterator

SPLITS = ("train", "validation", "test")

# WikiText's convention: " = Title = " opens an article, " = = Section = = " does not.
_TITLE = re.compile(r" = [^=\s].* = ?$")
# In front of white space that follows something else, the byte-pair pre-tokenizer of GPT-2
# always starts a new word: encoding the two sides apart gives the same tokens.
_SAFE_CUT = re.compile(r"(?<=\S)(?=[ \n])")


def articles(lines: Iterable[str]) -> Iterator[str]:
    """Join lines (each with its line end) into articles, one per WikiText title line.

    A title follows an empty line or nothing at all (formulas in WikiText can look like one
    otherwise). Text with no title is one article. Joined, the articles are exactly the lines.
    """
    article: list[str] = []
    begun, after_empty = False, True
    for line in lines:
        if begun and after_empty and _TITLE.match(line):
            yield "".join(article)
            article, begun = [], False
        article.append(line)
        after_empty = line.isspace()
        begun = begun or not after_empty
    if article:
        yield "".join(article)


def split_of(key: str) -> str:
    """The split (90 % train, 5 % validation, 5 % test) that a key's SHA-256 falls into.

    It depends on the key alone: not on the machine, the order, or the other keys.
    """
    fraction = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "test" if fraction < 0.05 else "validation" if fraction < 0.10 else "train"


def part_of(text: str, split: str) -> str:
    """The first 90 % (train), next 5 % (validation) or last 5 % (test) of a text's characters.

    A cut moves back to just after white space where there is some within 1000 characters, so
    that no word is divided. The three parts joined are the text.
    """

    def cut(fraction: float) -> int:
        place = int(len(text) * fraction)
        near = max(0, place - 1000)
        return max(text.rfind(" ", near, place), text.rfind("\n", near, place)) + 1 or place

    first, second = cut(0.90), cut(0.95)
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}[split]


def pieces(text: str, size: int) -> Iterator[str]:
    """Cut a long text into pieces of about ``size`` characters, without changing its tokens.

    A piece ends in front of white space, so words stay whole too, both for GPT-2's byte pairs and
    for counting. Only a run of more than ``size`` characters with no such place is cut anywhere.
    """
    start = 0
    while len(text) - start > size:
        place = _SAFE_CUT.search(text, start + size, start + 2 * size)
        stop = place.start() if place else start + 2 * size
        yield text[start:stop]
        start = stop
    if start < len(text):
        yield text[start:]
