"""Text to token windows: corpora, tokenizers, a token cache, batches and evaluation metrics.

>>> from tnnlab.data import Batches, load_tokenizer
>>> tokens = load_tokenizer("bytes").encode("Any text will do. " * 100)
>>> inputs, targets = Batches(tokens, length=256, batch_size=8, seed=0).batch(0)
>>> inputs.shape, targets.shape
(torch.Size([8, 256]), torch.Size([8, 256]))

For a corpus, ``tokenize(load_corpus("stdlib"), load_tokenizer("bytes"), "train")`` takes the place
of the tokens.
"""

from tnnlab.data.batches import Batches, evaluation_windows
from tnnlab.data.bigram import bigram_loss
from tnnlab.data.cache import TokenArray, tokenize
from tnnlab.data.corpora import CORPUS_NAMES, SPLITS, Corpus, Segment, load_corpus
from tnnlab.data.metrics import evaluation_metrics
from tnnlab.data.tokenizers import (
    TOKENIZER_NAMES,
    Tokenizer,
    load_tokenizer,
    load_tokenizer_from,
)

__all__ = [
    "CORPUS_NAMES",
    "SPLITS",
    "TOKENIZER_NAMES",
    "Batches",
    "Corpus",
    "Segment",
    "TokenArray",
    "Tokenizer",
    "bigram_loss",
    "evaluation_metrics",
    "evaluation_windows",
    "load_corpus",
    "load_tokenizer",
    "load_tokenizer_from",
    "tokenize",
]
