"""Draws VS Code's window at the stops of chapter 13's walk, filled with what the debug adapter answers there.

    python docs/editor_windows.py     walks again, and writes docs/editor_windows.json

The walk is made by the small client of tests/debug/editor.py, which says to debugpy what VS Code says. What comes back
at each stop is kept in the JSON: call stack and variables. The window itself is a drawing, made from it and from the
sources when the site is built, in light and in dark. tests/docs/test_editor_windows.py walks once more, and compares.
"""

import html
import json
import os
import re
import sys
from pathlib import Path

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "editor_windows.json"
FOLDER = ROOT / "docs" / "_static"
CHAPTER = ROOT / "tutorials" / "13_stepping_through.py"
CONVOLUTION = ROOT / "minires" / "ops" / "convolution.py"
CONFIGURATION = "Step through the open file"

BUTTONS = {"F5": "continue", "F10": "next", "F11": "stepIn", "Shift+F11": "stepOut"}

# What is done, one window each: the keys pressed, the frame that is clicked in the call stack, the variables opened.
STEPS = [
    {"keys": ["F5"], "frame": 0, "open": ["self"]},
    {"keys": ["F10", "F10", "F11"], "frame": 0, "open": []},
    {"keys": ["Shift+F11", "F10"], "frame": 0, "open": ["grad_x"]},
    {"keys": [], "frame": 1, "open": []},
    {"keys": ["F5"], "frame": 0, "open": ["self"]},
]
DRAWN = 4  # the last stop is told in the text, and tested

ABOVE, LINES = 11, 24  # of the editor: lines above the one of the stop, and in all


def walk():
    """Do what STEPS says; return what the adapter answers at each stop, as the JSON has it."""
    sys.path.insert(0, str(ROOT / "tests" / "debug"))
    from editor import Editor

    from minires.ops.convolution import Conv2d

    first = Conv2d.backward.__code__.co_firstlineno + 1
    before = dict(os.environ)
    os.environ |= {"MINIRES_QUICK": "1", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    try:
        editor = Editor(CHAPTER, "numpy", patience=240)
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        editor.begin({CONVOLUTION: [first]})
        stop, found = editor.stopped(), []
        for step in STEPS:
            keys = step["keys"] if found else step["keys"][1:]  # the first F5 has started the program
            for key in keys:
                stop = editor.press(BUTTONS[key], stop[0])
            found.append(told(editor, stop[1], step))
        return found
    finally:
        editor.process.kill()


def told(editor, frames, step):
    """Ask what the window shows at a stop."""
    shown = frames[step["frame"]]
    scope = editor.ask("scopes", frameId=shown["id"])["scopes"][0]
    variables = []
    for one in editor.ask("variables", variablesReference=scope["variablesReference"])["variables"]:
        variables.append([0, one["name"], relative(one["value"])])
        if one["name"] in step["open"]:
            inner = editor.ask("variables", variablesReference=one["variablesReference"])["variables"]
            inner = [part for part in inner if not part["name"].endswith("variables") and "[" not in part["name"]]
            variables += [[1, part["name"], relative(part["value"])] for part in inner]
    return {
        "keys": step["keys"],
        "frame": step["frame"],
        "stack": [frame_told(frame) for frame in frames],
        "variables": variables,
        "open": step["open"],
    }


def frame_told(frame):
    """Say where a frame is: its function, the file, the line's text and its number."""
    path, number = Path(frame["source"]["path"]), frame["line"]
    line = path.read_text(encoding="utf-8").splitlines()[number - 1]
    return [frame["name"].rpartition(".")[2], path.relative_to(ROOT).as_posix(), line, number]


def relative(value):
    """Shorten a value as a window of this width does, without the folder that the repository happens to be in."""
    return " ".join(value.replace(f"{ROOT}/", "").split())[:80]


def found_again(file, line, number):
    """Return the number that a line has now: others above it may have come or gone. ValueError if it is lost."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    places = [i for i, one in enumerate(lines, 1) if one == line]
    if not places:
        raise ValueError(f"{file} has no line {line.strip()!r} any more: run `python docs/editor_windows.py`")
    return min(places, key=lambda place: abs(place - number))


def lines_around(file, number):
    """Return lines of a file by number, each a list of (kind, text): pieces to colour."""
    kinds = [
        (Comment, "comment"), (String, "string"), (Keyword, "keyword"), (Operator.Word, "keyword"), (Number, "number"),
        (Name.Function, "function"), (Name.Class, "class"), (Name.Builtin.Pseudo, "self"),
    ]  # fmt: skip
    lines = [[]]
    for token, piece in PythonLexer(stripnl=False).get_tokens((ROOT / file).read_text(encoding="utf-8")):
        kind = next((name for parent, name in kinds if token in parent), "text")
        for i, part in enumerate(piece.split("\n")):
            if i:
                lines.append([])
            if part:
                lines[-1].append((kind, part))
    first = max(number - ABOVE, 1)
    return {i: lines[i - 1] for i in range(first, min(first + LINES, len(lines)))}


# The drawing

WIDTH, HEIGHT = 1040, 604
TITLE, STATUS, ACTIVITY, SIDE, TABS = 30, 24, 44, 300, 34
ROW, CODE = 19, 19  # heights of a row of the side bar and of a line of code
LEFT = ACTIVITY + SIDE  # where the editor begins
GUTTER = 62
LETTER, SMALL = 7.25, 6.65  # widths of a letter: of code, of the side bar's values

LIGHT = {
    "title": "#dddddd", "activity": "#2c2c2c", "side": "#f3f3f3", "editor": "#ffffff", "tab": "#ececec",
    "border": "#d4d4d4", "ink": "#3b3b3b", "faint": "#6e6e6e", "line": "#fff8c5", "caller": "#dff3dc",
    "chosen": "#d6e6f5", "status": "#c2410c", "statusink": "#ffffff", "name": "#7a1fa2", "value": "#0b5d96",
    "number": "#0b6e4f", "comment": "#2f7d32", "string": "#a31515", "keyword": "#0000c8", "function": "#795e26",
    "class": "#267f99", "self": "#0000c8", "text": "#1f1f1f", "dot": "#d81b1b", "arrow": "#b58900",
    "button": "#1668b5", "pressed": "#bcd7f0", "icon": "#b0b0b0", "iconon": "#ffffff",
}  # fmt: skip
DARK = {
    "title": "#3a3a3a", "activity": "#333333", "side": "#252526", "editor": "#1e1e1e", "tab": "#2d2d2d",
    "border": "#454545", "ink": "#d0d0d0", "faint": "#a0a0a0", "line": "#4b4b18", "caller": "#26442b",
    "chosen": "#37475a", "status": "#b4440f", "statusink": "#ffffff", "name": "#d7a0e8", "value": "#8cc7f0",
    "number": "#b5cea8", "comment": "#7cbf6a", "string": "#e0a080", "keyword": "#6fb1f0", "function": "#dcdcaa",
    "class": "#4ec9b0", "self": "#6fb1f0", "text": "#dedede", "dot": "#f14c4c", "arrow": "#ffcc00",
    "button": "#75beff", "pressed": "#0f4a7a", "icon": "#9a9a9a", "iconon": "#ffffff",
}  # fmt: skip
MIDDLE, END, MONO = "text-anchor='middle'", "text-anchor='end'", "class='code'"
STYLE = """<style>
text { font-family: 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif; white-space: pre; }
.code { font-family: Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
</style>"""


def window(stop, breakpoint_, c):
    """Return the window at a stop, as SVG. breakpoint_: a file and a line's number. c: the colours."""
    stack = [(function, file, found_again(file, line, number)) for function, file, line, number in stop["stack"]]
    _, file, line = stack[stop["frame"]]
    name = Path(file).name
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}'>",
        f"<title>An editor at a stop in {name}</title>",
        STYLE,
        f"<clipPath id='editor'><rect x='{LEFT}' y='0' width='{WIDTH - LEFT - 1}' height='{HEIGHT}'/></clipPath>",
        f"<clipPath id='side'><rect x='0' y='0' width='{LEFT - 8}' height='{HEIGHT}'/></clipPath>",
        box(0, 0, WIDTH, HEIGHT, c["editor"]),
        box(0, 0, WIDTH, TITLE, c["title"]),
        text(WIDTH / 2, 20, f"{name} - minires", c["ink"], 12.5, more=MIDDLE),
        *activity_bar(c),
        box(ACTIVITY, TITLE, SIDE, HEIGHT - TITLE - STATUS, c["side"]),
        *side_bar(stop, stack, breakpoint_, c),
        *editor(stop, file, line, breakpoint_, c),
        box(0, HEIGHT - STATUS, WIDTH, STATUS, c["status"]),
        text(12, HEIGHT - 8, f"▷ {CONFIGURATION} (minires)", c["statusink"], 12),
        text(WIDTH - 12, HEIGHT - 8, f"Ln {line}    Python", c["statusink"], 12, more=END),
        f"<rect x='0.5' y='0.5' width='{WIDTH - 1}' height='{HEIGHT - 1}' fill='none' stroke='{c['border']}'/>",
        "</svg>\n",
    ]
    return "\n".join(parts)


def box(x, y, width, height, fill, more=""):
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' fill='{fill}' {more}/>"


def text(x, y, words, fill, size, more=""):
    return f"<text x='{x:g}' y='{y:g}' fill='{fill}' font-size='{size}' {more}>{html.escape(words)}</text>"


def activity_bar(c):
    """The bar at the left: files, search, and the debugger, which is on."""
    y, x = TITLE + 16, 14
    line = f"fill='none' stroke='{c['icon']}' stroke-width='1.6'"
    on = f"fill='none' stroke='{c['iconon']}' stroke-width='1.6'"
    return [
        box(0, TITLE, ACTIVITY, HEIGHT - TITLE - STATUS, c["activity"]),
        f"<path d='M{x} {y}h9l5 5v12h-14z' {line}/>",
        f"<circle cx='{x + 8}' cy='{y + 48}' r='6' {line}/><path d='M{x + 4} {y + 53}l-5 6' {line}/>",
        box(0, y + 74, 2, 36, c["iconon"]),
        f"<path d='M{x} {y + 80}l15 9l-15 9z' {on}/><circle cx='{x + 3}' cy='{y + 100}' r='5' {on}/>",
    ]


def side_bar(stop, stack, breakpoint_, c):
    """Variables, the call stack and the breakpoints, from the top down."""
    x, y = ACTIVITY, TITLE
    parts = ["<g clip-path='url(#side)'>", text(x + 14, y + 21, "RUN AND DEBUG", c["ink"], 11)]
    parts.append(box(x + 118, y + 6, SIDE - 126, 22, c["editor"], f"stroke='{c['border']}'"))
    parts.append(f"<path d='M{x + 126} {y + 11}l9 6l-9 6z' fill='{c['comment']}'/>")
    parts.append(text(x + 141, y + 21, CONFIGURATION, c["ink"], 11.5))
    y += 36

    def heading(words):
        nonlocal y
        parts.append(f"<path d='M{x} {y}h{SIDE}' stroke='{c['border']}'/>")
        parts.append(text(x + 8, y + 15, f"⌄ {words}", c["ink"], 11, more="font-weight='bold'"))
        y += 22

    heading("VARIABLES")
    parts.append(text(x + 16, y + 13, "⌄ Locals", c["ink"], 12))
    y += ROW
    for depth, name, value in stop["variables"]:
        left = x + 28 + 14 * depth
        arrow = "⌄ " if name in stop["open"] and not depth else "› " if value[:1] in "([aCT<" else "  "
        parts.append(text(left, y + 13, arrow, c["faint"], 11, more=MONO))
        parts.append(text(left + 13, y + 13, f"{name}: ", c["name"], 11, more=MONO))
        parts.append(text(left + 13 + SMALL * (len(name) + 2), y + 13, value, c["value"], 11, more=MONO))
        y += ROW
    y += 6
    heading("CALL STACK")
    for i, (function, file, line) in enumerate(stack):
        if i == stop["frame"]:
            parts.append(box(x, y, SIDE, ROW, c["chosen"]))
        parts.append(text(x + 22, y + 14, function, c["ink"], 12))
        parts.append(text(x + SIDE - 14, y + 14, f"{Path(file).name}  {line}", c["faint"], 11.5, more=END))
        y += ROW
    y += 6
    heading("BREAKPOINTS")
    parts.append(f"<circle cx='{x + 22}' cy='{y + 10}' r='5' fill='{c['dot']}'/>")
    parts.append(box(x + 33, y + 4, 12, 12, c["button"]))
    parts.append(f"<path d='M{x + 36} {y + 10}l2.5 3l4.5 -6' fill='none' stroke='{c['side']}' stroke-width='1.6'/>")
    parts.append(text(x + 54, y + 14, Path(breakpoint_[0]).name, c["ink"], 12))
    parts.append(text(x + SIDE - 14, y + 14, str(breakpoint_[1]), c["faint"], 11.5, more=END))
    return [*parts, "</g>"]


def editor(stop, file, line, breakpoint_, c):
    """The tab, the lines of code with their numbers, and the bar of buttons; the button pressed last is lit."""
    name, width = Path(file).name, WIDTH - LEFT
    parts = [
        box(LEFT, TITLE, width, TABS, c["tab"]),
        box(LEFT, TITLE, 9 * len(name) + 44, TABS, c["editor"]),
        text(LEFT + 22, TITLE + 22, name, c["ink"], 13),
        f"<path d='M{LEFT} {TITLE}v{HEIGHT - TITLE - STATUS}' stroke='{c['border']}'/>",
        text(LEFT + 16, TITLE + TABS + 17, file.replace("/", "  ›  "), c["faint"], 12),
        "<g clip-path='url(#editor)'>",
    ]
    y = TITLE + TABS + 26
    for number, pieces in lines_around(file, line).items():
        here = number == line
        if here:
            parts.append(box(LEFT + 1, y, width, CODE, c["line"] if stop["frame"] == 0 else c["caller"]))
        if (file, number) == breakpoint_:
            parts.append(f"<circle cx='{LEFT + 14}' cy='{y + 9.5}' r='5.5' fill='{c['dot']}'/>")
        if here:
            parts.append(
                f"<path d='M{LEFT + 8} {y + 5}h7v-3.5l7 8l-7 8v-3.5h-7z' fill='none' stroke='{c['arrow']}'"
                " stroke-width='1.6'/>"
            )
        parts.append(text(LEFT + GUTTER - 12, y + 14, str(number), c["faint"], 12, more=f"{END} {MONO}"))
        column = 0
        for kind, piece in pieces:
            if piece.strip():
                parts.append(text(LEFT + GUTTER + LETTER * column, y + 14, piece, c[kind], 12, more=MONO))
            column += len(piece)
        y += CODE
    return [*parts, "</g>", *buttons(stop["keys"][-1] if stop["keys"] else "", c)]


SHAPES = {
    "F5": "<path d='M-6 -6v12M-2 -6l9 6l-9 6z'/>",
    "F10": "<path d='M-8 1a8 7 0 0 1 15 -1M8 -6v6h-6'/><circle cx='0' cy='6' r='2'/>",
    "F11": "<path d='M0 -8v9M-4 -3l4 4l4 -4'/><circle cx='0' cy='6' r='2'/>",
    "Shift+F11": "<path d='M0 1v-9M-4 -4l4 -4l4 4'/><circle cx='0' cy='6' r='2'/>",
    "": "<path d='M-5 -5h10v10h-10z'/>",
}


def buttons(pressed, c):
    """The bar of the debugger: continue, over, into, out, stop, and below each its key."""
    x, y, step = LEFT + 318, TITLE + 2, 62
    parts = [box(x, y, step * len(SHAPES) + 14, 44, c["side"], f"stroke='{c['border']}' rx='5'")]
    for i, (key, shape) in enumerate(SHAPES.items()):
        middle = x + 38 + step * i
        if key and key == pressed:
            parts.append(box(middle - step / 2 + 1, y + 2, step - 2, 40, c["pressed"], "rx='4'"))
        colour = c["button"] if key else c["dot"]
        parts.append(
            f"<g transform='translate({middle} {y + 15})' fill='none' stroke='{colour}' stroke-width='1.8'>{shape}</g>"
        )
        parts.append(text(middle, y + 38, key or "stop", c["ink"], 10.5, more=MIDDLE))
    return parts


def draw():
    """Write the windows of the JSON, in light and dark, where chapter 13 shows them."""
    stops = json.loads(RECORD.read_text(encoding="utf-8"))
    _, *breakpoint_ = stops[0]["stack"][0]
    breakpoint_ = breakpoint_[0], found_again(*breakpoint_)
    for number, stop in enumerate(stops[:DRAWN], 1):
        for ending, colours in (("", LIGHT), ("-dark", DARK)):
            path = FOLDER / f"editor-{number}{ending}.svg"
            path.write_text(window(stop, breakpoint_, colours), encoding="utf-8")


def loosely(stop):
    """Return what a stop has said without what another machine, or a line more in a file, would change."""
    variables = []
    for depth, name, value in stop["variables"]:
        value = re.sub(r"array\(\[.*", "array([…", value)  # its numbers differ in their last digits
        value = re.sub(r"\d+\.\d*(e[+-]?\d+)?", "#", re.sub(r"\.py:\d+", ".py", value))
        variables.append([depth, name, value[:40]])
    return {
        "keys": stop["keys"],
        "stack": [frame[:3] for frame in stop["stack"]],
        "variables": variables,
    }


def main():
    RECORD.write_text(json.dumps(walk(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
