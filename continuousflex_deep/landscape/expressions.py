"""Conditions on named columns, such as "pc1 > 100 and abs(q7) < 50", evaluated without running the text as code."""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.errors import InputError

LONGEST = 2000  # characters; more is a mistake, and the limit keeps nesting shallow
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.float_power,
    ast.Mod: np.mod,
}
_COMPARISON: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "log": (1, np.log),
    "exp": (1, np.exp),
    "sin": (1, lambda a: np.sin(np.radians(a))),
    "cos": (1, lambda a: np.cos(np.radians(a))),
    "hypot": (2, np.hypot),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
GRAMMAR = (
    "comparisons (< <= > >= == !=) of numbers and columns, joined by and, or, not; + - * / ** % and "
    + ", ".join(_FUNCTIONS)
    + " (angles in degrees)"
)


def evaluate_condition(expression: str, columns: Mapping[str, NDArray[Any]]) -> tuple[Booleans, list[str]]:
    """Mask (n,) of the rows that fulfil the condition, and the names of the columns that it uses.

    columns: arrays (n,) by name; Boolean columns are conditions by themselves. Comparisons with NaN are false.
    Raises InputError, naming the part, for anything that GRAMMAR does not allow.
    """
    if len(expression) > LONGEST:
        raise InputError(f"expression: got {len(expression)} characters, expected at most {LONGEST}")
    expression = " ".join(expression.split())  # a field of a form may have several lines
    try:
        tree = ast.parse(expression, mode="eval")
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        used = list(dict.fromkeys(node.id for node in sorted(names, key=lambda node: node.col_offset)))
        with np.errstate(all="ignore"):
            value = _Evaluator(expression, columns).visit(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"expression '{expression}' cannot be read: {error}; expected {GRAMMAR}") from error
    n = len(next(iter(columns.values())))
    if np.asarray(value).dtype != bool:
        raise InputError(f"expression '{expression}' is a number, expected a condition such as 'pc1 > 100'")
    return np.broadcast_to(np.asarray(value), (n,)).copy(), [name for name in used if name in columns]


def ranges_of(columns: Mapping[str, NDArray[Any]], names: Iterable[str]) -> str:
    """The ranges of these columns in words, for errors where no row fulfils a condition on them."""
    return ", ".join(f"{n} from {np.nanmin(columns[n]):g} to {np.nanmax(columns[n]):g}" for n in names)


class _Evaluator:
    """Evaluates the few kinds of nodes that are allowed; every other kind is an error."""

    def __init__(self, text: str, columns: Mapping[str, NDArray[Any]]) -> None:
        self.text, self.columns = text, columns

    def visit(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool(value)):
                return np.bool_(value)
            case ast.Constant(value=int(value)) if value < 2**63:
                return np.int64(value)  # a float could not distinguish two long ids
            case ast.Constant(value=float(value)):
                return np.float64(value)
            case ast.Name(id=name):
                return self.column(name)
            case ast.BoolOp(op=op, values=parts):
                values = [self.condition(p) for p in parts]
                return (
                    np.logical_and.reduce(np.broadcast_arrays(*values))
                    if isinstance(op, ast.And)
                    else np.logical_or.reduce(np.broadcast_arrays(*values))
                )
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return ~self.condition(part)
            case ast.UnaryOp(op=ast.USub(), operand=part):
                return -self.number(part)
            case ast.UnaryOp(op=ast.UAdd(), operand=part):
                return self.number(part)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self.number(left), self.number(right))
            case ast.Compare():
                return self.comparison(node)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return self.call(name, args)
        hint = "; write and, or, not instead of &, |, ~" if isinstance(node, ast.BinOp | ast.UnaryOp) else ""
        raise InputError(f"expression '{self.text}': '{self.part(node)}' is not allowed{hint}; expected {GRAMMAR}")

    def column(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise InputError(
                f"expression '{self.text}': unknown name '{name}'; this landscape has {', '.join(self.columns)}"
            )
        return self.columns[name]

    def condition(self, node: ast.expr) -> Booleans:
        value = np.asarray(self.visit(node))
        if value.dtype != bool:
            raise InputError(
                f"expression '{self.text}': '{self.part(node)}' is a number, expected a condition"
            )
        return value

    def number(self, node: ast.expr) -> Floats:
        return np.asarray(self.visit(node), dtype=np.float64)

    def comparison(self, node: ast.Compare) -> Booleans:
        operands = [self.visit(part) for part in (node.left, *node.comparators)]
        result: Any = np.bool_(True)
        for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
            if type(op) not in _COMPARISON:
                raise InputError(f"expression '{self.text}': '{self.part(node)}' is not allowed; expected {GRAMMAR}")
            result = result & _COMPARISON[type(op)](left, right)
        return result

    def call(self, name: str, args: list[ast.expr]) -> Floats:
        count, function = _FUNCTIONS[name]
        if len(args) != count:
            raise InputError(
                f"expression '{self.text}': {name} takes {count} value{'s' * (count > 1)}, got {len(args)}"
            )
        return function(*(self.number(a) for a in args))

    def part(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or self.text


def parse_box(text: str, names: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Limits, both inclusive, by column, from text such as "pc1:-100:100,pc2:0:"; either limit may be omitted."""
    limits: dict[str, tuple[float, float]] = {}
    for part in text.split(","):
        fields = [f.strip() for f in part.split(":")]
        if len(fields) != 3 or not fields[0]:
            raise InputError(
                f"box '{text}': cannot read '{part}'; expected name:lowest:highest, such as pc1:-100:100,pc2:0:50"
            )
        if fields[0] not in names:
            raise InputError(f"box '{text}': unknown name '{fields[0]}'; this landscape has {', '.join(names)}")
        try:
            low = float(fields[1]) if fields[1] else -np.inf
            high = float(fields[2]) if fields[2] else np.inf
        except ValueError as error:
            raise InputError(f"box '{text}': the limits of '{fields[0]}' are not numbers ({error})") from error
        if not low <= high or fields[0] in limits:
            raise InputError(f"box '{text}': '{fields[0]}' occurs twice, or its lowest value exceeds its highest")
        limits[fields[0]] = (low, high)
    return limits
