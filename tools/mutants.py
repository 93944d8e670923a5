"""What mutants a module has, and which tests have to kill them.

A mutant changes one thing: the operator of a comparison or of arithmetic, the order of a difference
or a quotient, `and` for `or`, a `not`, `min` for `max` and their like, a number up or down (floats
doubled or halved), a bound of a slice or a range by one, True for False; or it drops a statement.
Annotations, decorators, texts and what is inside a `raise` are left alone.
"""

import ast
import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

EXTRAS: dict[str, tuple[str, ...]] = {
    "edgekws/metrics/graph.py": (),
    "edgekws/metrics/memory.py": (),
    "edgekws/metrics/execution.py": ("tests/metrics/test_graph.py", "tests/metrics/test_memory.py"),
    "edgekws/metrics/_operators.py": ("tests/metrics/test_graph.py",),
    "edgekws/metrics/detection_tradeoff.py": (),
    "edgekws/metrics/score_tracks.py": ("tests/metrics/test_event_tradeoff.py",),
    "edgekws/metrics/event_tradeoff.py": (),
    "edgekws/metrics/paired.py": (),
    "edgekws/metrics/events.py": (),
    "edgekws/training/losses.py": (),
    "edgekws/training/scores.py": (),
    "edgekws/training/fit.py": (),
    "edgekws/runtime/detect.py": ("tests/runtime/test_detector.py",),
    "edgekws/runtime/front_end.py": (),
    "edgekws/audio/features.py": (),
    "edgekws/lowering/parity.py": (),
    "edgekws/lowering/quantization_parity.py": (),
    "edgekws/quantizers/int8/scales.py": (),
    "edgekws/quantizers/int8/integers.py": (),
    "edgekws/quantizers/int8/values.py": ("tests/quantizers/int8/test_scales.py",),
    "edgekws/quantizers/int8/observers.py": (),
    "edgekws/search/sampling.py": (),
    "edgekws/search/importance.py": ("tests/search/test_statistics.py",),
    "edgekws/metrics/intervals.py": (),
    "edgekws/metrics/differences.py": (),
    "edgekws/metrics/tallies.py": (
        "tests/metrics/test_accuracy.py",
        "tests/metrics/test_differences.py",
    ),
    "edgekws/metrics/recall.py": ("tests/training/test_scores.py",),
    "edgekws/metrics/accuracy.py": (),
    "edgekws/search/statistics.py": (),
    "edgekws/search/effects.py": ("tests/search/test_statistics.py",),
    "edgekws/metrics/class_counts.py": (),
    "edgekws/metrics/event_intervals.py": (),
}
"""The modules that are tried, each with tests beside the file that mirrors it."""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_NAMES = {
    one: other
    for pair in (
        ("min", "max"),
        ("minimum", "maximum"),
        ("argmin", "argmax"),
        ("amin", "amax"),
        ("any", "all"),
        ("floor", "ceil"),
        ("left", "right"),
    )
    for one, other in (pair, pair[::-1])
}
_SIZES = ("abs", "np.abs", "np.square")
_CHOICES = (ast.If, ast.While, ast.IfExp)


@dataclass(frozen=True)
class Mutant:
    """A module's text with one change; `lines` are those that a test has to reach to see it.

    `line` and `column` count from 1, the column in bytes.
    """

    line: int
    column: int
    scope: str
    code: str
    original: str
    mutant: str
    lines: tuple[int, ...]
    text: str


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in order of its lines."""
    visitor = _Visitor(source)
    visitor.visit(ast.parse(source))
    different = {(m.line, m.text): m for m in visitor.found}
    return sorted(different.values(), key=lambda one: one.line)


def drawn(possible: Sequence[Mutant], most: int, seed: int) -> list[Mutant]:
    """Return at most that many mutants, drawn by the seed, in their order."""
    numbers = range(len(possible))
    chosen = random.Random(seed).sample(numbers, most) if len(possible) > most else numbers
    return [possible[i] for i in sorted(chosen)]


class _Visitor(ast.NodeVisitor):
    """Walks a module and notes its mutants."""

    def __init__(self, source: str) -> None:
        self._source = source.encode()
        self._lines = self._source.splitlines(keepends=True)
        self._scope: list[str] = []
        self._above: ast.AST | None = None
        self.found: list[Mutant] = []

    def visit(self, node: ast.AST) -> None:
        """Note the mutants of a node, then those of its parts."""
        if isinstance(node, ast.expr):
            for other in _expressions(node):
                if not _is_same(self._above, node, other):
                    self._note(node, f"({ast.unparse(other)})")
        elif isinstance(node, ast.stmt):
            for text in _statements(node):
                self._note(node, text)
        if isinstance(node, (*_CHOICES, ast.comprehension)):
            for test in node.ifs if isinstance(node, ast.comprehension) else [node.test]:
                if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
                    self._note(test, f"(not {ast.unparse(test)})")
        self._parts(node)

    def _parts(self, node: ast.AST) -> None:
        names = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        self._scope += names
        for part in _parts(node):
            self._above = node
            self.visit(part)
        del self._scope[len(self._scope) - len(names) :]

    def _note(self, node: ast.expr | ast.stmt, text: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = sum(map(len, self._lines[: node.lineno - 1])) + node.col_offset
        end = sum(map(len, self._lines[: node.end_lineno - 1])) + node.end_col_offset
        changed = (self._source[:start] + text.encode() + self._source[end:]).decode()
        original = " ".join(self._source[start:end].decode().split())
        shown = text[1:-1] if text.startswith("(") else text
        code = self._lines[node.lineno - 1].decode().strip()
        lines = tuple(range(node.lineno, node.end_lineno + 1))
        scope = ".".join(self._scope)
        try:
            compile(changed, "mutant", "exec")
        except SyntaxError:
            return
        at = node.lineno, node.col_offset + 1
        self.found.append(Mutant(*at, scope, code, original, shown, lines, changed))


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are mutated."""
    if isinstance(node, ast.JoinedStr | ast.Raise | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return
    left_out = {"annotation", "returns", "decorator_list", "type_params"}
    for name, value in ast.iter_fields(node):
        if name not in left_out:
            yield from (p for p in (value if isinstance(value, list) else [value]) if _is(p))


def _is(part: object) -> bool:
    typing = isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING"
    return isinstance(part, ast.AST) and not typing and not _is_type(part)


def _is_type(part: ast.AST) -> bool:
    """Tell whether a statement names a type, such as `Array = NDArray[np.float64]`."""
    if not isinstance(part, ast.Assign) or not isinstance(part.value, ast.Subscript | ast.BinOp):
        return False
    target = ast.unparse(part.targets[0])
    return target[:1].isupper() and not target.isupper()


def _is_same(above: ast.AST | None, part: ast.expr, other: ast.expr) -> bool:
    """Tell whether a difference is turned round of which `above` takes the size or the square."""
    if not all(isinstance(x, ast.BinOp) and isinstance(x.op, ast.Sub) for x in (part, other)):
        return False
    if isinstance(above, ast.Call):
        return ast.unparse(above.func) in _SIZES
    if isinstance(above, ast.BinOp) and isinstance(above.op, ast.Pow):
        return ast.unparse(above.right) == "2"
    return False


def _expressions(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what may stand in the place of an expression."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            other = copy.deepcopy(node)
            other.ops[i] = _COMPARISONS[type(operator)]()
            yield other
    elif isinstance(node, ast.BoolOp):
        other_kind = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield ast.BoolOp(other_kind, node.values)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        if isinstance(node.op, ast.Sub | ast.Div):
            yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield node.operand
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in _constants(node.value))
    elif isinstance(node, ast.Name) and node.id in _NAMES:
        yield ast.Name(_NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield ast.Attribute(node.value, _NAMES[node.attr])
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield from _slices(node)


def _constants(value: object) -> list[bool | int | float | str]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 2, value / 2] if value else [1.0]
    return [_NAMES[value]] if isinstance(value, str) and value in ("left", "right") else []


def _calls(node: ast.Call) -> Iterator[ast.expr]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in ("abs", "round") and len(node.args) == 1:
        yield node.args[0]
    if name == "sorted":
        yield ast.Call(ast.Name("list"), node.args[:1], [])
    if name == "range" and not isinstance(node.args[-1], ast.Constant):
        last = ast.BinOp(node.args[-1], ast.Sub(), ast.Constant(1))
        yield ast.Call(node.func, [*node.args[:-1], last], [])


def _slices(node: ast.Subscript) -> Iterator[ast.expr]:
    for name in ("lower", "upper"):
        bound = getattr(node.slice, name)
        if bound is not None and not isinstance(bound, ast.Constant):
            other = copy.deepcopy(node)
            setattr(other.slice, name, ast.BinOp(bound, ast.Add(), ast.Constant(1)))
            yield other


def _statements(node: ast.stmt) -> Iterator[str]:
    """Yield what may stand in the place of a statement."""
    if isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield ast.unparse(ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value))
    dropped = isinstance(node, ast.Raise | ast.Continue | ast.Break)
    dropped |= isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    dropped |= isinstance(node, ast.Return) and node.value is None
    if isinstance(node, ast.Assign):
        dropped |= isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    if dropped:
        yield "pass"
