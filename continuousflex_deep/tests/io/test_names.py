"""Names that are apart from each other."""

from continuousflex_deep.io.names import distinct


def test_names_that_repeat_are_numbered() -> None:
    assert distinct(["a", "a (2)", "a", "b", "a"]) == ["a", "a (2)", "a (3)", "b", "a (4)"]
    assert distinct(["truth", "a", "truth"], taken=("truth",)) == ["truth (2)", "a", "truth (3)"]
