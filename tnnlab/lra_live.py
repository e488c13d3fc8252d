"""What the pages on the Long Range Arena do with a small model: train it on samples that are made
there, ask it about each of them, hold it against a bag of words, and look at its kernels."""

import re
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab import plots
from tnnlab.data.lra import SampleBatches, Split, evaluation_batches
from tnnlab.operators import Separable2D
from tnnlab.training.evaluation import evaluating
from tnnlab.training.optimisation import TrainingConfig
from tnnlab.training.schedules import set_learning_rate
from tnnlab.training.setup import make_optimizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh


def fit(
    model: Any, split: Split, training: TrainingConfig, *, seed: int = 0, length: int | None = None
) -> list[float]:
    """Train a classifier on samples that no recipe knows of: the same updates as those of
    :func:`tnnlab.training.train`, with neither files nor evaluations.

    Args:
        model: takes ``model(*batch.inputs)``; left in evaluation mode.
        split: the samples.
        training: of a recipe; precision, accumulation, checkpoints and the like do not apply.
            Threads do, and stay as they are set.
        seed: of the order of the samples.
        length: what sequences are padded to; None: the longest of their batch.

    Returns:
        the loss of each update, in nats.

    >>> from tnnlab.data.lra import load_task
    >>> from tnnlab.models import ClassifierConfig, SequenceClassifier
    >>> _ = torch.manual_seed(0)
    >>> task = load_task("listops", source="generated", samples=100, lengths=(10, 50))
    >>> shape = ClassifierConfig(16, depth=1, width=16, glu_width=16, rpe_width=8, classes=10)
    >>> settings = TrainingConfig(steps=20, batch_size=16, warmup=0, learning_rate=1e-2)
    >>> losses = fit(SequenceClassifier(shape), task.train, settings)
    >>> len(losses), losses[-1] < losses[0]
    (20, True)
    """
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    device = next(model.parameters()).device
    optimizer = make_optimizer(training, model, device)
    batches = SampleBatches(split, batch_size=training.batch_size, seed=seed, length=length)
    losses = []
    model.train()
    for step in range(training.steps):
        set_learning_rate(optimizer, step, training)
        batch = batches.batch(step)
        scores = model(*(tensor.to(device) for tensor in batch.inputs))
        loss = F.cross_entropy(scores, batch.labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), training.clip or float("inf"))
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses


def scores(
    model: nn.Module, split: Split, *, batch_size: int = 64, length: int | None = None
) -> Tensor:
    """What a classifier thinks of every sample: ``(samples, classes)``, on the CPU.

    >>> from tnnlab.data.lra import load_task
    >>> from tnnlab.models import ClassifierConfig, SequenceClassifier
    >>> task = load_task("listops", source="generated", samples=100, lengths=(10, 50))
    >>> shape = ClassifierConfig(16, depth=1, width=16, glu_width=16, rpe_width=8, classes=10)
    >>> scores(SequenceClassifier(shape), task.train).shape
    torch.Size([96, 10])
    """
    device = next(model.parameters()).device
    batches = evaluation_batches(split, batch_size=batch_size, length=length)
    with evaluating(model):
        found = [model(*(tensor.to(device) for tensor in b.inputs)).cpu() for b in batches]
    return torch.cat(found)


PLACES = 4093  # of a bag; a prime


def bag(rows: Iterable[np.ndarray], kind: str) -> Tensor:
    """How often each part of a text comes, whatever the order: ``(rows, 4093)``, float32.

    A part has its place by its hash, so that here and there two share one.

    Args:
        rows: texts as bytes with an end token, which is left out.
        kind: of the parts: ``"bytes"``, ``"runs of three"`` (bytes), ``"words"`` (of letters).

    Raises:
        ValueError: another kind.

    >>> from tnnlab.data.lra.ragged import byte_rows
    >>> rows = byte_rows([b"not bad, rather good", b"not good, rather bad"], end=256)
    >>> {kind: bool((bag(rows, kind)[0] == bag(rows, kind)[1]).all()) for kind in KINDS}
    {'bytes': True, 'runs of three': False, 'words': True}
    """
    if kind not in KINDS:
        raise ValueError(f"a bag is of {', '.join(KINDS)}; got {kind!r}")
    counts = [np.bincount(KINDS[kind](row[:-1]) % PLACES, minlength=PLACES) for row in rows]
    return torch.from_numpy(np.array(counts, np.float32).reshape(-1, PLACES))


def _bytes(text: np.ndarray) -> np.ndarray:
    return text.astype(np.int64)


def _runs(text: np.ndarray) -> np.ndarray:
    return _bytes(text[:-2]) * 65536 + _bytes(text[1:-1]) * 256 + _bytes(text[2:])


def _words(text: np.ndarray) -> np.ndarray:
    words = re.findall(rb"[A-Za-z]+", text.astype(np.uint8).tobytes())
    return np.array([zlib.crc32(word) for word in words], np.int64)


KINDS = {"bytes": _bytes, "runs of three": _runs, "words": _words}


def kernels(model: Any, n: int) -> dict[str, Tensor]:
    """The kernels of all blocks at length n, by name, on the CPU: ``(channels, 2n - 1)`` each. An
    operator of two axes has one along the width and one along the height.

    >>> from tnnlab.models import ImageClassifier, ImageConfig
    >>> model = ImageClassifier(ImageConfig(depth=1, width=4, expansion=1, glu_width=4))
    >>> {name: tuple(kernel.shape) for name, kernel in kernels(model, 8).items()}
    {'block 1, width': (4, 15), 'block 1, height': (4, 15)}
    """
    operators = {}
    for number, block in enumerate(model.blocks, 1):
        operator, name = block.gtu.operator, f"block {number}"
        if isinstance(operator, Separable2D):
            operators[f"{name}, width"] = operator.along_width
            operators[f"{name}, height"] = operator.along_height
        else:
            operators[name] = operator
    with torch.no_grad():
        return {name: operator.kernel(n).cpu() for name, operator in operators.items()}


def mean_lag(kernel: Tensor) -> Tensor:
    """How far a bidirectional kernel looks in each channel: the mean of its lags, their sign aside,
    weighted by the squared taps: ``(channels, 2n - 1)`` to ``(channels,)``.

    >>> mean_lag(torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]]))
    tensor([1., 0.])
    """
    n = (kernel.shape[1] + 1) // 2
    energy = kernel.square()
    return energy @ torch.arange(1 - n, n).abs().to(kernel.dtype) / energy.sum(1)


def plot_taps(axes: "Axes", kernel: Tensor, reach: int) -> "QuadMesh":
    """A bidirectional kernel ``(channels, 2n - 1)`` as an image, up to lag ``reach`` on both sides.

    A row is a channel, scaled to a largest tap of 1 and turned to make that tap positive; channels
    that look farthest (:func:`mean_lag`) are on top.

    Raises:
        ValueError: ``reach`` is n or more.

    >>> from matplotlib.figure import Figure
    >>> mesh = plot_taps(Figure().subplots(), torch.tensor([[2.0, 0.0, 0.0], [-1.0, -4.0, 2.0]]), 1)
    >>> mesh.get_array().tolist()  # from below
    [[0.25, 1.0, -0.5], [1.0, 0.0, 0.0]]
    """
    n = (kernel.shape[1] + 1) // 2
    if not 0 <= reach < n:
        raise ValueError(f"a kernel of length {n} has lags up to {n - 1}; got reach = {reach}")
    taps = kernel[mean_lag(kernel).argsort()]
    largest = taps.gather(1, taps.abs().argmax(1, keepdim=True))
    shown = (taps / largest.where(largest != 0, 1))[:, n - 1 - reach : n + reach].numpy()
    edges = np.arange(-reach, reach + 2) - 0.5, np.arange(len(shown) + 1)
    mesh = axes.pcolormesh(*edges, shown, cmap=plots.diverging(), vmin=-1, vmax=1, rasterized=True)
    axes.set(xlabel="lag", yticks=[])
    axes.grid(False)
    return mesh
