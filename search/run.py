"""The main job: search for the best classifier of a part.

    python -m search.run --part XR_ELBOW --trials 50

The same command again continues the search; `--help` lists the options.
"""

import json
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

from plumbing.command import Interrupted, run_command
from search.interrupt import prompt_interrupt
from search.options import Options, parse


def main(arguments: Sequence[str]) -> int:
    """The command."""
    from results.connection import without_password

    options = parse(arguments)
    command = shlex.join(["python", "-m", "search.run", *without_password(arguments, options.store)])
    told = f"resume with: {command}"
    try:
        with prompt_interrupt(f"search.run: interrupted; {told}"):
            return run(options, command)
    except KeyboardInterrupt:
        raise Interrupted(told) from None


def run(options: Options, command: str) -> int:
    """Plan, prepare, search, tell."""
    from search.engines import engine_module
    from search.plan import make_plan

    started = time.monotonic()
    engine_module(options.engine).check(options.sampler, options.pruner)
    plan = make_plan(options)
    if options.explain:
        from search.explain import explain

        print(explain(plan))
        return 0
    from search.confirmation import confirm
    from search.explain import saved
    from search.loop import run_search
    from search.preparation import prepare
    from search.workers.local import run_here
    from search.workers.ray_cluster import connected, run_on_ray

    with connected(options), prepare(plan, command) as search_run:
        if options.ray is not None:
            run_on_ray(search_run, options)
        elif options.workers > 1:
            run_here(search_run, options)
        else:
            run_search(search_run)
        if options.confirm:
            confirm(search_run, options.confirm, options.batch_trials)
        trials = search_run.store.trials(search_run.search.id)
        print(told(trials, search_run.store.measures(), options))
        print(f"{options.engine} {options.sampler} itself took {search_run.clock.seconds:.1f} s")
        print(saved(search_run.setting.source.cache.ledger))
        print(json.dumps(summary(options.name, trials, time.monotonic() - started)))
    return 0


def told(trials: Sequence[Any], measures: Sequence[Any], options: Options) -> str:
    """The best trial for a person: chosen on valid, with its intervals on valid and test."""
    from search.models import best_trials

    best = best_trials(trials, 1)
    if not best:
        return "no trial finished"
    auc = {m.split: m for trial_id, m in measures if trial_id == best[0].id and (m.level, m.metric) == ("study", "auc")}
    figures = ", ".join(f"{split} AUC {_figure(auc[split])}" for split in ("valid", "test") if split in auc)
    return (
        f"best of {len(trials)} trials by {options.objective}: trial {best[0].number}, {best[0].name_code}, {figures} "
        f"(by study, 95 % patient bootstrap; valid chose it, so valid flatters)"
    )


def _figure(measure: Any) -> str:
    if measure.value is None:
        return "not defined"
    if measure.low is None or measure.high is None:
        return f"{measure.value:.3f}"
    return f"{measure.value:.3f} ({measure.low:.3f} to {measure.high:.3f})"


def summary(name: str, trials: Sequence[Any], seconds: float) -> dict[str, Any]:
    """The last line of stdout."""
    from results.records import FAILED, FINISHED
    from search.models import best_trials

    best = best_trials(trials, 1)
    return {
        "search": name,
        "trials": len(trials),
        "finished": sum(trial.state == FINISHED for trial in trials),
        "failed": sum(trial.state == FAILED for trial in trials),
        "best_trial": best[0].number if best else None,
        "best_value": best[0].value if best else None,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(run_command("search.run", main, sys.argv[1:]))
