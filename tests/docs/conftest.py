"""Builds the site once, quickly, in a copy of the sources: the checkout stays as it is."""

import os
import shutil
from pathlib import Path

import pytest
from building import sphinx

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("docs", "tutorials", "minires", "benchmarks", "tests/learn")


@pytest.fixture(scope="session")
def copied(tmp_path_factory):
    """A copy of what the site is made from."""
    folder = tmp_path_factory.mktemp("repository")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "sg_*"))
    shutil.rmtree(folder / "docs" / "chapters", ignore_errors=True)  # what another build made
    for path in ROOT.glob("*.md"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def site(copied):
    """The folder of the built site, in both languages."""
    for module in ("sphinx", "sphinx_gallery", "furo", "myst_parser"):
        if not os.environ.get("CI"):
            pytest.importorskip(module)
    sphinx(copied, "-b", "html", "docs", "site")
    sphinx(copied, "-b", "html", "-D", "language=zh_CN", "docs", "site/zh")
    return copied / "site"
