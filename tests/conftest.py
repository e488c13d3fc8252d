"""Settings for all tests."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# How long an example takes says something about the machine only.
settings.register_profile("tnnlab", settings.default, deadline=None)
settings.load_profile("tnnlab")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tokens are cached for the session, never in the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TNNLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
