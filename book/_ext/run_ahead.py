"""Sphinx extension: run the pages that are new or changed a few at a time, before they are read.

Jupyter Book runs a page when it reads it, one after the other, and leaves all cores but one idle.
What is run here goes into the same cache, where the reader finds it. A page that fails is left
to the reader, who runs it once more and says where it failed.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

LOG = logging.getLogger(__name__)
AT_ONCE = max(2, min(4, os.cpu_count() or 2))  # each takes about a gigabyte of memory


def setup(app: Sphinx) -> dict[str, Any]:
    # After the reader's own handler of this event, which sets up its cache.
    app.connect("env-before-read-docs", run_ahead, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def run_ahead(app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
    """Run the notebooks among the documents that will be read, unless the cache has them."""
    settings: Any = env.mystnb_config  # type: ignore[attr-defined]
    if settings.execution_mode != "cache":
        return
    cache = get_cache(settings.execution_cache_path)

    def is_new(notebook: NotebookNode) -> bool:
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            return True
        return False

    read = {Path(env.doc2path(name)): _read(env, name) for name in names}
    wanted = {path: page for path, page in read.items() if page is not None and is_new(page)}
    if len(wanted) < 2:
        return
    LOG.info(f"running {len(wanted)} pages, {AT_ONCE} at a time")
    with ThreadPoolExecutor(AT_ONCE) as pool:  # the work is done in the kernels' processes
        running = {
            pool.submit(
                single_nb_execution,
                page,
                cwd=str(path.parent),
                allow_errors=False,
                timeout=settings.execution_timeout,
            ): path
            for path, page in wanted.items()
        }
        for future in as_completed(running):
            path, result = running[future], future.result()
            name = path.relative_to(env.srcdir)
            if result.err is not None:
                LOG.info(f"{name} failed")
                continue
            LOG.info(f"{name} took {result.time:.0f} s")
            data = {"execution_seconds": result.time}
            bundle = CacheBundleIn(result.nb, str(path), data=data)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _read(env: BuildEnvironment, name: str) -> NotebookNode | None:
    """The document as a notebook, if it is one."""
    path = env.doc2path(name)
    text = Path(path).read_text(encoding="utf-8")
    config: Any = env
    reader = create_nb_reader(path, config.myst_config, config.mystnb_config, text)
    return None if reader is None else reader.read(text)
