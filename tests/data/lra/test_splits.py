"""Batches are the samples, and fit the models as they are."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tnnlab.data.lra import Images, Pairs, Ragged, Sequences, Split, Task
from tnnlab.models import (
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    PairClassifier,
    SequenceClassifier,
)

TEXTS = [[5, 6, 7], [1], [2, 3, 4, 5, 9], [8, 8]]
SMALL = {"depth": 1, "width": 8, "expansion": 1, "glu_width": 8, "rpe_width": 8, "classes": 3}


def ragged(texts: list[list[int]] = TEXTS) -> Ragged:
    flat = np.array([token for text in texts for token in text], np.uint8)
    return Ragged.of_lengths(flat, np.array([len(text) for text in texts]))


def sequences() -> Sequences:
    return Sequences(ragged(), np.array([0, 1, 2, 1]), vocab_size=11, padding=10)


def pairs() -> Pairs:
    rows = ragged()
    first, second = rows.take([0, 0, 3]), rows.take([1, 2, 2])
    return Pairs(first, second, np.array([1, 0, 1]), vocab_size=11, padding=10)


def images() -> Images:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 6), np.uint8)
    return Images(pixels, np.array([0, 1, 2, 2, 0]), mean=0.25, std=0.5)


def task(split: Split) -> Task:
    return Task("listops", "some", "a source", "a licence", 3, split, split, split)


def test_rows_are_those_given() -> None:
    rows = ragged()
    assert [row.tolist() for row in rows] == TEXTS
    assert [row.tolist() for row in rows.take(slice(1, 3))] == TEXTS[1:3]
    assert [row.tolist() for row in rows.take([3, 0, 3])] == [TEXTS[3], TEXTS[0], TEXTS[3]]
    assert rows.take([2]).tokens is rows.tokens


@pytest.mark.parametrize("length", [None, 5, 8])
def test_sequences_are_filled_up_on_the_right(length: int | None) -> None:
    (tokens, mask), labels = sequences().collate(np.array([2, 0, 1]), length)
    assert tokens.dtype == labels.dtype == torch.int64 and mask.dtype == torch.bool
    assert tokens.shape == mask.shape == (3, length or 5)
    assert labels.tolist() == [2, 0, 1]
    for row, wanted in enumerate((2, 0, 1)):
        assert tokens[row, mask[row]].tolist() == TEXTS[wanted]
        assert mask[row].tolist() == sorted(mask[row].tolist(), reverse=True)
    assert (tokens[~mask] == 10).all()


def test_sequences_longer_than_asked_for_are_refused() -> None:
    with pytest.raises(ValueError, match="length is 4, and the batch has a sequence of 5"):
        sequences().collate(np.array([0, 2]), 4)
    with pytest.raises(ValueError, match="images are not padded"):
        images().collate(np.array([0]), 24)


def test_both_sequences_of_a_pair_stay_together() -> None:
    split = pairs()
    (first, second, first_mask, second_mask), labels = split.collate(np.array([2, 1]))
    assert [first[i, first_mask[i]].tolist() for i in (0, 1)] == [TEXTS[3], TEXTS[0]]
    assert [second[i, second_mask[i]].tolist() for i in (0, 1)] == [TEXTS[2], TEXTS[2]]
    assert labels.tolist() == [1, 0]
    assert split.lengths.tolist() == [[3, 1], [3, 5], [2, 5]]
    a, b, label = split[1]
    assert (a.tolist(), b.tolist(), label) == (TEXTS[0], TEXTS[2], 0)


def test_images_are_scaled() -> None:
    split = images()
    (pixels,), labels = split.collate(np.array([4, 1]))
    assert pixels.dtype == torch.float32 and labels.tolist() == [0, 1]
    expected = (split.pixels[[4, 1]].astype(float) / 255 - 0.25) / 0.5
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-6)


def test_images_can_be_read_pixel_by_pixel() -> None:
    split, sequence = images(), images().sequences()
    (tokens, mask), _ = sequence.collate(np.arange(5))
    assert tokens.tolist() == split.pixels.reshape(5, 24).tolist() and bool(mask.all())
    assert sequence.vocab_size == 256


@pytest.mark.parametrize(
    ("split", "model"),
    [
        (sequences(), SequenceClassifier(ClassifierConfig(vocab_size=11, **SMALL))),
        (pairs(), PairClassifier(ClassifierConfig(vocab_size=11, **SMALL))),
        (images(), ImageClassifier(ImageConfig(**SMALL))),
        (images().sequences(), SequenceClassifier(ClassifierConfig(vocab_size=256, **SMALL))),
    ],
    ids=["sequences", "pairs", "images", "pixels"],
)
def test_batches_fit_their_model(split: Split, model: torch.nn.Module) -> None:
    batch = split.collate(np.arange(len(split)))
    scores = model(*batch.inputs)
    assert scores.shape == (len(split), 3)
    torch.nn.functional.cross_entropy(scores, batch.labels).backward()


def test_a_task_says_what_it_is() -> None:
    record = task(sequences()).provenance()
    assert json.loads(json.dumps(record)) == record
    assert record["samples"] == {"train": 4, "validation": 4, "test": 4}
    assert record["samples_of_each_class"]["train"] == [1, 2, 1]
    assert task(sequences()).vocab_size == 11 and task(images()).vocab_size is None
    assert task(images()).as_sequences().vocab_size == 256
    with pytest.raises(ValueError, match=r"unknown split 'valid'.*did you mean 'validation'"):
        task(images()).split("valid")


def test_fingerprints_are_those_of_the_content() -> None:
    split = sequences()
    same = replace(split, rows=ragged([*TEXTS, [0]]).take(slice(4)))
    texts = replace(split, rows=ragged([[5, 6, 7], [1], [2, 3, 4, 5], [9, 8, 8]]))
    labels = replace(split, labels=np.array([0, 1, 2, 2]))
    prints = [task(s).fingerprint for s in (split, same, texts, labels, pairs(), images())]
    assert prints[0] == prints[1] and len(set(prints)) == 5
