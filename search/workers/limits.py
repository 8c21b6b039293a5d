"""A worker's share of a machine: processor cores, memory, one GPU."""

import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plumbing.errors import UsageError

GIB = 2**30
LEAST_GIB = 2.0  # what TensorFlow and its threads map counts, used or not: 1.8 GiB before it has trained anything
SMI = "nvidia-smi"
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Share:
    """What one worker may use.

    Attributes:
        cpus: cores; empty: as many as the process finds. memory_gib: of memory of its own; None: unbounded, as with a
            GPU, whose driver maps more than it uses. gpu: as CUDA_VISIBLE_DEVICES has it; None: as it is.
    """

    cpus: tuple[int, ...] = ()
    memory_gib: float | None = None
    gpu: str | None = None


def shares(workers: int) -> list[Share]:
    """This machine, divided: each worker has cores of its own as far as there are any, and the same memory.

    Raises: UsageError where there is less than two GiB for each.
    """
    cores, gpus, memory = _cores(), visible_gpus(), free_memory_gib()
    if memory is not None and memory / workers < LEAST_GIB:
        raise UsageError(
            f"--workers {workers}: {memory / workers:.1f} GiB of memory for each, {LEAST_GIB:g} is the least; "
            "give fewer workers"
        )
    return [
        Share(
            cpus=cores_of(index, workers, cores),
            memory_gib=None if gpus or memory is None else memory / workers,
            gpu=gpus[index % len(gpus)] if gpus else None,
        )
        for index in range(workers)
    ]


def cores_of(index: int, workers: int, cores: Sequence[int]) -> tuple[int, ...]:
    """The cores of a worker: every so many-th; one, shared, where there are more workers than cores.

    >>> cores_of(1, 2, [0, 1, 2, 3, 4]), cores_of(5, 8, [0, 1, 2])
    ((1, 3), (2,))
    """
    return tuple(cores[index::workers]) or ((cores[index % len(cores)],) if cores else ())


def keep_to(share: Share) -> None:
    """Let this process have no more than its share; to be called before TensorFlow and the like are loaded."""
    if share.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share.cpus)
    if share.memory_gib is not None:
        most = int(share.memory_gib * GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if share.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.gpu
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # two workers may have the same


def check_gpu(gpu: str | None) -> None:
    """Raises: UsageError where it is a number that no GPU here is known to have; other names are CUDA's to judge."""
    if gpu is None or not gpu.isdigit() or not ({"CUDA_VISIBLE_DEVICES"} & os.environ.keys() or shutil.which(SMI)):
        return
    if gpu not in (here := visible_gpus()):
        raise UsageError(f"--gpu {gpu}: no such GPU here; {'give ' + ' or '.join(here) if here else 'leave it out'}")


def visible_gpus() -> list[str]:
    """NVIDIA's GPUs by their numbers; those that CUDA_VISIBLE_DEVICES names where it is set."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [each.strip() for each in named.split(",") if each.strip() not in ("", "-1")]
    if (command := shutil.which(SMI)) is None:
        return []
    listed = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(index) for index in range(len(lines))]


def free_memory_gib() -> float | None:
    """What is free of this machine's memory, or of its container's; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    most, used = _bytes(CGROUP / "memory.max"), _bytes(CGROUP / "memory.current")
    inside = kib * 1024 if most is None else max(most - (used or 0) + _cached_files(), 0)
    return min(kib * 1024, inside) / GIB


def _cached_files() -> int:
    """Bytes of files that a container's use counts, and that it gives up when memory is wanted."""
    try:
        lines = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _cores() -> list[int]:
    """The cores that this process may use, where the system lets them be chosen."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _bytes(path: Path) -> int | None:
    """A cgroup's number; None where there is no such file, or no limit."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
