"""Mathematics as MathML, by the converter that the package's own reports use: no script, no network."""

from docutils import nodes
from sphinx.util import logging

from mastsim.typesetting import typeset_display, typeset_inline

logger = logging.getLogger(__name__)


def visit_math(self, node):
    """Write mathematics within a sentence."""
    self.body.append(_checked(typeset_inline(node.astext()), node))
    raise nodes.SkipNode


def visit_displayed_math(self, node):
    """Write displayed mathematics, which wraps where it does not fit."""
    anchors = "".join(f'<span id="{name}"></span>' for name in node["ids"])
    self.body.append(f'<div class="formula">{anchors}{_checked(typeset_display(node.astext()), node)}</div>')
    raise nodes.SkipNode


def _checked(markup, node):
    if "<code>" in markup:
        logger.warning("this LaTeX cannot be typeset: %s", node.astext(), location=node, type="mathml")
    return markup


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displayed_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
