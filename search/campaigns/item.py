"""One search of a campaign: `search.run` in a process that does not outlive the campaign's.

    python -m search.campaigns.item --part PART --trials N ... --store -

The campaign holds the other end of this process's stdin, whose first line is the store's URL: a password is not for who
lists processes. When the campaign is gone, by whatever signal, the pipe closes and this process ends with all that it
started, as by a kill, which is safe at any instant: so there are never two searches of one name, and the same campaign
goes on at once.
"""

import os
import signal
import sys
import threading

from plumbing.command import run_command


def main() -> int:
    """The search; its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the campaign may run in a shell's background
    store = sys.stdin.readline().rstrip("\n")
    threading.Thread(target=_end_with_the_campaign, daemon=True).start()
    from search.run import main as search

    return run_command("search.run", search, [*sys.argv[1:-1], store])


def _end_with_the_campaign() -> None:
    sys.stdin.read()
    if os.getpgrp() == os.getpid():  # as the campaign starts it; workers end as their standard input does
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
