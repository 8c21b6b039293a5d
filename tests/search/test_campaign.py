"""Campaigns: many searches as one resumable piece of work."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from plumbing.command import run_command
from search import status
from search.campaigns import child, running
from search.models import folder_of, only_one
from search.stopping import Stopping, reason_to_stop
from tests.search.campaigning import Campaigner, RunCampaign, await_line, eventually, items_of, kill
from tests.search.conftest import Ended, Searcher

needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds searches in /proc")


@pytest.fixture(scope="module")
def undisturbed(small_data: Path, known_backbones: Path, tmp_path_factory: pytest.TempPathFactory) -> Campaigner:
    """A campaign of two parts and two engines that was left alone, with its report."""
    searcher = Searcher(tmp_path_factory.mktemp("undisturbed") / "one", small_data)
    searcher.know(known_backbones)
    campaign = Campaigner(searcher)
    ended = campaign.apart("--out", searcher.folder / "report")
    assert ended.code == 0, ended.err
    assert ended.summary["done"] == 4
    return campaign


def opened(ended: Ended) -> list[str]:
    """The searches that a campaign ran."""
    return re.findall(r"^\[\d+/\d+\] (\S+):", ended.err, re.MULTILINE)


@pytest.mark.slow
def test_a_campaign_left_alone_runs_each_search_once_and_builds_one_report(undisturbed: Campaigner) -> None:
    trials = undisturbed.trials()
    names = [
        f"{part}-efficientnet_lite0-{engine}"
        for part in ("XR_HAND", "XR_WRIST")
        for engine in ("keras-tuner", "optuna")
    ]
    assert [(trial["search"], trial["trial"]) for trial in trials] == [(name, n) for name in names for n in range(3)]
    assert {trial["state"] for trial in trials} == {"finished"}
    report = (undisturbed.searcher.folder / "report" / "report.html").read_text()
    assert all(name in report for name in names)


@needs_proc
@pytest.mark.slow
def test_a_campaign_killed_alone_and_with_its_search_ends_with_the_trials_of_one_left_alone(
    undisturbed: Campaigner, searcher: Searcher, knowing: None
) -> None:
    campaign = Campaigner(searcher)
    with campaign.process() as process:  # alone: its search must not go on
        await_line(process, "trial 0")
        assert len(items_of(searcher.runs)) == 1
        kill(process)
    assert eventually(lambda: not items_of(searcher.runs))
    with campaign.process() as process:  # both, in the second search or later
        await_line(process, "trial ", 3)
        (item,) = items_of(searcher.runs)
        os.kill(item, signal.SIGKILL)
        kill(process)

    resumed = campaign.apart()

    assert (resumed.code, resumed.summary["done"]) == (0, 4), resumed.err
    assert campaign.trials() == undisturbed.trials()
    again = campaign.apart()
    assert (again.code, opened(again), again.summary["trials"]) == (0, [], 12)


@needs_proc
@pytest.mark.slow
def test_a_search_that_dies_is_told_and_the_others_go_on(searcher: Searcher, knowing: None) -> None:
    campaign = Campaigner(searcher, '[[search]]\npart = ["XR_WRIST", "XR_HAND"]', trials=2)
    with campaign.process() as process:
        await_line(process, "[1/2]")
        assert eventually(lambda: bool(items_of(searcher.runs)))
        os.kill(items_of(searcher.runs)[0], signal.SIGKILL)
        out, err = process.communicate()
    ended = Ended(process.returncode, out, err)
    wrist, hand = "XR_WRIST-efficientnet_lite0-optuna", "XR_HAND-efficientnet_lite0-optuna"
    assert (ended.code, ended.summary["failed"], opened(ended)) == (1, [wrist], [hand])
    assert f"{wrist} failed (exit code -9): ended by SIGKILL" in ended.err
    again = campaign.apart()
    assert (again.code, opened(again), again.summary["trials"]) == (0, [wrist], 4)


def test_a_search_that_ends_before_it_is_given_its_store_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    write = child._write_line

    def write_late(process: "child.subprocess.Popen[bytes]", text: str) -> None:
        process.wait()
        write(process, text)

    monkeypatch.setattr(child, "_write_line", write_late)
    monkeypatch.setattr(child.sys, "executable", "false")  # the command of that name
    ended = child.run_search(["--store", "-"], "sqlite:///no.db", print, lambda seconds: None)
    assert (ended.code, ended.reason) == (1, "exit code 1")


@needs_proc
@pytest.mark.slow
def test_interrupt_reaches_the_search_and_ends_with_130_and_the_command_that_resumes(
    searcher: Searcher, knowing: None
) -> None:
    campaign = Campaigner(searcher, trials=40)
    with campaign.process("--workers", 1) as process:
        await_line(process, "trial ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    told = [line for line in err.splitlines() if not line.startswith("trial ")]
    assert told == [f"search.campaign: interrupted; resume with: python -m search.campaign {campaign.file} --workers 1"]
    assert items_of(searcher.runs) == []


@pytest.fixture
def without_hands(searcher: Searcher, tmp_path: Path) -> Path:
    """The data without a part, and without one class of another in the test split."""
    data = tmp_path / "without_hands"
    shutil.copytree(searcher.data, data)
    for folder in ("train/XR_HAND", "valid/XR_HAND"):
        shutil.rmtree(data / folder)
    for study in (data / "valid" / "XR_ELBOW").glob("*/*_positive"):
        shutil.rmtree(study)
    for listing in data.glob("*.csv"):
        listing.unlink()
    return data


@pytest.mark.slow
def test_a_part_that_cannot_be_searched_is_told_before_the_first_search_and_the_others_run(
    searcher: Searcher, knowing: None, without_hands: Path, tmp_path: Path
) -> None:
    searches = '[[search]]\npart = ["XR_WRIST", "XR_HAND"]'
    ended = Campaigner(searcher, searches, data=str(without_hands), trials=1).apart("--out", tmp_path / "report")
    assert ended.code == 1
    assert ended.summary["failed"] == ["XR_HAND-efficientnet_lite0-optuna"]
    assert (ended.summary["done"], ended.summary["trials"]) == (1, 1)
    lines = ended.err.splitlines()
    assert lines[1].startswith(f"XR_HAND: --data {without_hands}: no images of XR_HAND; ")
    assert lines[1].endswith("; 1 search is left out")
    assert lines[2] == "[1/2] XR_WRIST-efficientnet_lite0-optuna: 1 trial"
    assert lines[-2:] == [
        f"building the report in {tmp_path / 'report'}",
        "1 of 2 searches failed: XR_HAND-efficientnet_lite0-optuna",
    ]
    assert (tmp_path / "report" / "report.html").exists()


def test_explain_tells_each_part_that_cannot_be_searched_in_one_line(
    searcher: Searcher, run_campaign: RunCampaign, without_hands: Path
) -> None:
    searches = '[[search]]\npart = ["XR_ELBOW", "XR_HAND", "XR_WRIST", "all_parts"]\nseed = [0, 1]'
    ended = run_campaign(Campaigner(searcher, searches, data=str(without_hands)).file, "--explain")
    assert ended.code == 0
    elbow, hand, first = ended.out.splitlines()[1:4]
    assert elbow.startswith(f"XR_ELBOW: --data {without_hands}: XR_ELBOW has no abnormal patient in test; ")
    assert hand.startswith(f"XR_HAND: --data {without_hands}: no images of XR_HAND; ")
    assert elbow.endswith("; 2 searches are left out")
    assert first.startswith("1. XR_ELBOW")


def test_a_folder_of_no_radiographs_is_refused_before_anything_starts(
    searcher: Searcher, run_campaign: RunCampaign, tmp_path: Path
) -> None:
    (tmp_path / "holiday").mkdir()
    for more in ((), ("--explain",)):
        ended = run_campaign(Campaigner(searcher, data=str(tmp_path / "holiday")).file, *more)
        assert (ended.code, ended.out) == (2, "")
        assert f"{tmp_path}/holiday: no train and valid folder in it; " in ended.err.splitlines()[-1]
    assert not Path(searcher.store.removeprefix("sqlite:///")).exists()


Ends = Callable[[int, float], None]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Ends:
    """Let each search end at once with a code, after so many seconds by the ledger, without running."""

    def end(code: int, seconds: float) -> None:
        def run_search(
            arguments: object, store: str, tell: Callable[[str], None], spend: Callable[[float], None]
        ) -> child.Ended:
            spend(seconds)
            tell(f"worker 1: {reason_to_stop(Stopping(seconds=40.9957, started=0.0), [], 2)}")
            if code == 130:
                raise KeyboardInterrupt
            return child.Ended(code, "broken", seconds)

        monkeypatch.setattr(running, "run_search", run_search)

    return end


def status_of(campaign: Campaigner, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    """What status says, in lines."""
    capsys.readouterr()
    assert run_command("search.status", status.main, [str(campaign.file), *more]) == 0
    return capsys.readouterr().out.splitlines()


WRIST, HAND_TOO = "XR_WRIST-efficientnet_lite0-optuna", "XR_HAND-efficientnet_lite0-optuna"
TWO = '[[search]]\npart = ["XR_WRIST", "XR_HAND"]'


def test_status_shows_what_failed_and_its_watch_ends_until_the_campaign_runs_again(
    searcher: Searcher, run_campaign: RunCampaign, ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = Campaigner(searcher, TWO)
    ends(1, 0.0)
    ended = run_campaign(campaign.file)
    told = [line for line in ended.err.splitlines() if " failed (" in line]
    assert told == [
        f"{WRIST} failed (exit code 1): broken; the others go on",
        f"{HAND_TOO} failed (exit code 1): broken",
    ]
    assert ended.code == 1
    assert status_of(campaign, capsys, "--watch")[-2:] == [
        f"{WRIST}, {HAND_TOO}: failed: broken",
        "0 of 2 searches done, 2 stopped, 0 of 6 trials",
    ]
    document = json.loads("\n".join(status_of(campaign, capsys, "--json")))
    assert ([row["stopped"] for row in document["searches"]], document["seconds_left"]) == (["failed: broken"] * 2, 0.0)

    empty = searcher.data.parent / "empty"
    empty.mkdir()
    assert run_campaign(campaign.file, "--data", empty).code == 2
    assert "2 stopped" in status_of(campaign, capsys)[-1]  # nothing has begun since

    ends(130, 0.0)
    assert run_campaign(campaign.file).code == 130
    assert status_of(campaign, capsys)[-1] == "0 of 2 searches done, 0 of 6 trials"


def test_status_shows_that_the_hours_are_used_up_until_the_file_has_more(
    searcher: Searcher, run_campaign: RunCampaign, ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = Campaigner(searcher, TWO, top="[budget]\ngpu-hours = 1")
    ends(1, 3600.0)
    ended = run_campaign(campaign.file)
    assert f"{WRIST} failed (exit code 1): broken\n" in ended.err  # no others go on
    assert ended.summary["unfinished"] == [HAND_TOO]
    assert ended.summary["gpu_hours"] == 1.0
    used_up = "the budget's gpu-hours are used up; raise gpu-hours in [budget]"
    assert f"{used_up}; unfinished: {HAND_TOO}\n" in ended.err
    assert f"{HAND_TOO}: {used_up}" in status_of(campaign, capsys, "--watch")
    more = Campaigner(searcher, TWO, top="[budget]\ngpu-hours = 2")
    assert used_up not in "\n".join(status_of(more, capsys))
    explained = run_campaign(more.file, "--explain").out.splitlines()[0]
    assert explained.endswith(", within 2 GPU hours; spent so far: 60 min, 60 min of GPUs")


def test_the_share_of_the_hours_is_not_told_as_an_option_that_nobody_gave(
    searcher: Searcher, run_campaign: RunCampaign, ends: Ends
) -> None:
    ends(1, 0.0)
    err = run_campaign(Campaigner(searcher, TWO, top="[budget]\nhours = 1").file).err
    assert err.splitlines()[0] == "campaign campaign: 2 searches, 6 trials, within 1 hour; 0 trials there"
    assert f"[1/2] {WRIST}: 3 trials, for 30 min\n" in err
    assert "worker 1: its share of the hours is over\n" in err
    assert "--timeout" not in err


@pytest.mark.slow
def test_hours_that_are_used_up_end_it_and_more_hours_go_on_to_the_same_trials(
    undisturbed: Campaigner, searcher: Searcher, knowing: None
) -> None:
    names = ["XR_HAND-efficientnet_lite0-keras-tuner", "XR_HAND-efficientnet_lite0-optuna"]
    first = Campaigner(searcher, top="[budget]\nhours = 0.0003").apart()  # a second
    assert first.code == 0
    assert set(names) < set(first.summary["unfinished"])
    assert first.summary["hours"] >= 0.0003
    assert "the budget's hours are used up; raise hours in [budget]; unfinished: " in first.err
    assert first.summary["gpu_hours"] is None

    second = Campaigner(searcher, top="[budget]\nhours = 0.0003").apart()
    assert (second.code, opened(second)) == (0, [])
    assert second.summary["unfinished"] == first.summary["unfinished"]

    campaign = Campaigner(searcher, top="[budget]\nhours = 1\ngpu-hours = 1")
    third = campaign.apart()
    assert (third.code, third.summary["done"]) == (0, 4), third.err
    share = 60 // len(first.summary["unfinished"])  # a fast machine had ended the first of the four in its second
    assert f", for {share} min" in third.err
    assert campaign.trials() == undisturbed.trials()


@pytest.mark.slow
def test_a_search_that_another_process_runs_is_left_for_last_and_waited_for(searcher: Searcher, knowing: None) -> None:
    campaign = Campaigner(searcher, '[[search]]\npart = ["XR_WRIST", "XR_HAND"]', trials=1)
    wrist = "XR_WRIST-efficientnet_lite0-optuna"
    with only_one(wrist, folder_of(wrist, searcher.store, searcher.runs)):
        process = campaign.process()
        told = [await_line(process, "["), await_line(process, wrist)]
        searched = {trial["search"] for trial in searcher.trials()}
        waits = process.poll() is None
    with process:
        process.communicate()
    assert (waits, process.returncode) == (True, 0)
    assert told[0].startswith("[2/2] XR_HAND")
    assert told[1] == f"{wrist} runs in another process: waiting for it\n"
    assert searched == {"XR_HAND-efficientnet_lite0-optuna"}
    assert len(searcher.trials()) == 2


def test_the_same_campaign_twice_at_once_is_refused(searcher: Searcher, run_campaign: RunCampaign) -> None:
    from plumbing.files import locked_if_free

    campaign = Campaigner(searcher)
    own = folder_of("campaign", searcher.store, searcher.runs).name
    with locked_if_free(searcher.runs / "campaigns" / f"{own}.lock") as free:
        assert free
        ended = run_campaign(campaign.file)
    assert (ended.code, ended.err) == (
        2,
        "search.campaign: campaign campaign is running in another process; wait for it\n",
    )


def test_explain_prints_searches_trials_and_commands_and_makes_nothing(
    searcher: Searcher, run_campaign: RunCampaign
) -> None:
    campaign = Campaigner(searcher, top="[budget]\ntrials = 6")
    before = sorted(searcher.folder.rglob("*"))
    ended = run_campaign(campaign.file, "--out", "report", "--workers", 1, "--explain")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "campaign campaign: 4 searches, 6 trials of 12 asked for, by priority and then in equal shares"
    assert [line.split(", 0 there")[0] for line in lines[1::2][:4]] == [
        "1. XR_WRIST-efficientnet_lite0-optuna: 2 trials (of 3 asked for)",
        "2. XR_WRIST-efficientnet_lite0-keras-tuner: 2 trials (of 3 asked for)",
        "3. XR_HAND-efficientnet_lite0-optuna: 1 trial (of 3 asked for)",
        "4. XR_HAND-efficientnet_lite0-keras-tuner: 1 trial (of 3 asked for)",
    ]
    assert all(line.startswith("   python -m search.run --") for line in lines[2::2])
    assert lines[-1] == f"then python -m reports.build --store {searcher.store} --out report"
    assert sorted(searcher.folder.rglob("*")) == before


def test_a_campaign_on_a_new_postgresql_database_has_all_before_it(
    searcher: Searcher, run_campaign: RunCampaign, postgres_url: str
) -> None:
    ended = run_campaign(Campaigner(searcher).file, "--store", postgres_url, "--explain")
    assert ended.code == 0, ended.err
    assert ended.out.count(", 0 there") == 4


def test_a_password_is_not_printed(
    searcher: Searcher, run_campaign: RunCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    import search.campaigns.seen as seen

    url = "postgresql+psycopg://me:secret@host/db"
    monkeypatch.setattr(seen, "look_into", lambda url, create: {})
    ended = run_campaign(Campaigner(searcher).file, "--store", url, "--out", "report", "--explain")
    assert (ended.code, "secret" in ended.out) == (0, False)
    assert "postgresql+psycopg://me:***@host/db" in ended.out


def test_a_report_cannot_go_where_a_file_is(searcher: Searcher, run_campaign: RunCampaign, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    ended = run_campaign(Campaigner(searcher).file, "--out", tmp_path / "report")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "the report needs a folder, and that is a file" in ended.err
    assert not searcher.runs.exists()
