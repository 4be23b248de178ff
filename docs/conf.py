"""How the documentation site is built: `make docs` writes it to build/docs.

Nothing is fetched, neither by the build nor by the pages: MathJax is a file of the site.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING

import hybridonn

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "hybridonn"
author = "The hybridonn developers"
release = version = hybridonn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates", "gallery"]
root_doc = "index"
nitpicky = False  # types of torch and numpy have no page here

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# The examples of the gallery are programs: one that fails, fails the build.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "gallery_built",
    "filename_pattern": r"\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "write_computation_times": False,  # its page would load a table from another host
    "show_memory": False,
    "capture_repr": (),  # what is printed is shown, not what the last line of a block returns
    "download_all_examples": False,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
}
# Examples call the command line, which lies beside the interpreter.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
warnings.filterwarnings("ignore", message=".*non-interactive.*")

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
default_role = "code"  # of docstrings: `name`
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

mathjax_path = "tex-svg.js"
html_theme = "pydata_sphinx_theme"
html_title = "hybridonn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "hybridonn"},
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "pygments_light_style": "a11y-light",
    "pygments_dark_style": "a11y-dark",
}
project_copyright = "the hybridonn developers; MIT licence"

# `make linkcheck` asks other hosts; links within the site are held by tests/test_documentation.py.
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost)"]
linkcheck_timeout = 20
linkcheck_retries = 2

# Links of the pages to files of the repository, and the pages of the site that show these files.
ELSEWHERE = {"](../CONTRIBUTING.md": "](contributing.md", "](../CHANGELOG.md": "](changelog.md"}


def turn_links(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Lead links that leave the folder of the documentation to the page of the site."""
    for file, page in ELSEWHERE.items():
        source[0] = source[0].replace(file, page)


def keep_colons(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading "Kernels that fit: two sites each." as a type and a text."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment: napoleon looks at the first line alone


def shorten_signature(
    _app: Sphinx,
    _what: str,
    _name: str,
    _object: object,
    _options: object,
    signature: str,
    gives: str,
) -> tuple[str, str] | None:
    """Leave out a signature that is a page long: a spec's has every default."""
    return ("(...)", gives) if len(signature or "") > 1000 else None


def find_mathjax() -> Path:
    """The one file of MathJax that the pages load, of the package that carries it."""
    carried = files("sphinx-mathjax-offline") or ()
    return next(Path(str(file.locate())) for file in carried if file.name == mathjax_path)


def setup(app: Sphinx) -> None:
    """Prepare what Sphinx builds with."""
    app.connect("source-read", turn_links)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", shorten_signature)
    app.config.html_static_path.append(str(find_mathjax()))
