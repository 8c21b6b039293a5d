"""Many searches as one resumable piece of work.

    python -m search.campaign CAMPAIGN.toml [--store URL] [--out DIR] [--explain]

The file says which parts, architectures and engines, and what they may take: docs/campaign.md. The same command again
goes on where it was; `python -m search.status CAMPAIGN.toml` shows how far it is, also from elsewhere.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, Interrupted, at_least, run_command
from plumbing.errors import UsageError

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    import argparse

    from search.campaigns.file import Campaign
    from search.campaigns.ledger import Ledger
    from search.campaigns.running import Work
    from search.options import Options

COMMAND = "search.campaign"

REPORT = """
import sys
from plumbing.command import run_command
from reports.build import main
store = sys.stdin.readline().rstrip("\\n")
sys.exit(run_command("reports.build", main, ["--store", store, "--out", sys.argv[1]]))
"""


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    options = _parser().parse_args(arguments)

    from results.connection import DEFAULT_URL, without_password
    from search.campaigns.checked import check
    from search.campaigns.file import read_campaign

    given = {"store": options.store, "runs": options.runs, "report": options.out}
    campaign = read_campaign(options.file, given | {"data": options.data, "workers": options.workers})
    store = campaign.store or DEFAULT_URL
    if campaign.report is not None and campaign.report.exists() and not campaign.report.is_dir():
        raise UsageError(f"{campaign.report}: the report needs a folder, and that is a file; give another --out")
    searches = check(campaign, store)
    if options.explain:
        print(explain(campaign, store, searches))
        return 0
    again = shlex.join(["python", "-m", COMMAND, *without_password(arguments, store)])
    try:
        return run(campaign, store, searches)
    except KeyboardInterrupt:
        raise Interrupted(f"resume with: {again}") from None


def _parser() -> "argparse.ArgumentParser":
    parser = CommandParser(COMMAND, "Runs the searches of a file within a budget; the same again goes on. "
                           "docs/campaign.md describes the file, docs/campaign.toml is one.")  # fmt: skip
    add = parser.add_argument
    add("file", metavar="CAMPAIGN.toml", type=Path, help="what to search, and what it may take")
    add("--store", metavar="URL", help="the results store, in place of the file's")
    add("--runs", metavar="DIR", help="models and caches, in place of the file's")
    add("--data", metavar="DIR", help="data of all searches, in place of the file's")
    add("--workers", type=at_least(1), metavar="N", help="of each search, in place of the file's")
    add("--out", metavar="DIR", help="folder of the report, in place of the file's")
    add("--explain", action="store_true", help="print searches, trials and commands, and exit")
    return parser


def explain(campaign: "Campaign", store: str, searches: Mapping[str, "Options"]) -> str:
    """What will run in which order, and how, and what cannot."""
    from results.connection import hide_password
    from search.campaigns.checked import arguments_of
    from search.campaigns.data import told_unusable, unusable
    from search.campaigns.ledger import place_of, read_ledger
    from search.campaigns.seen import seen_so_far
    from search.campaigns.words import counted

    seen = seen_so_far(store)
    lines = [told_plan(campaign, read_ledger(place_of(campaign, store)))]
    lines += told_unusable(searches, unusable(searches))
    for place, item in enumerate(campaign.items, start=1):
        there = seen[item.name].ended if item.name in seen else 0
        less = f" (of {item.asked} asked for)" if item.trials < item.asked else ""
        trials = f"{counted(item.trials, 'trial')}{less}, {there} there"
        lines.append(f"{place}. {item.name}: {trials}; priority {item.priority:g}")
        command = arguments_of(item, hide_password(store), campaign.runs)
        lines.append(f"   {shlex.join(['python', '-m', 'search.run', *command])}")
    if campaign.report is not None:
        lines.append(f"then {shlex.join(_report_command(hide_password(store), campaign.report))}")
    return "\n".join(lines)


def told_plan(campaign: "Campaign", ledger: "Ledger") -> str:
    """The campaign in a line, with what it may take and has taken."""
    from search.campaigns.words import counted
    from search.progress import duration

    budget, trials = campaign.budget, sum(item.trials for item in campaign.items)
    asked = sum(item.asked for item in campaign.items)
    less = f" of {asked} asked for, by priority and then in equal shares" if trials < asked else ""
    given = {"hour": budget.hours, "GPU hour": budget.gpu_hours}
    limits = [f"{hours:g} {word}{'' if hours == 1 else 's'}" for word, hours in given.items() if hours is not None]
    within = f", within {' and '.join(limits)}" if limits else ""
    spent = f"; spent so far: {duration(ledger.seconds)}" if ledger.seconds else ""
    spent += f", {duration(ledger.gpu_seconds)} of GPUs" if spent and budget.gpu_hours is not None else ""
    searches = counted(len(campaign.items), "search", "searches")
    return f"campaign {campaign.name}: {searches}, {counted(trials, 'trial')}{less}{within}{spent}"


def run(campaign: "Campaign", store: str, searches: Mapping[str, "Options"]) -> int:
    """Run the searches, then build the report; the exit code."""
    from plumbing.files import locked_if_free
    from plumbing.progress import progress_bar
    from search.campaigns.ledger import place_of, read_ledger
    from search.campaigns.running import Work, run_searches
    from search.campaigns.words import counted

    def tell_line(line: str) -> None:
        tell(line)
        advance(line.startswith("trial "))  # a search's line for each ended trial

    started, place = time.monotonic(), place_of(campaign, store)
    with locked_if_free(place.with_suffix(".lock")) as free:
        if not free:
            raise UsageError(f"campaign {campaign.name} is running in another process; wait for it")
        work = Work(campaign, store, read_ledger(place), searches, tell_line)
        there = sum(work.ended().values())
        tell(f"{told_plan(campaign, work.ledger)}; {counted(there, 'trial')} there")
        with progress_bar(f"campaign {campaign.name}", sum(item.trials for item in campaign.items)) as advance:
            advance(there)
            run_searches(work)
        unbuilt = _build_report(campaign.report, store) if campaign.report else ""
    return _tell_end(work, time.monotonic() - started, unbuilt)


def tell(line: str) -> None:
    """Print a line above the bar."""
    from plumbing.progress import console

    console().print(line, markup=False, soft_wrap=True)


def _report_command(store: str, out: Path) -> list[str]:
    return ["python", "-m", "reports.build", "--store", store, "--out", str(out)]


def _build_report(out: Path, store: str) -> str:
    """Build the report of the store; why that failed, empty where it did not.

    In a process: `search` may not import `reports`, which reads what searches leave behind. It is given the store by
    standard input: a password is not for who lists processes.
    """
    tell(f"building the report in {out}")
    ended = subprocess.run(
        [sys.executable, "-c", REPORT, str(out)],
        input=f"{store}\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = ended.stderr.splitlines()
    return "" if ended.returncode == 0 else lines[-1] if lines else f"exit code {ended.returncode}"


def _tell_end(work: "Work", seconds: float, unbuilt: str) -> int:
    from search.campaigns.words import counted

    campaign, ended = work.campaign, work.ended()
    if work.failed:
        searches = counted(len(campaign.items), "search", "searches")
        tell(f"{len(work.failed)} of {searches} failed: {', '.join(work.failed)}")
    if work.unfinished:
        tell(f"{work.ledger.used_up(campaign.budget)}; unfinished: {', '.join(work.unfinished)}")
    if unbuilt:
        tell(f"no report: {unbuilt}")
    summary = {
        "campaign": campaign.name,
        "searches": len(campaign.items),
        "done": len(campaign.items) - len(work.failed) - len(work.unfinished),
        "failed": list(work.failed),
        "unfinished": work.unfinished,
        "trials": sum(ended.values()),
        "trials_given": sum(item.trials for item in campaign.items),
        "trials_asked": sum(item.asked for item in campaign.items),
        "hours": round(work.ledger.seconds / 3600, 4),
        "gpu_hours": None if campaign.budget.gpu_hours is None else round(work.ledger.gpu_seconds / 3600, 4),
        "report": None if campaign.report is None or unbuilt else str(campaign.report / "report.html"),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(summary))
    return 1 if work.failed or unbuilt else 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
