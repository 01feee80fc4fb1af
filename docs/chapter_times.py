"""How long each chapter takes to read and to run: measures, and writes both into the chapter's head.

    python docs/chapter_times.py            all chapters, one after the other, on a machine that does nothing else
    python docs/chapter_times.py 7 8        these

Reading goes by the words and the lines of code; running is measured, from the shell, figures not shown. Both are
rounded; `tests/tutorials/test_chapter_times.py` holds the heads to `docs/chapter_times.json`.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMES = ROOT / "docs" / "chapter_times.json"
WORDS, LINES = 120, 12  # that a reader takes in, in a minute
LINE = re.compile(r"^:Time: .*$", re.MULTILINE)


def reading_minutes(source: str) -> int:
    """Estimate the minutes that a chapter takes to read, in steps of five."""
    docstring, _, rest = source[4:].partition('"""')
    text = [line for line in rest.splitlines() if line.startswith("#")]
    code = [line for line in rest.splitlines() if line.strip() and not line.startswith("#")]
    words = len(re.findall(r"\w+", docstring + " ".join(text)))
    return max(5 * round((words / WORDS + len(code) / LINES) / 5), 5)


def said(seconds: float) -> str:
    """Round a number of seconds to what is worth saying."""
    if seconds < 8:
        return "a second or two" if seconds < 2.5 else f"{round(seconds)} seconds"
    if seconds < 50:
        return f"{5 * round(seconds / 5)} seconds"
    return "a minute" if seconds < 80 else f"{round(seconds / 60)} minutes"


def head(source: str, seconds: float) -> str:
    return f":Time: {reading_minutes(source)} minutes to read, {said(seconds)} to run"


def measure(path: Path) -> float:
    """Run a chapter; return its seconds."""
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    environment.pop("MINIRES_QUICK", None)
    begun = time.perf_counter()
    subprocess.run([sys.executable, str(path)], env=environment, check=True, stdout=subprocess.DEVNULL, cwd=path.parent)
    return time.perf_counter() - begun


def main() -> None:
    known = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}
    chosen = {int(number) for number in sys.argv[1:]}
    for path in sorted((ROOT / "tutorials").glob("[0-9]*.py")):
        number = int(path.name[:2])
        if not chosen or number in chosen:
            known[str(number)] = round(measure(path), 1)
            print(f"{path.stem}: {known[str(number)]} s", flush=True)
        source = path.read_text(encoding="utf-8")
        path.write_text(LINE.sub(head(source, known[str(number)]), source, count=1), encoding="utf-8")
    TIMES.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
