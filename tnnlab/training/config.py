"""What a run is made of: plain dataclasses that refuse what cannot work.

They know nothing of files or command lines: :mod:`tnnlab.training.recipes` reads them from YAML,
a notebook builds them by hand, and ``RunConfig.from_dict(config.to_dict()) == config``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib import import_module
from typing import Any

from tnnlab._names import nearest
from tnnlab.data.corpora import CORPUS_NAMES
from tnnlab.data.tokenizers import TOKENIZER_NAMES
from tnnlab.models import TNNConfig
from tnnlab.training.checks import at_least, check, no_future, one_of
from tnnlab.training.errors import ConfigError
from tnnlab.training.optimisation import TrainingConfig

#: Kinds of runs, as the first key of a recipe names them: where the configuration of each is, and
#: the objective that reads it.
KINDS = {
    "language": ("config:RunConfig", "language:LanguageModelling"),
    "classifier": ("tasks:ClassifierRun", "classification:Classification"),
    "image": ("tasks:ImageRun", "classification:Classification"),
    "memory": ("memory:MemoryRun", "recall:make_recall"),
    "masked": ("masked:MaskedRun", "gaps:MaskedLanguageModelling"),
    "finetune": ("finetune:FineTuneRun", "finetuning:FineTuning"),
}


@dataclass
class DataConfig:
    """Which text, and how it is cut.

    Attributes:
        corpus: "stdlib", "wikitext103", "wikipedia" or "text" (any file or folder of text, named by
            ``path``).
        path: where a "text" corpus lies, or the files of the others; null: where
            :func:`tnnlab.data.load_corpus` looks.
        tokenizer: "bytes" (257 tokens: 256 bytes and end of document) or "gpt2" (50,257).
        length: tokens in one training sample, and in one evaluation window.

    >>> DataConfig(corpus="stdlib", length=256).tokenizer
    'bytes'
    """

    corpus: str = "stdlib"
    path: str | None = None
    tokenizer: str = "bytes"
    length: int = 512

    def __post_init__(self) -> None:
        one_of("data.corpus", self.corpus, CORPUS_NAMES)
        one_of("data.tokenizer", self.tokenizer, TOKENIZER_NAMES)
        at_least("data.length", self.length, 1)
        check(
            self.corpus != "text" or self.path is not None,
            "data.corpus is 'text' without data.path: name the file or folder to read",
        )
        check(
            self.corpus != "stdlib" or self.path is None,
            f"data.path is {self.path!r} with data.corpus 'stdlib', which is where Python is: "
            "leave it null, or take data.corpus 'text'",
        )


@dataclass
class EvaluationConfig:
    """What is looked at while the weights are being updated; it never changes them.

    Attributes:
        every: updates between two evaluations (also before the first and after the last one).
        limit: first tokens of the validation and test splits to evaluate; null: all of them.
        batch_size: windows per forward pass, per device.
        test: whether to evaluate the test split too, once, at the end.
        lengths: windows of other lengths to evaluate the validation split with, once, at the end.
        baseline: whether to compute a bigram model's loss on the same tokens (bytes only).
        samples: texts to draw at each evaluation; 0 for none.
        sample_tokens: new tokens in each of them.
        prompt: text that each of them continues; "" starts from an end-of-document token.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw among the k most likely tokens; null: among all.

    >>> EvaluationConfig(every=50, limit=10_000).samples
    1
    """

    every: int = 200
    limit: int | None = None
    batch_size: int = 32
    test: bool = False
    lengths: tuple[int, ...] = ()
    baseline: bool = False
    samples: int = 1
    sample_tokens: int = 64
    prompt: str = ""
    temperature: float = 0.8
    top_k: int | None = None

    def __post_init__(self) -> None:
        self.lengths = tuple(self.lengths)  # a list, where it was read from JSON
        for length in self.lengths:
            at_least("evaluation.lengths", length, 1)
        for key in ("every", "batch_size", "sample_tokens", "top_k"):
            at_least(f"evaluation.{key}", getattr(self, key), 1)
        at_least("evaluation.limit", self.limit, 2)
        for key in ("samples", "temperature"):
            at_least(f"evaluation.{key}", getattr(self, key), 0)


@dataclass
class RunConfig:
    """One run, complete: with the code and the text it gives the same numbers again (on a CPU).

    Attributes:
        name: the recipe's name, lower case with dashes.
        title: one line that says what it is.
        preset: which of the recipe's presets this is; "full" is the recipe itself.
        seed: seeds the initial weights, the order of the samples, dropout and the drawn texts.
        model: the network.
        data: the text.
        training: the updates.
        evaluation: the looks at it.
        kind: "language"; see ``KINDS`` for the others.

    >>> config = RunConfig(name="mine", training=TrainingConfig(steps=100))
    >>> RunConfig.from_dict(config.to_dict()) == config
    True
    """

    name: str = "unnamed"
    title: str = ""
    preset: str = "full"
    seed: int = 0
    model: TNNConfig = field(default_factory=lambda: TNNConfig(vocab_size=257))
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    kind: str = field(default="language", init=False)

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        self._check_parts()

    def _check_parts(self) -> None:
        """Refuse what does not go together."""
        check(
            not self.evaluation.baseline or self.data.tokenizer == "bytes",
            "evaluation.baseline counts pairs of bytes: it needs data.tokenizer 'bytes', "
            f"not {self.data.tokenizer!r}",
        )
        longest, table = max((0, *self.evaluation.lengths)), self.model.learned_positions
        check(
            not table or longest <= table,
            f"evaluation.lengths has {longest}, and model.learned_positions has {table} places",
        )
        no_future(self.model.norm)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, as JSON and YAML can hold them."""
        values = asdict(self)
        values["training"]["betas"] = list(self.training.betas)
        if "lengths" in values["evaluation"]:
            values["evaluation"]["lengths"] = list(values["evaluation"]["lengths"])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunConfig":
        """The inverse of :meth:`to_dict`; missing keys take their defaults. The result is of the
        class of its kind (``KINDS``).

        Raises:
            ConfigError: a key is unknown (the message names the nearest), or a value cannot work.
        """
        values = dict(values)
        run = run_class(values.pop("kind", cls.kind))
        refuse_unknown(values, run)
        default = run()
        sections = {item.name: type(getattr(default, item.name)) for item in fields(run)}
        build = {k: t(**values[k]) for k, t in sections.items() if k in values and is_dataclass(t)}
        return run(**{**values, **build})


def run_class(kind: str) -> type[RunConfig]:
    """The configuration of a kind of run; ConfigError where there is none."""
    one_of("kind", str(kind), tuple(KINDS))
    return lookup(KINDS[kind][0])


def lookup(place: str) -> Any:
    """A class of this package, as ``KINDS`` names it: imported when it is needed."""
    module, name = place.split(":")
    return getattr(import_module(f"tnnlab.training.{module}"), name)


def refuse_unknown(values: Mapping[str, Any], schema: Any = RunConfig, prefix: str = "") -> None:
    """Raise :class:`ConfigError` for the first key that ``schema`` (a dataclass) does not have."""
    default = schema()
    sections = {item.name: getattr(default, item.name) for item in fields(schema) if item.init}
    for key, value in values.items():
        if key not in sections:
            hint = nearest(prefix + str(key), (prefix + name for name in sections))
            raise ConfigError(f"unknown key {prefix}{key}: {hint}")
        if is_dataclass(sections[key]):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{prefix}{key} holds further keys, not {value!r}")
            refuse_unknown(value, type(sections[key]), f"{prefix}{key}.")


def differences(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ: ``{"model.depth": (7, 4)}``; None where one has no key."""
    a, b = _flat(one.to_dict()), _flat(other.to_dict())
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = prefix + key
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
