"""Sphinx configuration."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "csms"
author = "the csms authors"
copyright = "the csms authors"
release = version = installed_version("csms")

extensions = ["tables"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_static_path = ["images"]
html_theme_options = {
    "description": "An open charging station management system",
    "fixed_sidebar": True,
    "page_width": "1180px",
    "body_max_width": "none",
}
nitpicky = True
