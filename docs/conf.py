"""Build the documentation: ``sphinx-build -W -b html docs docs/_build/html``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import figures  # noqa: E402
import plot  # noqa: E402

import fastconv  # noqa: E402

# Pictures that pages show: of convolution, and of what bench/ measured.
GENERATED = HERE / "_generated"
figures.draw(GENERATED)
plot.draw([HERE / "results.json"], GENERATED)

project = "fastconv"
author = "The fastconv developers"
copyright = "The fastconv developers, BSD-3-Clause"  # noqa: A001 - Sphinx's name
version = release = fastconv.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_generated", "gallery"]
templates_path = ["_templates"]
default_role = "py:obj"
pygments_style = "friendly"

myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections have them
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "ExampleTitleSortKey",
    "abort_on_example_error": True,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "image_srcset": ["2x"],
}

html_theme = "pydata_sphinx_theme"
html_title = "fastconv"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "fastconv"},
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 9,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Only the reference has pages enough for a list of them at the side.
html_sidebars = {"*": [], "examples/*": []}
