"""Sphinx extension of the book: everything served from here, a header on each notebook page, no
barriers for those who listen to it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import vendor
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.transforms.post_transforms import SphinxPostTransform

HOST_SCRIPT = "explorer_host.js"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

# What screen readers stumble over in the HTML that others write, and what it becomes.
BARRIERS = [
    # docutils: a list whose entries are no list items is skipped.
    (r'role="doc-biblioentry"', 'role="listitem"'),
    # MyST-NB and the theme: a name that is not the text on a button.
    (r'(<summary) aria-label="Toggle hidden content"', r"\1"),
    (r'(<button class="[^"]*\bsearch-button-field\b[^>]*?) aria-label="[^"]*"', r"\1"),
    # The theme: names of the three icons, of which one is seen, within the named switch.
    (r'(<i class="theme-switch [^>]*?) title="[^"]*"', r"\1"),
    # The theme: a sidebar outside of every landmark.
    (r'(<div id="pst-primary-sidebar")', r'\1 role="navigation" aria-label="Book"'),
    # Sphinx: a table that only sets an index in columns.
    (r'(<table class="indextable modindextable")', r'\1 role="presentation"'),
]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", serve_mathjax)
    app.connect("config-inited", mend_pages)
    app.connect("html-page-context", add_header, priority=700)
    app.connect("html-page-context", keep_local_scripts, priority=900)
    app.add_post_transform(StaticExplorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def serve_mathjax(app: Sphinx, config: Any) -> None:
    """Fetch MathJax beside the build once, and copy it into `_static/mathjax`."""
    place = vendor.fetch(vendor.MATHJAX, Path(app.outdir).parent / "vendor")
    app.connect("build-finished", lambda app, error: _copy_mathjax(app, place, error))


def _copy_mathjax(app: Sphinx, place: Path, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        shutil.copytree(place, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))


def keep_local_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Drop thebe and whatever else comes from another host; add the explorers' host where used."""

    if WIDGET_VIEW in (context.get("body") or ""):
        app.add_js_file(HOST_SCRIPT, loading_method="defer")

    def is_ours(script: Any) -> bool:
        if script.attributes.get("type") == WIDGET_STATE:  # weights in it may spell anything
            return True
        text = f"{script.filename} {script.attributes.get('body')}".lower()
        return "thebe" not in text and "://" not in str(script.filename)

    context["script_files"] = [s for s in context["script_files"] if is_ours(s)]


def add_header(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Under the title: how long the cells took and on what, Colab, download."""
    if doctree is None or "kernelspec" not in app.env.metadata.get(page, {}):
        return
    facts = []
    data = getattr(app.env, "nb_metadata", {}).get(page, {}).get("exec_data")
    if data and data.get("runtime") is not None:
        facts.append(f"Runs in {_duration(data['runtime'])} on {escape(hardware())}")
    facts.append(f'<a href="{escape(_colab(app, page))}">Open in Colab</a>')
    name = f"{page.rsplit('/', 1)[-1]}.ipynb"
    link = context["pathto"](f"notebooks/{_write_notebook(app, page)}", resource=True)
    facts.append(f'<a href="{escape(link)}" download="{escape(name)}">Download notebook</a>')
    header = f'<p class="page-facts">{"".join(f"<span>{fact}</span>" for fact in facts)}</p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{header}", 1)


def mend_pages(app: Sphinx, config: Any) -> None:
    """Render pages without the barriers that axe and Lighthouse find in them."""
    config.template_bridge = f"{__name__}.Mended"


class Mended(BuiltinTemplateLoader):
    """Sphinx's own templates; what they render is then mended."""

    def render(self, template: str, context: dict[str, Any]) -> str:
        return mend(super().render(template, context))


def mend(html: str) -> str:
    """The page without its `BARRIERS`."""
    for found, better in BARRIERS:
        html = re.sub(found, better, html)
    return html


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def hardware() -> str:
    """What this build ran on, e.g. "2 CPU cores, PyTorch 2.13.0"."""
    if not hasattr(hardware, "text"):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        parts = [_gpu(), f"{cores} CPU cores ({platform.machine()})"]
        parts.append(f"PyTorch {version('torch').partition('+')[0]}")
        hardware.text = ", ".join(part for part in parts if part)
    return hardware.text


def _gpu() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def _colab(app: Sphinx, page: str) -> str:
    options = app.config.html_theme_options
    repository = options["repository_url"].removeprefix("https://github.com/").strip("/")
    path = f"{options['path_to_docs'].strip('/')}/{page}.ipynb"
    branch = options["repository_branch"]
    return f"https://colab.research.google.com/github/{repository}/blob/{branch}/{path}"


def _write_notebook(app: Sphinx, page: str) -> str:
    """Put the page's .ipynb, without outputs, where it can be downloaded; returns its path."""
    source = Path(app.env.doc2path(page))
    target = Path(app.outdir) / "notebooks" / f"{page}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.with_suffix(".ipynb").is_file():
        shutil.copyfile(source.with_suffix(".ipynb"), target)
    else:
        import jupytext

        jupytext.write(jupytext.read(source), target)
    return f"{page}.ipynb"


class StaticExplorer(SphinxPostTransform):
    """Keep an explorer's static figure for readers without JavaScript, inside <noscript>."""

    default_priority = 3  # before myst-nb selects one form of each output
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for bundle in list(self.document.findall(nodes.container)):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            forms = {
                form.get("mime_type"): form for form in cast(list[nodes.Element], bundle.children)
            }
            if WIDGET_VIEW in forms and "image/svg+xml" in forms:
                for image in forms["image/svg+xml"].findall(nodes.image):
                    image["alt"] = "The explorer at its first position"
                forms[WIDGET_VIEW] += nodes.raw("", "<noscript>", format="html")
                forms[WIDGET_VIEW] += forms["image/svg+xml"].children
                forms[WIDGET_VIEW] += nodes.raw("", "</noscript>", format="html")
