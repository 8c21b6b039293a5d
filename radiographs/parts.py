"""Body parts, tasks and classes, in their fixed order."""

from plumbing.errors import DataError

PARTS = ("XR_ELBOW", "XR_FINGER", "XR_FOREARM", "XR_HAND", "XR_HUMERUS", "XR_SHOULDER", "XR_WRIST")
ALL_PARTS = "all_parts"
TASKS = (*PARTS, ALL_PARTS)

# The order of the published 14-class models: these parts normal, then the same abnormal.
CLASS_PARTS = ("XR_WRIST", "XR_HUMERUS", "XR_ELBOW", "XR_FINGER", "XR_SHOULDER", "XR_HAND", "XR_FOREARM")
LABELS = ("normal", "abnormal")


def class_names(task: str) -> tuple[str, ...]:
    """The names of the task's classes in the order of its labels.

    >>> class_names("XR_HAND"), class_names("all_parts")[7]
    (('normal', 'abnormal'), 'XR_WRIST abnormal')
    """
    if task != ALL_PARTS:
        return LABELS
    return tuple(f"{part} {label}" for label in LABELS for part in CLASS_PARTS)


def class_number(task: str, part: str, label: int) -> int:
    """The class of a part's normal (0) or abnormal (1) image in the task.

    >>> class_number("all_parts", "XR_FOREARM", 1), class_number("XR_FOREARM", "XR_FOREARM", 1)
    (13, 1)
    """
    return CLASS_PARTS.index(part) + label * len(CLASS_PARTS) if task == ALL_PARTS else label


def parts_of(task: str) -> tuple[str, ...]:
    """The parts whose images belong to the task.

    Raises: DataError where there is no such task.
    """
    if task == ALL_PARTS:
        return PARTS
    if task not in PARTS:
        raise DataError(f"no part {task!r}; give one of {', '.join(TASKS)}")
    return (task,)
