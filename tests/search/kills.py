"""Python that runs in a search's process first, and kills it by SIGKILL at one instant."""

KILL = "import os, signal\ndef die(): os.kill(os.getpid(), signal.SIGKILL)\n"

# Ctrl-C in the middle of training.
INTERRUPTED_IN_EPOCH_2 = """
import os, signal
import search.progress as p
after = p.SearchProgress.after_epoch
def once(self, e, m):
    if e == 1:
        os.kill(os.getpid(), signal.SIGINT)
    after(self, e, m)
p.SearchProgress.after_epoch = once
"""


def after_epoch(condition: str) -> str:
    """Dies where it holds after an epoch; `self.done` counts ended trials, `e` the epochs of the batch before."""
    return f"""{KILL}
import search.progress as p
after = p.SearchProgress.after_epoch
p.SearchProgress.after_epoch = lambda self, e, m: die() if {condition} else after(self, e, m)
"""


def before_commit(count: int) -> str:
    """Dies with so many trials committed, the model or checkpoint of the next being written already."""
    return f"""{KILL}
import results.store as s
finish, count = s.Store.finish_trial, iter(range(99))
s.Store.finish_trial = lambda self, *given: die() if next(count) == {count} else finish(self, *given)
"""


def before_telling(module: str, engine: str, number: int) -> str:
    """Dies before that engine of `search.engines` is told of the trial of that number."""
    return f"""{KILL}
import search.engines.{module} as m
tell = m.{engine}.tell
m.{engine}.tell = lambda self, t, h: die() if t.number == {number} else tell(self, t, h)
"""
