"""Errors that a user can mend; each message is one line: what is wrong, where, and the mend.

UserError            exit code 2
├── UsageError       an option's value, or options that do not go together
├── DataError        the radiographs: folder, labels, images, splits
├── SpaceError       a space, a configuration, an architecture or its weights
├── StoreError       the results store: absent, foreign, newer, unwritable
└── ModelError       a stored model: absent, damaged, of another part

SearchFailed         exit code 1: the search cannot go on (the same failure three times in a row, or no memory left)
"""


class UserError(Exception):
    """The user's input is wrong; the message says how to mend it. Commands exit with 2."""


class UsageError(UserError):
    """A command's options are wrong."""


class DataError(UserError):
    """The folder of radiographs cannot be used as it is."""


class SpaceError(UserError):
    """A search space, a configuration, an architecture or its weights cannot be used."""


class StoreError(UserError):
    """The results store cannot be read or written."""


class ModelError(UserError):
    """A stored model is absent, damaged or of another part."""


class SearchFailed(Exception):
    """The search ended because trials kept failing for one reason, or memory ran out. Commands exit with 1."""
