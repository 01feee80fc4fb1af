"""Mutants: one small mistake each, in a kernel, an op's arithmetic, an optimizer or the engine's sum of gradients.

    an operator     + − · / swapped, a comparison made strict or turned round, += made −= or =
    a term, factor  either side of + − · / alone; a sign taken away; a statement left out
    an index, axis  each whole number one more and one less; u for v, H for W, a for b; .T taken away
    a condition     taken for true and for false; `and` for `or`
    an option       axis, keepdims and the like left out, True for False
    a dtype         float64 in the place of an array's own; .astype left out

What only refuses bad input (an `if` that raises, a call of `check_…`, a `strict=True`) is marked as an argument check:
such mutants are counted, and not run. A gradient check hands in what fits; that the rest is refused is tested in
tests/ops/test_op_errors.py and tests/kernels/test_trusted_arrays.py. What saves and loads state is left alone.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "minires"
FILES = (
    "kernels/numpy_kernels.py", "kernels/numpy_grouped_convolution.py", "kernels/chain.py", "engine.py",
    *(f"ops/{path.name}" for path in sorted((PACKAGE / "ops").glob("[a-z]*.py"))),
    "optim/adam.py", "optim/clipping.py", "optim/optimizer.py", "optim/schedules.py", "optim/sgd.py",
)  # fmt: skip
ONLY = {
    "engine.py": {"accumulate", "deliver"},
    "optim/optimizer.py": {"Optimizer.step", "Optimizer.buffer", "Optimizer.zero_grad"},
}
OF_STATE = ("state_dict", "_fitted")
# Functions that do nothing else than refuse, or write down why:
REFUSE = ("check_broadcast", "check_shortcut", "cure", "check_norm", "check_images", "check_window", "check_labels",
          "check_options", "check_range", "check_groups", "greatest_common")  # fmt: skip

OPERATORS: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
                               ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult}  # fmt: skip
COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt,), ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt,), ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
SWAPS = ("u v", "I J", "KH KW", "H W", "P Q", "C F", "a b", "m s", "rows columns", "beta1 beta2", "mean var",
         "grad_a grad_b", "a_shape b_shape", "shortcut branch", "before after", "i j", "prediction target",
         "grad_weight grad_bias", "weight bias")  # fmt: skip
SWAPPED = {one: other for pair in SWAPS for one, other in (pair.split(), pair.split()[::-1])}
FUNCTIONS = {"sum": "mean", "mean": "sum", "max": "min", "maximum": "minimum", "minimum": "maximum", "exp": "expm1"}


@dataclass
class Mutant:
    """One change of one function."""

    file: str
    function: str  # its qualified name
    change: str  # "grad_a + grad_b → grad_a − grad_b", as source
    number: int  # of all changes of the file
    argument_check: bool  # in what only refuses bad input

    @property
    def name(self) -> str:
        return f"{self.file}:{self.function}: {self.change}"

    def code(self) -> CodeType | None:
        """Compile the function with the change in it; None where Python has no such program."""
        tree = ast.parse((PACKAGE / self.file).read_text(encoding="utf-8"))
        for number, (_, change) in enumerate(all_changes(self.file, tree)):
            if number == self.number:
                put(change.owner, change.place, change.index, ast.copy_location(change.new, change.old))
                try:
                    module = compile(ast.fix_missing_locations(tree), str(PACKAGE / self.file), "exec")
                    return find(module, self.function)
                except (SyntaxError, ValueError, TypeError):
                    return None
        raise LookupError(self.name)


def mutants_of(file: str) -> Iterator[Mutant]:
    """Yield all mutants of a file of the package, in order; a change that occurs again is numbered."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    seen: dict[str, int] = {}
    for number, (qualname, change) in enumerate(all_changes(file, tree)):
        text = f"{source(change.old)} → {source(change.new)}" + " [argument check]" * change.argument_check
        seen[qualname + text] = seen.get(qualname + text, 0) + 1
        again = f" ({seen[qualname + text]})" if seen[qualname + text] > 1 else ""
        yield Mutant(file, qualname, text + again, number, change.argument_check)


def source(node: ast.AST) -> str:
    """Write a statement or an expression in one line."""
    node = ast.fix_missing_locations(ast.copy_location(node, ast.Pass(lineno=1, col_offset=0)))
    return " ".join(ast.unparse(node).split())


@dataclass
class Change:
    """A node, the place where it stands, and what is put there."""

    owner: ast.AST
    place: str  # a field of the owner
    index: int | None  # in the field, where that is a list
    old: Any
    new: Any
    argument_check: bool


def all_changes(file: str, tree: ast.Module) -> Iterator[tuple[str, Change]]:
    """Yield all changes of a file, each with the qualified name of its function."""
    for qualname, function in functions_of(tree):
        last = qualname.rpartition(".")[2]
        if (file in ONLY and qualname not in ONLY[file]) or any(word in last for word in OF_STATE):
            continue
        for change in changes(function, last in REFUSE):
            yield qualname, change


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def find(code: CodeType, qualname: str) -> CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == qualname:
                return constant
            found = find(constant, qualname)
            if found is not None:
                return found
    return None


def put(owner: ast.AST, place: str, index: int | None, node: Any) -> None:
    if index is None:
        setattr(owner, place, node)
    else:
        getattr(owner, place)[index] = node


def changes(function: ast.FunctionDef, argument_check: bool) -> Iterator[Change]:
    """Yield every change in a function's body."""
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    names |= {argument.arg for argument in function.args.args}
    for index, statement in enumerate(function.body):
        if not is_text(statement):
            yield from below(function, "body", index, statement, names, argument_check)


def below(owner: ast.AST, place: str, index: int | None, node: Any, names: set[str], checks: bool) -> Iterator[Change]:
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
        return
    here = checks or refuses(node)
    for new in replacements(node, names):
        yield Change(owner, place, index, node, new, here)
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "ctx"):
            continue
        inside = checks if isinstance(node, ast.If) and field == "orelse" else here  # an elif answers for itself
        if isinstance(value, ast.AST):
            yield from below(node, field, None, value, names, inside)
        elif isinstance(value, list):
            for at, child in enumerate(value):
                if isinstance(child, ast.AST) and not is_text(child):
                    yield from below(node, field, at, child, names, inside)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def refuses(node: ast.AST) -> bool:
    """Say whether a node does nothing but refuse bad input: `if …: raise …`, `check_images(…)`, `strict=True`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return isinstance(node.func.value, ast.Name) and node.func.value.id == "checks"  # those of the kernels
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return refuses(node.value) or (isinstance(node.value.func, ast.Name) and node.value.func.id.startswith("check"))
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    return isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise)


def replacements(node: Any, names: set[str]) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp):
        if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        if not isinstance(node.op, ast.MatMult | ast.BitOr):
            yield node.left
            yield node.right
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARISONS.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [other()], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.Constant):
        yield from other_constants(node.value)
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in OPERATORS:
            yield ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)
        yield ast.Assign([node.target], node.value)
        yield ast.Pass()
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        yield ast.Pass()
    elif isinstance(node, ast.Expr):
        yield ast.Pass()
    elif isinstance(node, ast.If | ast.IfExp):
        for value in (True, False):
            if isinstance(node, ast.If):
                yield ast.If(ast.Constant(value), node.body, node.orelse)
            else:
                yield ast.IfExp(ast.Constant(value), node.body, node.orelse)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and SWAPPED.get(node.id) in names:
        yield ast.Name(SWAPPED[node.id], node.ctx)
    elif isinstance(node, ast.Attribute):
        if node.attr == "dtype":
            yield ast.Name("float", ast.Load())
        elif node.attr == "T":
            yield node.value
        elif node.attr in SWAPPED and isinstance(node.ctx, ast.Load):
            yield ast.Attribute(node.value, SWAPPED[node.attr], node.ctx)
    elif isinstance(node, ast.Call):
        yield from other_calls(node)


def other_constants(value: Any) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(1.5 * value + 0.25)


def other_calls(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Attribute):
        if node.func.attr in FUNCTIONS:
            other = ast.Attribute(node.func.value, FUNCTIONS[node.func.attr], node.func.ctx)
            yield ast.Call(other, node.args, node.keywords)
        if node.func.attr in ("astype", "copy", "swapaxes"):
            yield node.func.value
    for keyword in node.keywords:
        if keyword.arg not in (None, "strict"):
            yield ast.Call(node.func, node.args, [one for one in node.keywords if one is not keyword])
