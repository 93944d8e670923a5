"""How Sphinx builds the guide: `make docs` writes it to site/."""

from pathlib import Path

from edgekws import __version__

project = "edgekws"
author = "the edgekws authors"
version = release = __version__

extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["pages"]
nitpicky = True

myst_heading_anchors = 3
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "edgekws"
html_static_path = ["_static"]
ready_pages = Path(__file__).parents[1] / "build" / "pages"
"""Web pages of bundles, which `make docs` exports where the bundles are there."""
if ready_pages.is_dir():
    html_extra_path = [str(ready_pages)]
    tags.add("ready_page")  # noqa: F821
html_css_files = ["tables.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_use_index = False
