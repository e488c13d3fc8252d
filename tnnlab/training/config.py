"""What a run is made of: plain dataclasses that refuse what cannot work.

They know nothing of files or command lines: :mod:`tnnlab.training.recipes` reads them from YAML,
a notebook builds them by hand, and ``RunConfig.from_dict(config.to_dict()) == config``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

from tnnlab._names import nearest
from tnnlab.data.corpora import CORPUS_NAMES
from tnnlab.data.lra import TASK_NAMES
from tnnlab.data.tokenizers import TOKENIZER_NAMES
from tnnlab.models import ClassifierConfig, ImageConfig, TNNConfig
from tnnlab.training.errors import ConfigError

Schedule = Literal["inverse-square-root", "cosine", "warmup-stable-decay"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    _check(value in allowed, f"{key} cannot be {value!r}: {nearest(value, allowed)}")


def _at_least(key: str, value: float | None, least: float) -> None:
    """Refuse numbers below ``least``; ``None`` (the key is switched off) passes."""
    _check(value is None or value >= least, f"{key} is {value}; it is at least {least}")


def _between(key: str, value: float, low: float, high: float) -> None:
    _check(low <= value < high, f"{key} is {value}; it lies in [{low}, {high})")


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
        _one_of("data.corpus", self.corpus, CORPUS_NAMES)
        _one_of("data.tokenizer", self.tokenizer, TOKENIZER_NAMES)
        _at_least("data.length", self.length, 1)
        _check(
            self.corpus != "text" or self.path is not None,
            "data.corpus is 'text' without data.path: name the file or folder to read",
        )
        _check(
            self.corpus != "stdlib" or self.path is None,
            f"data.path is {self.path!r} with data.corpus 'stdlib', which is where Python is: "
            "leave it null, or take data.corpus 'text'",
        )


@dataclass
class TrainingConfig:
    """How the weights are updated, logged and kept.

    Attributes:
        steps: number of updates.
        batch_size: samples per update, over all devices and micro-batches.
        accumulate: micro-batches per update; divides ``batch_size``, saves memory.
        learning_rate: peak learning rate of AdamW.
        kernel_learning_rate: the same for the numbers of a state space ("rtf", "s4d"), which also
            have no weight decay; null: as all others, but at most 1e-3.
        schedule: how the learning rate moves: see :mod:`tnnlab.training.schedules`.
        warmup: updates of linear warm-up from ``warmup_from`` to the peak.
        warmup_from: learning rate of the first update where there is a warm-up.
        cooldown: last updates, over which "warmup-stable-decay" falls to its end.
        final_fraction: learning rate at the end, as a fraction of the peak; for "cosine" and
            "warmup-stable-decay".
        betas: AdamW's running-average coefficients of the gradient and of its square.
        eps: AdamW's term against division by zero.
        weight_decay: decoupled weight decay; not on norms, biases and decays.
        clip: largest norm of the gradient, to which a longer one is scaled; null: no clipping.
        precision: "fp32", "bf16", "fp16", or "auto": bf16 on a GPU that has it, fp16 on an older
            one, fp32 on a CPU. The result record says which ran.
        compile: whether to run the model through ``torch.compile``.
        threads: of a CPU run; null: as many as torch takes. A small model is fastest with one, and
            the last bits of a loss depend on it.
        log_every: updates between two lines of training metrics.
        checkpoint_every: updates between two checkpoints (a last one is written at the end).
        keep: newest checkpoints to keep; the best one stays as well.

    >>> try:
    ...     TrainingConfig(steps=100, warmup=200)
    ... except ConfigError as error:
    ...     print(error)
    training.warmup is 200, longer than training.steps 100
    """

    steps: int = 1000
    batch_size: int = 32
    accumulate: int = 1
    learning_rate: float = 5e-4
    kernel_learning_rate: float | None = None
    schedule: Schedule = "cosine"
    warmup: int = 100
    warmup_from: float = 1e-7
    cooldown: int = 0
    final_fraction: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.2
    clip: float | None = 1.0
    precision: Precision = "auto"
    compile: bool = False
    threads: int | None = None
    log_every: int = 10
    checkpoint_every: int = 200
    keep: int = 2

    def __post_init__(self) -> None:
        self.betas = (self.betas[0], self.betas[1])  # a list, where it was read from JSON
        _one_of("training.schedule", self.schedule, get_args(Schedule))
        _one_of("training.precision", self.precision, get_args(Precision))
        for key in ("steps", "batch_size", "accumulate", "log_every", "checkpoint_every", "keep"):
            _at_least(f"training.{key}", getattr(self, key), 1)
        if self.threads is not None:
            _at_least("training.threads", self.threads, 1)
        for key in ("warmup", "warmup_from", "cooldown", "weight_decay", "eps"):
            _at_least(f"training.{key}", getattr(self, key), 0)
        for beta in self.betas:
            _between("training.betas", beta, 0, 1)
        _check(
            self.kernel_learning_rate is None or self.kernel_learning_rate > 0,
            f"training.kernel_learning_rate is {self.kernel_learning_rate}; it is above 0, or null",
        )
        _check(
            self.learning_rate > 0 and (self.clip is None or self.clip > 0),
            f"training.learning_rate ({self.learning_rate}) and training.clip ({self.clip}) "
            "are above 0 (training.clip may be null: no clipping)",
        )
        _check(
            self.batch_size % self.accumulate == 0,
            f"training.accumulate is {self.accumulate}, which does not divide "
            f"training.batch_size {self.batch_size}",
        )
        _check(
            self.warmup <= self.steps,
            f"training.warmup is {self.warmup}, longer than training.steps {self.steps}",
        )
        self._check_schedule()

    def _check_schedule(self) -> None:
        _check(0 <= self.final_fraction <= 1, "training.final_fraction lies in [0, 1]")
        _check(
            self.schedule != "inverse-square-root" or self.warmup > 0,
            "training.schedule 'inverse-square-root' needs training.warmup of at least 1: "
            "the learning rate is the peak times sqrt(warmup / step)",
        )
        stable_decay = self.schedule == "warmup-stable-decay"
        _check(
            stable_decay == (self.cooldown > 0),
            f"training.cooldown is {self.cooldown} with training.schedule {self.schedule!r}: "
            "'warmup-stable-decay' needs it to be at least 1, the others have none (0)",
        )
        _check(
            self.warmup + self.cooldown <= self.steps,
            f"training.warmup {self.warmup} and training.cooldown {self.cooldown} together are "
            f"longer than training.steps {self.steps}",
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
            _at_least("evaluation.lengths", length, 1)
        for key in ("every", "batch_size", "sample_tokens", "top_k"):
            _at_least(f"evaluation.{key}", getattr(self, key), 1)
        _at_least("evaluation.limit", self.limit, 2)
        for key in ("samples", "temperature"):
            _at_least(f"evaluation.{key}", getattr(self, key), 0)


@dataclass
class TaskConfig:
    """Which task of the Long Range Arena.

    Attributes:
        task: as :func:`tnnlab.data.lra.load_task` names it.
        options: of the task's loader, by name: ``{source: generated, samples: 1000}``.
        length: what sequences are padded to; null for images, and for batches that are as long as
            their longest sample.
    """

    task: str = "listops"
    options: dict[str, Any] = field(default_factory=dict)
    length: int | None = None

    def __post_init__(self) -> None:
        _one_of("data.task", self.task, TASK_NAMES)
        _at_least("data.length", self.length, 1)


@dataclass
class TaskEvaluationConfig:
    """What is looked at while a classifier is being trained.

    Attributes:
        every: updates between two evaluations (also before the first and after the last one).
        limit: first samples of the validation and test splits to evaluate, up to a whole batch;
            null: all of them.
        batch_size: samples per forward pass, per device.
        test: whether to evaluate the test split too, once, at the end.
    """

    every: int = 1000
    limit: int | None = None
    batch_size: int = 64
    test: bool = True

    def __post_init__(self) -> None:
        for key in ("every", "limit", "batch_size"):
            _at_least(f"evaluation.{key}", getattr(self, key), 1)


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
        _at_least("seed", self.seed, 0)
        self._check_parts()

    def _check_parts(self) -> None:
        """Refuse what does not go together."""
        _check(
            not self.evaluation.baseline or self.data.tokenizer == "bytes",
            "evaluation.baseline counts pairs of bytes: it needs data.tokenizer 'bytes', "
            f"not {self.data.tokenizer!r}",
        )
        longest, table = max((0, *self.evaluation.lengths)), self.model.learned_positions
        _check(
            not table or longest <= table,
            f"evaluation.lengths has {longest}, and model.learned_positions has {table} places",
        )
        _check(
            self.model.norm != "batch",
            "model.norm is 'batch', whose statistics show a causal model the future: "
            "take 'rms' or 'layer'",
        )

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


@dataclass
class ClassifierRun(RunConfig):
    """A run of a classifier of sequences, or of pairs of them.

    Attributes:
        model: the network.
        data: the task.
        evaluation: the looks at it.
    """

    model: ClassifierConfig = field(default_factory=lambda: ClassifierConfig(16, classes=10))
    data: TaskConfig = field(default_factory=TaskConfig)  # pyright: ignore
    evaluation: TaskEvaluationConfig = field(default_factory=TaskEvaluationConfig)  # pyright: ignore
    kind: str = field(default="classifier", init=False)

    def _check_parts(self) -> None:
        _check(
            not (self.model.causal and self.model.norm == "batch"),
            "model.norm is 'batch', whose statistics show a causal model the future: "
            "take 'rms' or 'layer'",
        )


@dataclass
class ImageRun(ClassifierRun):
    """A run of a classifier of images."""

    model: ImageConfig = field(default_factory=lambda: ImageConfig(classes=10))
    data: TaskConfig = field(default_factory=lambda: TaskConfig("image"))  # pyright: ignore
    kind: str = field(default="image", init=False)


#: Kinds of runs, as the first key of a recipe names them.
KINDS: dict[str, type[RunConfig]] = {
    "language": RunConfig,
    "classifier": ClassifierRun,
    "image": ImageRun,
}


def run_class(kind: str) -> type[RunConfig]:
    """The configuration of a kind of run; ConfigError where there is none."""
    _one_of("kind", str(kind), tuple(KINDS))
    return KINDS[kind]


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
