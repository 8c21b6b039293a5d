"""Texts from users' files on their way to a person: names and what files tell of themselves may hold anything."""


def printable(text: str) -> str:
    r"""The text with what a terminal would obey, or cannot show, written as Python writes it.

    >>> print(printable("a\nb\x1b[31m é \udcff"))
    a\nb\x1b[31m é \udcff
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shorten(name: str, longest: int) -> str:
    """The name with its middle left out where it is longer, because names differ at their ends.

    >>> shorten("densenet121_deep_augment_70epochs", 21)
    'densenet12…t_70epochs'
    """
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[len(name) - tail :]}"
