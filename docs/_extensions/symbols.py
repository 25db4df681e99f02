"""Every theorem's page points to the glossary of symbols; pages that users write lie in folders that have none."""


def point_to_glossary(app, name, source):
    """Add the line before the source of the theorem."""
    if name.startswith("docs/theorems/"):
        source[0] = source[0].replace("\n- Source: ", "\n- Symbols: [glossary](../glossary.md)\n- Source: ", 1)


def setup(app):
    """Connect the hook."""
    app.connect("source-read", point_to_glossary)
    return {"parallel_read_safe": True}
