"""The reference: a page for each part of the package, listing every public name; written before Sphinx reads its sources."""

import ast
import importlib
import inspect
import types
from pathlib import Path

import mastsim
from mastsim import theorems
from mastsim.reproduce import ALL_FIGURES

MODULES = {
    "mastsim.extend": "Base classes for parts of your own",
    "mastsim.testing": "Checks of parts of your own",
    "mastsim.testing.strategies": "Hypothesis strategies",
    "mastsim.theorems": "Theorems",
    "mastsim.moments": "Exact moments on quadratics",
    "mastsim.worstcase": "Worst-case certificates",
    "mastsim.verification": "Trials and verdicts",
    "mastsim.verification.attack": "Attacks",
    "mastsim.recommendation": "Advice for a data file",
    "mastsim.empirical_rates": "Measured rates",
    "mastsim.sweeps": "Sweeps",
    "mastsim.constants": "Constants",
    "mastsim.expected": "Expected objectives",
    "mastsim.methods": "Methods",
    "mastsim.problems": "Problems and data",
    "mastsim.sketches": "Sketches",
    "mastsim.reproduce": "Figures",
}
"""What is documented beside the names of the package itself, in this order."""

FOLDER = Path(__file__).parent.parent / "reference" / "generated"
GALLERY = Path(__file__).parent.parent / "gallery"


def homes():
    """Return where each public name of the package comes from, as the stub says."""
    stub = ast.parse((Path(mastsim.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    found = {}
    for node in imports:
        for alias in node.names:
            found[alias.asname or alias.name] = (node.module or "").removeprefix("mastsim.")
    return found


def public(module):
    """Return the public names of a module: its ``__all__``, or what it defines itself."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name, None))]
    mine = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
    return [name for name, thing in mine.items() if getattr(thing, "__module__", None) == module.__name__]


def directive(owner, name):
    """Return the directive that documents a name of a module."""
    thing = getattr(owner, name)
    if isinstance(thing, types.GenericAlias):
        return f".. py:data:: {owner.__name__}.{name}\n   :value: {thing}\n"
    kind = "class" if inspect.isclass(thing) else "function" if inspect.isroutine(thing) else "data"
    return f".. auto{kind}:: {owner.__name__}.{name}\n"


def heading(text):
    """Return a heading."""
    return f"{text}\n{'=' * len(text)}\n"


def pages():
    """Return the pages by name: each public thing stands on one page only, under the shortest of its names."""
    sections, seen = {}, set()
    for name, home in homes().items():
        thing = getattr(mastsim, name)
        if inspect.ismodule(thing) or name.startswith("_"):
            continue
        seen.add(id(thing))
        sections.setdefault(_part(home), []).append((mastsim, name))
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in public(module):
            thing = getattr(module, name)
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            sections.setdefault(module_name, []).append((module, name))
    return {part: _page(part, things) for part, things in sections.items()}


def _part(home):
    """Return the module on whose page a name of the package stands."""
    whole = f"mastsim.{home.lstrip('.')}"
    return next((module for module in MODULES if whole == module or whole.startswith(f"{module}.")), "mastsim")


def _page(part, things):
    title = MODULES.get(part, "The package")
    module = importlib.import_module(part)
    words = "" if part == "mastsim" else f"``{part}``\n\n{inspect.getdoc(module)}\n"
    listed = sorted(things, key=lambda pair: (pair[0] is not mastsim, pair[1].lower()))
    return "\n".join([heading(title), words, *(directive(owner, name) for owner, name in listed)])


def write(app):
    """Write the pages, and an index; files that did not change are left alone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = {f"{part}.rst": text for part, text in pages().items()}
    order = ["mastsim", *(part for part in MODULES if f"{part}.rst" in texts)]
    for old in FOLDER.glob("*.rst"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    assert set(texts) == {f"{part}.rst" for part in order}


def keep_bars(app, what, name, thing, options, lines):
    """Escape bars, which are absolute values in docstrings and substitutions in reStructuredText."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("`")
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[number] = "`".join(parts)


def write_figures(app):
    """Write a page for every figure of the registry that has none written by hand."""
    folder = GALLERY / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    for name, figure in ALL_FIGURES.items():
        if (GALLERY / f"{name}.md").exists() or not (GALLERY.parents[1] / "figures" / f"{name}.png").exists():
            continue
        picture = f"../../../figures/{name}"
        words = [f"# {figure.TITLE}", inspect.getdoc(figure).splitlines()[0], f"![{figure.TITLE}]({picture}.png)"]
        words.append(f"Made by `mastsim reproduce {name}`; [every number in it]({picture}.json).")
        (folder / f"{name}.md").write_text("\n\n".join(words) + "\n", encoding="utf-8")


def order(app, name, source):
    """List theorems and figures in the order of their registries."""
    if name == "docs/theory":
        listed = "\n".join(f"theorems/{kind.id}" for kind in theorems.ALL)
        source[0] = source[0].replace("theorems/*", listed)
    if name == "docs/gallery":
        pages = [f"gallery/{figure}" for figure in ALL_FIGURES] + [f"gallery/generated/{figure}" for figure in ALL_FIGURES]
        there = [page for page in pages if (GALLERY.parent / f"{page}.md").exists()]
        source[0] = source[0].replace("gallery/*", "\n".join(there))


def setup(app):
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", write, priority=100)
    app.connect("builder-inited", write_figures, priority=100)
    app.connect("source-read", order)
    app.connect("autodoc-process-docstring", keep_bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
