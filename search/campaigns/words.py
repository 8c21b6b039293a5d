"""Numbers in a campaign's lines."""


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its word.

    Args:
        several: the word of more than one, where it is not `one` with an s.

    >>> counted(1, "trial"), counted(0, "trial"), counted(2, "search", "searches")
    ('1 trial', '0 trials', '2 searches')
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"
