"""A worker has its share of the machine, and no more."""

import json
import os
import subprocess
import sys

import pytest

from plumbing.errors import UsageError
from search.workers import limits
from search.workers.limits import GIB, Share, free_memory_gib, shares, visible_gpus
from tests.search.conftest import REPOSITORY

TELL = """
import json, os, resource, sys
from search.workers.limits import Share, keep_to
cpus, memory, gpu = json.loads(sys.argv[1])
keep_to(Share(tuple(cpus), memory, gpu))
told = {"cpus": sorted(os.sched_getaffinity(0)), "bytes": resource.getrlimit(resource.RLIMIT_DATA)[0]}
try:
    held = bytearray(3 * 2**30)
    told["allocated"] = True
except MemoryError:
    told["allocated"] = False
print(json.dumps(told | {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}))
"""


def kept_to(share: Share) -> dict[str, object]:
    given = json.dumps([share.cpus, share.memory_gib, share.gpu])
    ended = subprocess.run(
        [sys.executable, "-c", TELL, given], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    told: dict[str, object] = json.loads(ended.stdout)
    return told


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not let cores be chosen")
def test_process_keeps_to_its_cores_its_memory_and_its_gpu() -> None:
    core = min(os.sched_getaffinity(0))
    told = kept_to(Share((core,), 2.0, "3"))
    assert told == {"cpus": [core], "bytes": 2 * GIB, "allocated": False, "gpu": "3"}


def test_cores_and_memory_are_divided_without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    divided = shares(2)
    assert sorted({core for share in divided for core in share.cpus}) == sorted(os.sched_getaffinity(0))
    free = free_memory_gib()
    assert free is not None
    for share in divided:
        assert share.memory_gib == pytest.approx(free / 2, rel=0.2)  # what is free changes meanwhile
        assert share.gpu is None


def test_each_worker_has_one_gpu_in_turn_and_no_bound_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    assert [(share.gpu, share.memory_gib) for share in shares(3)] == [("2", None), ("5", None), ("2", None)]


def test_more_workers_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory_gib", lambda: 7.0)
    assert len(shares(3)) == 3
    with pytest.raises(UsageError, match=r"--workers 4: 1\.8 GiB of memory for each, 2 is the least"):
        shares(4)
