"""Training, from top to bottom."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tnnlab.results import RUN, write_record
from tnnlab.training.checkpoints import write_json
from tnnlab.training.config import RunConfig
from tnnlab.training.devices import share_buffers
from tnnlab.training.errors import Interrupted, NonFiniteLoss
from tnnlab.training.record import make_record
from tnnlab.training.schedules import learning_rate, set_learning_rate
from tnnlab.training.setup import Run, prepare
from tnnlab.training.signals import StopRequest


def train(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    command: str | None = None,
    progress_bar: bool | None = None,
) -> dict[str, Any]:
    """Train a model, and leave all that came of it in one folder.

    ``out`` holds ``metrics.jsonl``, ``tensorboard/`` and ``checkpoints/`` while it runs, and in the
    end ``model/`` (weights, configuration, tokenizer) and ``result.json`` (the result record).

    Args:
        config: the run. With the same text, seed, torch and number of threads a CPU gives the
            same losses bit for bit, whether or not the run was killed and resumed on the way.
        out: the run's folder; new or empty, unless ``resume``.
        resume: go on from the newest complete checkpoint in ``out``; from the start if it has none.
        command: the shell command that repeats this, for the record; None: the Python call.
        progress_bar: None shows one on a terminal only.

    Returns:
        the result record, as in ``result.json``.

    Raises:
        ConfigError: settings that cannot work, a folder in use, another run's checkpoint.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
        NonFiniteLoss: the loss or the gradient is not finite; the last checkpoint is kept.
        CheckpointError: a checkpoint could not be written or read.
    """
    run = prepare(config, Path(out), resume=resume, progress_bar=progress_bar)
    try:
        with StopRequest() as stop:
            fit(run, stop, command)
        if config.evaluation.test:
            measure(run, "test")
        with torch.compiler.set_stance("force_eager"):
            for kind, found in run.objective.at_the_end(run.network):
                run.metrics.log(kind, run.at.step, **found, elapsed_s=run.elapsed_s())
        return finish(run, command, "complete")
    except NonFiniteLoss as error:
        finish(run, command, f"stopped: {error}")
        kept = run.checkpoints.newest()
        raise NonFiniteLoss(
            f"{error}. Nothing of it was saved; "
            + (f"the last good checkpoint is {kept}. " if kept else "there is no checkpoint yet. ")
            + "Start again in another folder with a lower training.learning_rate, a longer "
            "training.warmup, a smaller training.clip, or training.precision fp32."
        ) from error
    finally:
        run.metrics.close()


def fit(run: Run, stop: StopRequest, command: str | None) -> None:
    """The loop: updates, and what happens between them."""
    training, evaluation = run.config.training, run.config.evaluation
    if run.at.step == 0:
        baseline(run)
        look(run)
    mark = time.perf_counter()
    while run.at.step < training.steps:
        update(run)

        done = run.at.step == training.steps
        reports = done or run.at.step % training.log_every == 0
        looks = done or run.at.step % evaluation.every == 0
        saves = done or run.at.step % training.checkpoint_every == 0
        stops = stop.agreed(run.accelerator, at_boundary=reports or saves)
        if not (reports or looks or saves or stops):
            continue  # and the device need not be waited for

        run.window.refuse_non_finite(run.accelerator, run.at.step, training)
        run.at.training_s += time.perf_counter() - mark
        if reports:
            report(run)
        loss = look(run) if looks else None
        if saves or stops:
            save(run, loss)
        if stops and not done:
            raise Interrupted(
                f"stopped after step {run.at.step} of {training.steps}, which is saved. Go on with"
                + (f":\n  {command} --out {run.out} --resume" if command else " resume=True.")
            )
        mark = time.perf_counter()


def update(run: Run) -> None:
    """One step of the optimiser, on ``accumulate`` micro-batches; the device is not waited for."""
    accelerator, training = run.accelerator, run.config.training
    set_learning_rate(run.optimizer, run.at.step, training)
    loss = norm = torch.zeros((), device=accelerator.device)
    for micro in range(training.accumulate):
        batch = run.objective.batch(run.at.step * training.accumulate + micro)
        batch = tuple(to_device(tensor, accelerator.device) for tensor in batch)
        with accelerator.accumulate(run.model):
            micro_loss = run.objective.loss(run.model, batch)
            accelerator.backward(micro_loss)
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(
                    run.model.parameters(), training.clip or float("inf")
                )
            run.optimizer.step()
            run.optimizer.zero_grad()
        loss = loss + micro_loss.detach() / training.accumulate
    run.window.add(loss, norm)
    run.at.step += 1
    run.at.tokens += run.objective.positions
    run.metrics.bar.update()


def report(run: Run) -> None:
    """One line of training metrics: the mean of all updates since the last one."""
    values = run.window.report()
    speed = run.metrics.speed(run.at.tokens, run.at.training_s)
    run.metrics.log(
        "train",
        run.at.step,
        **values,
        learning_rate=learning_rate(run.at.step - 1, run.config.training),
        tokens=run.at.tokens,
        tokens_per_s=speed,
        elapsed_s=run.elapsed_s(),
    )
    run.metrics.bar.set_postfix(loss=f"{values['loss']:.3f}", tokens_per_s=f"{speed:,.0f}")


def look(run: Run) -> float:
    """Evaluate on the validation split and draw texts; returns the criterion."""
    found = measure(run, "validation")
    if run.accelerator.is_main_process:
        for number, text in enumerate(run.objective.samples(run.network)):
            run.metrics.log("sample", run.at.step, number=number, text=text)
    run.accelerator.wait_for_everyone()
    return found[run.objective.criterion]


def measure(run: Run, split: str) -> dict[str, float]:
    """Evaluate on one split, and report it."""
    share_buffers(run.network, run.accelerator)
    # A last batch has another shape than the rest: it would be compiled anew.
    with torch.compiler.set_stance("force_eager"):
        found = run.objective.measure(run.network, split)
    run.metrics.log(split, run.at.step, **found, elapsed_s=run.elapsed_s())
    run.metrics.say(f"step {run.at.step:>6}  {split} {run.objective.summary(found)}")
    return found


def baseline(run: Run) -> None:
    """What a model that needs no training does on the same data."""
    found = run.objective.baseline() if run.accelerator.is_main_process else None
    if found is not None:
        run.metrics.log("baseline", 0, **found)
        values = ", ".join(f"{k} {v:.4f}" for k, v in found.items() if isinstance(v, float))
        run.metrics.say(f"{found['model']}  validation {values}")


def save(run: Run, loss: float | None) -> None:
    """Write a checkpoint; ``loss`` is the criterion at this very step, where it is known."""
    at = run.at
    at.window = run.window.settled
    at.elapsed_s, run.began = run.elapsed_s(), time.perf_counter()
    criterion = run.objective.criterion
    if loss is not None and (at.best is None or loss < at.best[criterion]):
        at.best = {"step": at.step, criterion: loss}

    def write(folder: Path) -> None:
        run.objective.save(run.network, folder / "model")
        run.metrics.copy(folder)
        write_json(folder / "config.json", run.config.to_dict())

    run.checkpoints.save(run.accelerator, at, write)
    if run.accelerator.is_main_process:
        run.checkpoints.prune(run.config.training.keep, at.best)


def finish(run: Run, command: str | None, status: str) -> dict[str, Any]:
    """Write the result record, and the model where the run is complete."""
    record = make_record(run, command, status)
    if run.accelerator.is_main_process:
        if status == "complete":
            run.objective.save(run.network, run.out / "model")
        write_record(run.out / RUN, record)
    run.accelerator.wait_for_everyone()
    return record


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Without waiting for the copy, where the device can do that."""
    if device.type == "cuda" and not tensor.is_cuda:
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
