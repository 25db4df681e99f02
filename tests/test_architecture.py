"""The house: which module may import which; nothing here runs the modules, but for a few that are imported first of all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mastsim

ROOT = Path(mastsim.__file__).parent

FLOORS = (
    "arithmetic backend colours compilation dependencies devices digits draws files frames keywords layout linalg markup "
    "memory minimization namespaces orphans parallel provenance readonly rounding simd single_thread spectra "
    "standard_errors svg tables typesetting validation vectors version",
    "documents problems sketches",
    "expected recursions",
    "constants methods",
    "advice designs engine extend guarantee interruption kernels local_smoothness measuring moments pace plots recording "
    "request run run_files simulation stepsizes theorems",
    "verification worstcase",
    "empirical_rates recommendation reproduce spec sweeps testing",
    "cli options",
)
"""What stands on each floor, lowest first: a module imports from its own floor and those below."""

STRANGERS = [("problems", "sketches"), ("sketches", "problems"), ("sketches.laws", "sketches"), ("linalg", "backend")]
"""Neighbours of which the first must not know the second: f and S meet in expected/, and a law draws nothing."""


def parse_package(root):
    """Return path and syntax tree of every module of a package, by dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path, ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports_of(name, path, tree, known):
    """Yield module, name and line of what a module imports of the package, also in functions and for the type checker."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node.lineno) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".")[: None if path.name == "__init__.py" else -1]
                base = ".".join(package[: len(package) - node.level + 1] + [part for part in [base] if part])
            for alias in node.names:
                if (whole := f"{base}.{alias.name}") in known:
                    yield whole, None, node.lineno
                elif base in known:
                    yield base, alias.name, node.lineno


def packages_above(name):
    """Return the packages that a module lies in, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def run_order(package):
    """Return what must have run before each module: what it imports, and the packages that these lie in.

    A package runs before its modules anyway, so that a module waits for a package it lies in only where it takes a name
    from there.
    """
    graph = {}
    for name, (path, tree) in package.items():
        targets = {target for target, _, _ in imports_of(name, path, tree, package)} - {name}
        own = set(packages_above(name))
        graph[name] = targets | {above for target in targets for above in packages_above(target)} - own - {name}
    return graph


def circles(graph):
    """Return the strongly connected components of more than one node, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
            low[node] = min(low[node], low[other] if other in stack else low[node])
        if low[node] == index[node]:
            ring = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            found.extend([sorted(ring)] if len(ring) > 1 else [])

    for node in graph:
        if node not in index:
            visit(node)
    return found


def place(name):
    """Return the floor of a module; the package itself, which hands out everything, is above all."""
    top = name.split(".")[1] if "." in name else None
    found = [floor for floor, names in enumerate(FLOORS) if top in names.split()]
    assert top is None or len(found) == 1, f"{name} needs one floor in FLOORS, by what it may import"
    return found[0] if found else len(FLOORS)


def is_private(name):
    """Return whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__")


def folder(name):
    """Return the folder that a module lies in, or is."""
    return name.removeprefix("mastsim.").split(".")[0]


PACKAGE = parse_package(ROOT)
IMPORTS = [
    (name, target, what, f"{path.relative_to(ROOT.parent)}:{line}")
    for name, (path, tree) in PACKAGE.items()
    for target, what, line in imports_of(name, path, tree, PACKAGE)
]


@pytest.mark.parametrize(
    ("files", "rings"),
    [
        ({"a": "from p import b", "b": "def f():\n    from p.a import g"}, ["p.a p.b"]),
        ({"a": "from .b import c", "b": "import p.c", "c": "if 1:\n    from . import a"}, ["p.a p.b p.c"]),
        (
            {"a": "from p.q.r import x", "q/__init__": "from p.q.s import y", "q/s": "import p.a", "q/r": ""},
            ["p.a p.q p.q.s"],
        ),
        ({"q/__init__": "from p.q.r import x", "q/r": "from p.q import x"}, ["p.q p.q.r"]),
        ({"q/__init__": "from p.q.r import x", "q/r": "from p.q.s import y", "q/s": ""}, []),
        (
            {"a": "from p import b, c", "b": "from p import c", "c": "if TYPE_CHECKING:\n    from p.a import T"},
            ["p.a p.b p.c"],
        ),
    ],
)
def test_circles_of_all_kinds_are_seen(tmp_path, files, rings):
    for name, text in ({"__init__": ""} | files).items():
        (path := tmp_path / "p" / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert [" ".join(ring) for ring in circles(run_order(parse_package(tmp_path / "p")))] == rings


def test_no_module_waits_for_itself():
    assert circles(run_order(PACKAGE)) == []


def test_no_folder_waits_for_itself():
    graph = {folder(name): set() for name in PACKAGE if name != "mastsim"}
    for name, target, _, _ in IMPORTS:
        if name != "mastsim":
            graph[folder(name)] |= {folder(target)} - {folder(name)}
    assert circles(graph) == []


def test_no_module_imports_upwards():
    upwards = [(where, target) for name, target, _, where in IMPORTS if place(target) > place(name)]
    assert upwards == []


def test_neighbours_who_must_not_know_each_other_do_not():
    def within(name, part):
        return f"{name}.".startswith(f"mastsim.{part}.")

    known = [
        (where, target)
        for name, target, _, where in IMPORTS
        for one, other in STRANGERS
        if within(name, one) and within(target, other) and not within(target, one)
    ]
    assert known == []


def test_no_private_name_leaves_its_module():
    taken = [(where, target, what) for _, target, what, where in IMPORTS if is_private(what or target.rsplit(".", 1)[-1])]
    for name, (path, tree) in PACKAGE.items():
        modules = {target.rsplit(".", 1)[-1] for other, target, what, _ in IMPORTS if other == name and what is None}
        taken += [
            (f"{path}:{node.lineno}", node.value.id, node.attr)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
            if is_private(node.attr)
        ]
    assert taken == []


FIRST = ("expected.finite_sum", "kernels.gradients", "false_variants", "sweeps.records")


@pytest.mark.slow
@pytest.mark.parametrize("first", [name for name in PACKAGE if name.endswith(FIRST)])
def test_modules_deep_inside_can_be_imported_first(first):
    subprocess.run([sys.executable, "-c", f"import {first}"], check=True, cwd=ROOT.parent)
