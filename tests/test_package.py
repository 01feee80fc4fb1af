"""What is handed out: the wheel's contents and size, what an index shows, the name, and the versions it asks for."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import minires

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_BYTES = 1.5 * 2**20


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the source archive."""
    place = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=500)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def wheel(require, request):
    require("hatchling")
    (path,) = request.getfixturevalue("built").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_is_small(wheel):
    assert Path(wheel.filename).stat().st_size <= MOST_BYTES


def test_the_wheel_holds_the_package_the_chapters_and_each_licence_once(wheel):
    names = wheel.namelist()
    chapters = [f"minires/tutorials/{path.name}" for path in (ROOT / "tutorials").glob("[0-9]*.py")]
    assert len(chapters) >= 20 and set(chapters) <= set(names)
    missing = [path for path in (ROOT / "minires").rglob("*.py") if path.relative_to(ROOT).as_posix() not in names]
    assert missing == []
    for text in ("LICENSE", "ATTRIBUTION.md"):
        assert len([name for name in names if name.endswith(text)]) == 1
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests")]


def test_the_recorded_trainings_are_those_of_the_checkout(wheel):
    recorded = ROOT / "benchmarks" / "results" / "training"
    table = json.loads(wheel.read("minires/tutorials/trainings/runs.json"))
    assert table == json.loads((recorded / "runs.json").read_text(encoding="utf-8"))
    for name in table:
        rows = wheel.read(f"minires/tutorials/trainings/{name}/metrics.jsonl")
        assert rows == (recorded / name / "metrics.jsonl").read_bytes()


def test_the_index_takes_it_and_shows_no_relative_link(wheel, require):
    require("twine")
    place = Path(wheel.filename).parent
    files = sorted(str(path) for path in place.iterdir())
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0 and done.stdout.count("PASSED") == len(files) == 2, done.stdout + done.stderr
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = wheel.read(name).decode()
    assert f"\nName: {PROJECT['name']}\n" in metadata and f"\nVersion: {minires.__version__}\n" in metadata
    assert not re.findall(r"\]\((?!https?:|#)", metadata)


@pytest.fixture
def on_the_index(require, monkeypatch):
    require("hatchling")
    monkeypatch.syspath_prepend(ROOT)
    from hatch_build import on_the_index

    return on_the_index


def test_a_home_makes_addresses_of_paths(on_the_index):
    home = "https://example.org/minires"
    shown = on_the_index("![A picture](docs/a.png) and [a page](docs/a.md), [there](https://b.c), [below](#d)", home)
    assert f"![A picture]({home}/raw/HEAD/docs/a.png)" in shown and f"[a page]({home}/blob/HEAD/docs/a.md)" in shown
    assert "[there](https://b.c), [below](#d)" in shown
    for path in re.findall(rf"\({home}/(?:raw|blob)/HEAD/([^)#]+)", on_the_index(README, home)):
        assert (ROOT / path).exists()


def test_without_a_home_words_stay(on_the_index):
    shown = on_the_index("![A picture](docs/a.png) and [a page](docs/a.md), [there](https://b.c)", "")
    assert shown == "*(A picture)* and a page, [there](https://b.c)"


def texts():
    """All texts of the project in which somebody could read how to install it."""
    folders = ("minires", "docs", "tutorials", "tests", "benchmarks", ".ci", ".github")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + [*ROOT.glob("*.*")]
    kinds = (".py", ".md", ".toml", ".po", ".yml", ".cff", ".html")
    return {path: path.read_text(encoding="utf-8") for path in files if path.suffix in kinds and path.is_file()}


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {minires.__version__}\n" in citation and f"\nlicense: {PROJECT['license']}\n" in citation


def test_the_first_task_is_still_to_do():
    from minires import ops

    task = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A first task\n\n`")[2]
    assert task and not hasattr(ops, task.partition("`")[0]), "it is done: CONTRIBUTING.md needs another first task"


def test_nobody_is_told_to_install_the_project_that_has_our_name():
    for path, text in texts().items():
        if path == Path(__file__):
            continue
        text = text.replace("`pip install minires`", "")  # which is warned of
        assert not re.findall(r"minires\\?\[[a-z0-9,-]+\\?\]|pip install (?:-\S+ )*'?minires\b(?!-)", text), path
    assert "Do not type `pip install minires`" in README and "version" not in PROJECT


def test_every_extra_that_is_named_exists():
    extras = PROJECT["optional-dependencies"]
    for path, text in texts().items():
        for named in re.findall(r"(?:minires-engine|\.)\[([a-z0-9,-]+)\]'", text):
            assert set(named.split(",")) <= set(extras), path


def test_the_readme_lists_all_but_numba():
    names = {re.match(r"[\w-]+", one)[0] for one in PROJECT["dependencies"]}
    (listed,) = re.findall(r"pip install --no-deps -e \. && pip install (.+)", README)
    assert set(listed.split()) == names - {"numba"}
