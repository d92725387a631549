"""The public names and signatures, read from the sources without importing any framework.

    python tests/public_api.py --write

writes them to tests/public_api.txt, which a test compares with the sources.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
LIST = Path(__file__).with_suffix(".txt")
MODULES = [
    "clrcore",
    "clr_adapters.accelerate",
    "clr_adapters.ignite",
    "clr_adapters.jax",
    "clr_adapters.keras",
    "clr_adapters.lightning",
    "clr_adapters.logs",
    "clr_adapters.plot",
    "clr_adapters.skorch",
    "clr_adapters.torch",
    "clr_adapters.transformers",
]
# Of these, what a class does not inherit from our sources is the framework's.
SPECIAL = ("__call__", "__init__", "__iter__", "__len__")


@dataclass(frozen=True)
class Module:
    """A module's name, its file and what stands in it."""

    name: str
    is_package: bool
    body: tuple[ast.stmt, ...]

    @classmethod
    def read(cls, name: str) -> Module | None:
        """The module of our sources with this name, if there is one."""
        path = SOURCE.joinpath(*name.split("."))
        is_package = (path / "__init__.py").exists()
        file = path / "__init__.py" if is_package else path.with_suffix(".py")
        if not file.exists():
            return None
        return cls(name, is_package, tuple(ast.parse(file.read_text(encoding="utf-8")).body))

    def statements(self) -> Iterator[ast.stmt]:
        """The statements at the top and within top-level conditions."""
        for statement in self.body:
            yield statement
            if isinstance(statement, ast.If):
                yield from statement.body

    def find(self, name: str) -> tuple[Module, ast.stmt] | None:
        """Where a name is defined, perhaps in another module."""
        found = None
        for statement in self.statements():
            if getattr(statement, "name", None) == name:
                found = self, statement  # the last: overloads come first
            elif isinstance(statement, ast.ImportFrom):
                for imported in statement.names:
                    if (imported.asname or imported.name) == name:
                        module = Module.read(self._absolute(statement))
                        found = module.find(imported.name) if module else None
        return found

    def public(self) -> list[str]:
        """Its public names."""
        listed, defined = None, []
        for statement in self.body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
                listed = ast.literal_eval(statement.value)
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                defined.append(statement.name)
            if isinstance(statement, ast.ImportFrom):
                defined += [name.asname for name in statement.names if name.asname == name.name]
        return sorted({name for name in listed or defined if not name.startswith("_")})

    def _absolute(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parents = self.name.split(".")
        kept = parents[: len(parents) - statement.level + self.is_package]
        return ".".join([*kept, *(statement.module or "").split(".")]).strip(".")


def signature(module: Module, function: ast.FunctionDef, *, bound: bool = False) -> str:
    """The arguments with their defaults, without their types."""
    arguments = copy.deepcopy(function.args)
    options = arguments.kwarg and arguments.kwarg.annotation
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for argument in [*listed, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None
    if bound:
        del (arguments.posonlyargs or arguments.args)[0]
    text = ast.unparse(arguments)
    if isinstance(options, ast.Subscript):  # Unpack[Options]
        found = module.find(ast.unparse(options.slice))
        fields = [ast.unparse(node.target) for node in fields_of(found[1])] if found else []
        text += ": " + ", ".join(fields)
    return text


def fields_of(node: ast.stmt) -> list[ast.AnnAssign]:
    body = node.body if isinstance(node, ast.ClassDef) else []
    return [statement for statement in body if isinstance(statement, ast.AnnAssign)]


def members(module: Module, node: ast.ClassDef) -> dict[str, str]:
    """The public members of a class by name, those of our base classes included."""
    found: dict[str, str] = {}
    for base in reversed(node.bases):
        where = module.find(ast.unparse(base).split("[")[0])
        if where is not None and isinstance(where[1], ast.ClassDef):
            found |= members(where[0], where[1])
    for field in fields_of(node):
        found[ast.unparse(field.target)] = ""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef):
            kinds = {ast.unparse(decorator) for decorator in statement.decorator_list}
            is_property = any("property" in kind for kind in kinds)
            arguments = signature(module, statement, bound="staticmethod" not in kinds)
            found[statement.name] = "" if is_property else f"({arguments})"
    return found


def describe(module: Module, name: str) -> Iterator[str]:
    """The lines about a public name."""
    where = module.find(name)
    if where is None:
        raise LookupError(f"{module.name}.{name} is public, but is not defined")
    home, node = where
    full = f"{module.name}.{name}"
    if isinstance(node, ast.FunctionDef):
        yield f"{full}({signature(home, node)})"
    if isinstance(node, ast.ClassDef):
        found = members(home, node)
        yield full + found.pop("__init__", "")
        for member, arguments in sorted(found.items()):
            if not member.startswith("_") or member in SPECIAL:
                yield f"{full}.{member}{arguments}"


def lines() -> list[str]:
    """All public names and signatures."""
    modules = filter(None, map(Module.read, MODULES))
    return [
        line for module in modules for name in module.public() for line in describe(module, name)
    ]


if __name__ == "__main__":
    text = "\n".join(lines()) + "\n"
    if "--write" in sys.argv:
        LIST.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
