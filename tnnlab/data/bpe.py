"""GPT-2's byte-level byte-pair encoding, through the package `tokenizers`.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.2.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tnnlab._extras import require
from tnnlab.data.folders import data_folder
from tnnlab.data.tokenizers import END_OF_TEXT, Tokenizer

GPT2_SIZE = 50257
HUB_NAME = "openai-community/gpt2"
# The same two files under the names of the hub, and under those of the first release.
_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))


class BPETokenizer(Tokenizer):
    """A byte-level byte-pair encoding: any text, no unknown token, exactly reversible.

    Args:
        backend: a `tokenizers.Tokenizer` whose vocabulary holds ``<|endoftext|>``.
        where: named in the error message.

    Raises:
        ValueError: there is no end of text in the vocabulary.
    """

    def __init__(self, backend: Any, where: str) -> None:
        end = backend.token_to_id(END_OF_TEXT)
        if end is None:
            raise ValueError(f"the vocabulary of {where} has no {END_OF_TEXT!r}")
        self._backend = backend
        self.end_of_text = end
        self.vocab_size = backend.get_vocab_size()
        self.name = "gpt2" if self.vocab_size == GPT2_SIZE else "bpe"
        self.fingerprint = _fingerprint(backend)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def _decode(self, ids: list[int]) -> str:
        return self._backend.decode(ids, skip_special_tokens=False)

    def _to_json(self) -> str:
        return self._backend.to_str()


def build_bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]], where: str) -> Tokenizer:
    """A byte-level tokenizer from its vocabulary and its merges, most frequent first.

    The end of text is an ordinary entry: the characters ``<|endoftext|>`` in a text stay text.
    """
    tokenizers = require("tokenizers", extra="train")
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    return BPETokenizer(backend, where)


def bpe_from_json(text: str, where: str) -> Tokenizer:
    """The tokenizer in the text of a ``tokenizer.json``; ValueError if it is none."""
    tokenizers = require("tokenizers", extra="train")
    try:
        backend = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the package raises bare Exceptions
        raise ValueError(f"{where} is not a tokenizer: {error}") from error
    return BPETokenizer(backend, where)


def load_gpt2(folder: Path | None = None) -> Tokenizer:
    """GPT-2's tokenizer from a folder, from ``$TNNLAB_DATA/gpt2-bpe``, or from the hub.

    Raises:
        FileNotFoundError: the folder lacks the two files, or the hub cannot be reached.
        ValueError: the files are not GPT-2's vocabulary.
    """
    local = data_folder()
    if folder is None and local is not None and (local / "gpt2-bpe").is_dir():
        folder = local / "gpt2-bpe"
    vocabulary_file, merges_file = _from_hub() if folder is None else _in_folder(folder)
    vocabulary = json.loads(vocabulary_file.read_text(encoding="utf-8"))
    lines = merges_file.read_text(encoding="utf-8").splitlines()
    rules = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    if len(vocabulary) != GPT2_SIZE or any(len(rule) != 2 for rule in rules):
        raise ValueError(
            f"{vocabulary_file} and {merges_file.name} are not GPT-2's: expected {GPT2_SIZE} "
            f"tokens and two symbols a line, found {len(vocabulary)} tokens"
        )
    return build_bpe(vocabulary, [(left, right) for left, right in rules], str(vocabulary_file))


def _in_folder(folder: Path) -> tuple[Path, Path]:
    for vocabulary, merges in _PAIRS:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return folder / vocabulary, folder / merges
    wanted = " or ".join(" and ".join(pair) for pair in _PAIRS)
    raise FileNotFoundError(
        f"no GPT-2 vocabulary in {str(folder)!r}: looked for {wanted}. Copy them from "
        f"https://huggingface.co/{HUB_NAME}, or leave the folder out to download them"
    )


def _from_hub() -> tuple[Path, Path]:
    hub = require("huggingface_hub", extra="train")
    try:
        first, second = (Path(hub.hf_hub_download(HUB_NAME, name)) for name in _PAIRS[0])
    except OSError as error:  # what the client raises without a network
        raise FileNotFoundError(
            f"cannot get GPT-2's vocabulary from the Hugging Face hub ({error}): check the "
            f"network, or put {' and '.join(_PAIRS[0])} into a folder gpt2-bpe and point "
            "TNNLAB_DATA at the folder that holds gpt2-bpe"
        ) from error
    return first, second


def _fingerprint(backend: Any) -> str:
    model = json.loads(backend.to_str())["model"]
    # Versions of the package write a merge as "a b" or as ["a", "b"].
    merges = [rule if isinstance(rule, str) else " ".join(rule) for rule in model["merges"]]
    content = json.dumps([sorted(model["vocab"].items()), merges])
    return hashlib.sha256(content.encode()).hexdigest()
