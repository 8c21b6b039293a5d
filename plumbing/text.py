"""Texts from users' files on their way to a person: names and what files tell of themselves may hold anything."""


def printable(text: str) -> str:
    r"""The text with what a terminal would obey, or cannot show, written as Python writes it.

    >>> print(printable("a\nb\x1b[31m é \udcff"))
    a\nb\x1b[31m é \udcff
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
