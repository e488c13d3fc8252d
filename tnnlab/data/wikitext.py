"""WikiText-103 (Merity et al., "Pointer Sentinel Mixture Models", 2016, section 4.3)."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from tnnlab._extras import require
from tnnlab.data.corpora import Corpus, check_split
from tnnlab.data.documents import SPLITS, articles
from tnnlab.data.folders import data_folder

HUB_NAME, HUB_CONFIG = "Salesforce/wikitext", "wikitext-103-v1"


class WikiText103(Corpus):
    """WikiText-103, the word-level version with its ``<unk>`` and ``@-@`` left as they are.

    The rows of the data set are lines; a document is an article, its lines joined unchanged.
    Words are counted as is customary for WikiText: words separated by white space plus one
    end-of-line per line (217,646 for validation, 245,569 for test).

    Args:
        folder: a folder with ``train-*.parquet``, ``validation-*.parquet``, ``test-*.parquet``
            (a missing split is an error only when it is asked for). Default:
            ``$TNNLAB_DATA/wikitext/wikitext-103-v1`` where that exists, else the Hugging Face hub
            through `datasets`, which downloads and caches it.

    Raises:
        FileNotFoundError: the folder holds no split at all, or the hub cannot be reached.
        ImportError: `pyarrow` (folder) or `datasets` (hub) is missing.
    """

    name = "wikitext103"
    source = f"https://huggingface.co/datasets/{HUB_NAME} ({HUB_CONFIG})"
    licence = "CC BY-SA 3.0"
    word_rule = "words separated by white space, plus one end-of-line per line"

    def __init__(self, folder: Path | None = None) -> None:
        local = data_folder()
        if folder is None and local is not None:
            folder = local / "wikitext" / HUB_CONFIG
            folder = folder if folder.is_dir() else None
        self.folder = folder
        if folder is not None and not any(self._parquet(split) for split in SPLITS):
            raise FileNotFoundError(
                f"no WikiText-103 in {str(folder)!r}: looked for train-*.parquet, "
                f"validation-*.parquet and test-*.parquet, as in {self.source}"
            )

    def _parquet(self, split: str) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob(f"{split}-*.parquet"))

    def _blocks(self, split: str) -> Iterator[list[str]]:
        """The rows of a split, a few thousand at a time."""
        if self.folder is None:
            data = _from_hub(split)
            yield from (block["text"] for block in data.iter(batch_size=4096))
            return
        files = self._parquet(split)
        if not files:
            raise FileNotFoundError(
                f"no {split}-*.parquet in {str(self.folder)!r}: copy the {split} split of "
                f"{self.source} there, or unset TNNLAB_DATA to load it from the hub"
            )
        parquet = require("pyarrow.parquet", extra="train")
        for file in files:
            with parquet.ParquetFile(file) as table:
                for block in table.iter_batches(batch_size=4096, columns=["text"]):
                    yield block.column(0).to_pylist()

    def documents(self, split: str) -> Iterator[str]:
        check_split(split)
        return articles(chain.from_iterable(self._blocks(split)))

    @staticmethod
    def count_words(text: str) -> int:
        return len(text.split()) + text.count("\n")

    @property
    def splits(self) -> list[str]:
        """The splits that are available."""
        return [split for split in SPLITS if self.folder is None or self._parquet(split)]

    @property
    def split_rule(self) -> str:
        return "as published"

    @cached_property
    def fingerprint(self) -> str:
        # Over the text, not the files: the same from the hub and from a folder.
        digest = hashlib.sha256()
        for split in self.splits:
            digest.update(f"{split}\0".encode())
            for block in self._blocks(split):
                digest.update("".join(block).encode())
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        return super().provenance() | {"splits": self.splits}


def _from_hub(split: str) -> Any:
    datasets = require("datasets", extra="train")
    try:
        return datasets.load_dataset(HUB_NAME, HUB_CONFIG, split=split)
    except OSError as error:  # what `datasets` raises without a network
        raise FileNotFoundError(
            f"cannot get {HUB_NAME} from the Hugging Face hub ({error}): check the network, or put "
            f"its parquet files into a folder wikitext/{HUB_CONFIG} and point TNNLAB_DATA at the "
            "folder that holds wikitext"
        ) from error
