"""How the weights are updated: one dataclass, which refuses what cannot work."""

from dataclasses import dataclass
from typing import Literal, get_args

from tnnlab.training.checks import at_least, between, check, one_of

Schedule = Literal["inverse-square-root", "cosine", "warmup-stable-decay"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


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
        compile: whether to run the model through ``torch.compile``; "reduce-overhead": in its mode
            of that name, which records CUDA graphs, for a small model that a CPU cannot start fast
            enough.
        threads: of a CPU run; null: as many as torch takes. A small model is fastest with one, and
            the last bits of a loss depend on it.
        log_every: updates between two lines of training metrics.
        checkpoint_every: updates between two checkpoints (a last one is written at the end).
        keep: newest checkpoints to keep; the best one stays as well.

    >>> from tnnlab.training import ConfigError
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
    compile: bool | Literal["reduce-overhead"] = False
    threads: int | None = None
    log_every: int = 10
    checkpoint_every: int = 200
    keep: int = 2

    def __post_init__(self) -> None:
        self.betas = (self.betas[0], self.betas[1])  # a list, where it was read from JSON
        one_of("training.schedule", self.schedule, get_args(Schedule))
        one_of("training.precision", self.precision, get_args(Precision))
        for key in ("steps", "batch_size", "accumulate", "log_every", "checkpoint_every", "keep"):
            at_least(f"training.{key}", getattr(self, key), 1)
        if self.threads is not None:
            at_least("training.threads", self.threads, 1)
        for key in ("warmup", "warmup_from", "cooldown", "weight_decay", "eps"):
            at_least(f"training.{key}", getattr(self, key), 0)
        for beta in self.betas:
            between("training.betas", beta, 0, 1)
        check(
            self.kernel_learning_rate is None or self.kernel_learning_rate > 0,
            f"training.kernel_learning_rate is {self.kernel_learning_rate}; it is above 0, or null",
        )
        check(
            self.learning_rate > 0 and (self.clip is None or self.clip > 0),
            f"training.learning_rate ({self.learning_rate}) and training.clip ({self.clip}) "
            "are above 0 (training.clip may be null: no clipping)",
        )
        check(
            self.batch_size % self.accumulate == 0,
            f"training.accumulate is {self.accumulate}, which does not divide "
            f"training.batch_size {self.batch_size}",
        )
        check(
            self.compile in (True, False, "reduce-overhead"),
            f"training.compile is true, false or 'reduce-overhead'; got {self.compile!r}",
        )
        check(
            self.compile != "reduce-overhead" or self.accumulate == 1,
            f"training.compile 'reduce-overhead' keeps gradients where its graph writes the next: "
            f"with training.accumulate {self.accumulate} take true",
        )
        check(
            self.warmup <= self.steps,
            f"training.warmup is {self.warmup}, longer than training.steps {self.steps}",
        )
        self._check_schedule()

    def _check_schedule(self) -> None:
        check(0 <= self.final_fraction <= 1, "training.final_fraction lies in [0, 1]")
        check(
            self.schedule != "inverse-square-root" or self.warmup > 0,
            "training.schedule 'inverse-square-root' needs training.warmup of at least 1: "
            "the learning rate is the peak times sqrt(warmup / step)",
        )
        stable_decay = self.schedule == "warmup-stable-decay"
        check(
            stable_decay == (self.cooldown > 0),
            f"training.cooldown is {self.cooldown} with training.schedule {self.schedule!r}: "
            "'warmup-stable-decay' needs it to be at least 1, the others have none (0)",
        )
        check(
            self.warmup + self.cooldown <= self.steps,
            f"training.warmup {self.warmup} and training.cooldown {self.cooldown} together are "
            f"longer than training.steps {self.steps}",
        )
