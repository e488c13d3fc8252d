"""Text to token ids and back: bytes, or byte pairs."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import SupportsInt

import numpy as np

from tnnlab._files import atomic_file
from tnnlab.data.names import check_name

TOKENIZER_NAMES = ("bytes", "gpt2")
END_OF_TEXT = "<|endoftext|>"
_FILE = "tokenizer.json"


class Tokenizer(ABC):
    """A reversible map from text to integers in ``[0, vocab_size)``.

    Attributes:
        name: the name that `load_tokenizer` knows it by.
        vocab_size: the number of tokens, the end of text included.
        end_of_text: the id that follows every document; shown as ``<|endoftext|>``. Those
            characters in a text are text: `encode` never makes this id.
        fingerprint: SHA-256 (hexadecimal) of what determines the ids.

    >>> tokenizer = load_tokenizer("bytes")
    >>> tokenizer.decode(tokenizer.encode("λ^|m|")), tokenizer.vocab_size, tokenizer.end_of_text
    ('λ^|m|', 257, 256)
    """

    name: str
    vocab_size: int
    end_of_text: int
    fingerprint: str

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, one-dimensional integer arrays. No end of text is added."""

    @abstractmethod
    def _decode(self, ids: list[int]) -> str: ...

    @abstractmethod
    def _to_json(self) -> str: ...

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, an int64 array of shape ``(tokens,)``, with no end of text."""
        return self.encode_batch([text])[0].astype(np.int64)

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """The text of a sequence of ids (list, array or CPU tensor).

        Bytes that are no UTF-8, such as half a character, are shown as U+FFFD.

        Raises:
            ValueError: an id outside ``[0, vocab_size)``.
        """
        numbers = [int(number) for number in ids]
        for number in numbers:
            if not 0 <= number < self.vocab_size:
                raise ValueError(
                    f"token {number} is not one of the {self.vocab_size} of {self.name!r}"
                )
        return self._decode(numbers)

    def save(self, folder: str | PathLike[str]) -> None:
        """Write ``tokenizer.json`` into a folder, which `load_tokenizer_from` reads."""
        with atomic_file(Path(folder) / _FILE) as temporary:
            temporary.write_text(self._to_json(), encoding="utf-8")


class ByteTokenizer(Tokenizer):
    """The bytes of the UTF-8 text as they are, 0 to 255, and 256 for the end of text.

    >>> ByteTokenizer().encode("né")
    array([110, 195, 169])
    """

    name = "bytes"
    vocab_size = 257
    end_of_text = 256
    fingerprint = hashlib.sha256(b"bytes 0-255, end of text 256").hexdigest()

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]

    def _decode(self, ids: list[int]) -> str:
        end = END_OF_TEXT.encode()
        content = b"".join(end if number == 256 else bytes((number,)) for number in ids)
        return content.decode("utf-8", errors="replace")

    def _to_json(self) -> str:
        return json.dumps({"tnnlab_tokenizer": self.name, "vocab_size": self.vocab_size}) + "\n"


def load_tokenizer(name: str, folder: str | PathLike[str] | None = None) -> Tokenizer:
    """Load a tokenizer by name.

    Args:
        name: ``"bytes"`` (257 tokens) or ``"gpt2"`` (GPT-2's byte pairs, 50,257 tokens).
        folder: for ``"gpt2"``, where ``vocab.json`` and ``merges.txt`` (or ``encoder.json`` and
            ``vocab.bpe``) lie; default ``$TNNLAB_DATA/gpt2-bpe`` where it exists, else the
            Hugging Face hub.

    Raises:
        ValueError: unknown name, or files that are not GPT-2's vocabulary.
        FileNotFoundError: no vocabulary in the folder, or no network to get it.
        ImportError: ``"gpt2"`` without the package `tokenizers`.

    >>> load_tokenizer("bytes").encode("TNN").tolist()
    [84, 78, 78]
    """
    check_name("tokenizer", name, TOKENIZER_NAMES)
    if name == "bytes":
        return ByteTokenizer()
    from tnnlab.data.bpe import load_gpt2

    return load_gpt2(None if folder is None else Path(folder).expanduser())


def load_tokenizer_from(folder: str | PathLike[str]) -> Tokenizer:
    """Load the tokenizer that `Tokenizer.save` wrote into a folder.

    Raises:
        FileNotFoundError: no ``tokenizer.json`` there.
        ValueError: the file is not a tokenizer of this package.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_tokenizer("bytes").save(folder)
    ...     load_tokenizer_from(folder).name
    'bytes'
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"no {_FILE} in {str(folder)!r}: a folder written by training or by "
            "`Tokenizer.save` has one"
        )
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a tokenizer: expected a JSON object")
    if "tnnlab_tokenizer" in content:
        check_name("tokenizer", content["tnnlab_tokenizer"], ("bytes",))
        return ByteTokenizer()
    from tnnlab.data.bpe import bpe_from_json

    return bpe_from_json(text, str(path))
