"""What all tests share: the hypothesis profiles, and how a test asks for a library that may be missing."""

import importlib
import os
import shutil
from collections.abc import Callable
from types import ModuleType

# Before NumPy is loaded, and for the processes that tests start: the products here are small, and several BLAS threads
# that share two cores with anything else wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2000)  # pytest --hypothesis-profile=long
hypothesis.settings.load_profile("ci")


@pytest.fixture
def require() -> Callable[[str], ModuleType]:
    """`require("mypy")` is a module; where it is missing, the test is skipped, and in the gate (CI set) it fails."""

    def module_or_skip(name: str) -> ModuleType:
        if os.environ.get("CI"):
            try:
                return importlib.import_module(name)
            except ImportError as error:
                pytest.fail(f"{name} is missing, and the gate skips nothing: {error}", pytrace=False)
        return pytest.importorskip(name)

    return module_or_skip


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip


MOST = 240_000  # milliseconds that a condition is waited for: no test may fail since a machine is slow


@pytest.fixture(scope="module")
def chromium():
    """A Chromium without a window. Where it or playwright is missing: skipped here, failed in the gate (CI set)."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is missing: pip install playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("no chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """`opened(path)` is a page; by the end it must have asked for nothing and complained of nothing.

    after: what follows the path in the address. A page may load what it made itself, a blob. Nothing moves by itself.
    """
    contexts, faults = [], []

    def open_page(path, width=1280, dark=False, after="", language="en"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", locale=language,
            reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(MOST)
        contexts.append(context)
        page = context.new_page()
        url = path.as_uri() + after
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if is_foreign(request.url, path) else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def is_foreign(url, path):
    return url.partition("#")[0] != path.as_uri() and not url.startswith("blob:")
