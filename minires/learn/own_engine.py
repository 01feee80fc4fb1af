"""The reader's own engine, file by file: `package/` holds it whole, and here it is cut into what a chapter hands out.

A file begins with its docstring and imports, and goes on in sections, one for each chapter: `# Chapter 7: …` over a
line of dashes. What a reader writes stands between two comments:

    # gap: what is to be done there
    …
    # end of gap

`minires learn 7` adds the sections of chapter 7 to the reader's files, `...  # your turn: what is to be done there` in
place of each gap. Nothing that the reader has written is changed: files only grow.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from minires.data.digits import PATH as DIGITS

PACKAGE = Path(__file__).with_name("package")
FILES = (
    "tensor.py", "points.py", "gradcheck.py", "layers.py", "optim.py", "train.py", "conv.py", "norm.py", "init.py",
    "residual.py", "resnet.py",
)  # fmt: skip
SECTION = re.compile(r"^# Chapter (\d+): .*\n# -+\n", re.MULTILINE)
GAP = re.compile(r"^( *)# gap: (.*)\n(?:.*\n)*?\1# end of gap\n", re.MULTILINE)
YOUR_TURN = "...  # your turn: "


@dataclass(frozen=True)
class Section:
    """What one chapter puts into one file. text: as it is in the package, its gaps filled and marked."""

    file: str
    chapter: int
    text: str
    head: str  #: of the file: its docstring and imports

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0]


def sections(chapter: int | None = None) -> list[Section]:
    """List the sections of a chapter, or all, in the order of the chapters."""
    found = []
    for file in FILES:
        text = (PACKAGE / file).read_text(encoding="utf-8")
        starts = [match.start() for match in SECTION.finditer(text)]
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            number = int(text[start:].split()[2].rstrip(":"))
            found.append(Section(file, number, text[start:end].rstrip("\n") + "\n", text[: starts[0]]))
    found.sort(key=lambda section: section.chapter)
    return [section for section in found if chapter in (None, section.chapter)]


def with_gaps(text: str) -> str:
    return GAP.sub(rf"\1{YOUR_TURN}\2\n", text)


def solved(text: str) -> str:
    return re.sub(r"^ *# (?:gap: .*|end of gap)\n", "", text, flags=re.MULTILINE)


def gaps(text: str) -> list[str]:
    """List what each gap of a text asks for."""
    return [match[2] for match in GAP.finditer(text)]


def answers(text: str) -> list[tuple[str, str]]:
    """List what each gap of a text asks for, and the lines that fill it."""
    return [(match[2], solved(match[0])) for match in GAP.finditer(text)]


@dataclass(frozen=True)
class Written:
    """What `write_chapter` did. filled: sections of earlier chapters that were not there, and were put in whole."""

    added: list[Section]
    present: list[Section]
    filled: list[Section]


def write_chapter(chapter: int, folder: Path, whole: bool = False) -> Written:
    """Add a chapter's sections to the reader's files, with gaps, or `whole`.

    A section that is there already, finished or not, stays as it is. What earlier chapters would have put there, and is
    missing, is put in whole: one can begin at any chapter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = Written([], [], [])
    for section in sections():
        if section.chapter > chapter:
            continue
        if is_there(section, folder):
            if section.chapter == chapter:
                result.present.append(section)
            continue
        now = section.chapter == chapter
        append(section, folder, solved(section.text) if whole or not now else with_gaps(section.text))
        (result.added if now else result.filled).append(section)
    put_beside(folder)
    return result


def is_there(section: Section, folder: Path) -> bool:
    path = folder / section.file
    return path.exists() and section.title in path.read_text(encoding="utf-8").splitlines()


def append(section: Section, folder: Path, text: str) -> None:
    """Put a section at the end of its file, which is made if it is not there; the file is replaced in one step."""
    path = folder / section.file
    before = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n\n" if path.exists() else section.head
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(before + text, encoding="utf-8")
    beside.replace(path)


def put_beside(folder: Path) -> None:
    """Put what is no exercise beside the files: the package's docstring, and the digits."""
    for source, name in [(PACKAGE / "__init__.py", "__init__.py"), (DIGITS, "digits.npz")]:
        if not (folder / name).exists():
            shutil.copyfile(source, folder / name)


def open_gaps(folder: Path, before: int) -> list[tuple[str, int, str]]:
    """List the gaps that are still open in sections of chapters before one: file, chapter, what is to be done."""
    found = []
    for section in sections():
        if section.chapter >= before or not is_there(section, folder):
            continue
        text = (folder / section.file).read_text(encoding="utf-8")
        found += [(section.file, section.chapter, gap) for gap in gaps(section.text) if f"{YOUR_TURN}{gap}" in text]
    return found
