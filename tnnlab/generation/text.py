"""Tokens to text as they come."""

from collections.abc import Sequence

from tnnlab.data import Tokenizer


class TextStream:
    """Text of tokens that come one by one: whole characters only, and nothing after a stop text.

    Args:
        tokenizer: a character may be spread over several of its tokens.
        stop: texts, none of them empty; the first to appear ends the output, without itself.

    Attributes:
        stopped: whether a stop text has appeared.

    >>> from tnnlab.data import load_tokenizer
    >>> text = TextStream(load_tokenizer("bytes"), stop=["."])
    >>> [text.feed(token) for token in "né.".encode()], text.stopped  # é is two bytes
    (['n', '', 'é', ''], True)
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        if any(not text for text in stop):
            raise ValueError("a stop text has at least one character; got an empty one")
        self.tokenizer, self.stop = tokenizer, tuple(stop)
        self.stopped = False
        self._tokens: list[int] = []  # since the last whole character
        self._shown = 0  # characters of theirs that were passed on
        self._held = ""  # what may be the beginning of a stop text

    def feed(self, token: int) -> str:
        """The text that is certain with one more token; may be empty."""
        if self.stopped:
            return ""
        self._tokens.append(token)
        text = self.tokenizer.decode(self._tokens)
        # Half a character is shown as one U+FFFD at the end; the next token may complete it.
        end = len(text) - text.endswith("\ufffd")
        new, self._shown = text[self._shown : end], end
        if end == len(text):
            self._tokens, self._shown = [], 0
        return self._release(self._held + new)

    def flush(self) -> str:
        """What was held back, when no more tokens come."""
        if self.stopped:
            return ""
        rest = self._held + self.tokenizer.decode(self._tokens)[self._shown :]
        self._tokens, self._shown, self._held = [], 0, ""
        return rest

    def _release(self, text: str) -> str:
        found = [place for stop in self.stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        held = max((_overlap(text, stop) for stop in self.stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin the stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
