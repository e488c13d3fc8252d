"""A run small enough to be trained in a second."""

from pathlib import Path

import pytest

from tnnlab.models import TNNConfig
from tnnlab.training import DataConfig, EvaluationConfig, RunConfig, TrainingConfig


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few thousand bytes in three splits."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(f"Line {i}: {i * i} is {i} times {i}." for i in range(400)))
    return path


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TNNLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def tiny(text_file: Path) -> RunConfig:
    return RunConfig(
        name="tiny",
        model=TNNConfig(
            vocab_size=257,
            depth=1,
            width=16,
            expansion=1,
            glu_width=16,
            rpe_width=8,
            rpe_depth=1,
            dropout=0.1,
        ),
        data=DataConfig(corpus="text", path=str(text_file), length=32),
        training=TrainingConfig(
            steps=12, batch_size=4, warmup=3, learning_rate=3e-3, log_every=1, checkpoint_every=4
        ),
        evaluation=EvaluationConfig(every=6, limit=500, samples=1, sample_tokens=4, prompt="Line"),
    )
