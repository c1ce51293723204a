"""Names of files, groups and chains in figures: drawn as they are, whatever matplotlib would make of them."""


def literal(text: str) -> str:
    """A text in which dollars begin no formula, and what UTF-8 cannot hold is a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("$", r"\$")


def legend_name(name: str) -> str:
    """The same for a name in a legend, which leaves out names that begin with an underscore."""
    return literal(f" {name}" if name.startswith("_") else name)
