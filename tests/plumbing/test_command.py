"""How commands end: exit codes, and one line on stderr."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from plumbing.command import CommandParser, Interrupted, at_least, one_line, run_command
from plumbing.errors import DataError, ModelError, SearchFailed, SpaceError, StoreError, UsageError

REPOSITORY = Path(__file__).parents[2]


def raising(error: BaseException) -> Callable[[Sequence[str]], int]:
    def main(arguments: Sequence[str]) -> int:
        raise error

    return main


def in_a_process(body: str, *arguments: str, before: Sequence[str] = (), **options: object) -> subprocess.Popen[Any]:
    """A command of that body, `main(arguments)`, run as ours are; by another command, where one is given before it."""
    code = f"import sys\nfrom plumbing.command import run_command\ndef main(arguments):\n{body}\n"
    run = f"{code}sys.exit(run_command('a.command', main, sys.argv[1:]))"
    line = [*before, sys.executable, "-c", run, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": REPOSITORY}
    return subprocess.Popen(line, **(pipes | options))  # type: ignore[call-overload]


def test_a_command_ends_with_its_own_code() -> None:
    assert run_command("a.command", lambda arguments: len(arguments), ["x", "y", "z"]) == 3


@pytest.mark.parametrize("kind", [UsageError, DataError, SpaceError, StoreError, ModelError])
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(
    kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("a.command", raising(kind("--data x:\n  no such\tfolder")), []) == 2
    assert capsys.readouterr() == ("", "a.command: --data x: no such folder\n")


def test_a_failed_search_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("a.command", raising(SearchFailed("out of\nmemory")), []) == 1
    assert capsys.readouterr().err == "a.command: out of memory\n"


@pytest.mark.parametrize(
    ("interrupt", "line"),
    [
        (KeyboardInterrupt(), "a.command: interrupted\n"),
        (Interrupted("resume with: again"), "a.command: interrupted; resume with: again\n"),
    ],
)
def test_interrupted_is_130_with_the_line_that_resumes(
    interrupt: KeyboardInterrupt, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("a.command", raising(interrupt), []) == 130
    assert capsys.readouterr().err == line


def test_ctrl_c_ends_a_real_command_with_130() -> None:
    # A shell's background jobs inherit SIGINT ignored, and so would this child of a test run started as one.
    restored = "    import signal\n    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = in_a_process(restored + "    print('ready', flush=True)\n    import time\n    time.sleep(60)")
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=240)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (130, "a.command: interrupted\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = in_a_process("    for line in range(100_000):\n        print(line)\n    return 0")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=240), errors) == (0, "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_what_the_surroundings_refuse_is_one_line_naming_the_file(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, os.strerror(number), "/runs/models")
    assert run_command("a.command", raising(error), []) == 2
    line = f"a.command: /runs/models: {os.strerror(number)}; free it or give another place\n"
    assert capsys.readouterr().err == line


def test_a_full_disk_without_a_file_name_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("a.command", raising(OSError(errno.ENOSPC, "No space left on device")), []) == 2
    assert capsys.readouterr().err.startswith("a.command: a file: No space left on device;")


def test_output_to_a_full_device_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = in_a_process("    print('x')\n    return 0", stdout=full)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 2
    assert errors.startswith("a.command: a file: No space left on device;")


def test_closed_outputs_are_no_error_and_no_file_takes_their_number(tmp_path: Path) -> None:
    """Flushing stdout ended the command; what libraries print would have gone into the first file opened."""
    body = (
        "    print('x')\n    import os\n    with open(arguments[0], 'w'):\n        os.write(1, b'stray')\n    return 0"
    )
    closing = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh"]
    process = in_a_process(body, str(tmp_path / "file"), before=closing)
    process.communicate(timeout=240)
    assert (process.returncode, (tmp_path / "file").read_text()) == (0, "")


def test_an_error_line_holds_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("a.command", raising(DataError("\x1b[31mred: no such file")), []) == 2
    assert capsys.readouterr().err == "a.command: \\x1b[31mred: no such file\n"
    assert run_command("a.command", raising(OSError(errno.EACCES, "closed", "\x1b[31mred")), []) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(("encoding", "written"), [("utf-8", b"\xff\n"), ("ascii", b"\\udcff\n")])
def test_a_name_that_is_no_utf_8_is_written_where_stdout_is_strict(encoding: str, written: bytes) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"}
    process = in_a_process("    print('\\udcff')\n    return 0", text=False, env=environment)
    assert (process.communicate(timeout=240), process.returncode) == ((written, b""), 0)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("ours")])
def test_what_no_user_can_mend_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_command("a.command", raising(error), [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--number", "x"], "'x' is not a whole number"),
        (["--number", "1"], "1 is below 2; give 2 or more"),
        (["--numb", "3"], "unrecognized arguments: --numb 3"),
        ([], "the following arguments are required: --number"),
    ],
)
def test_wrong_options_are_one_line_without_usage_text(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(given: Sequence[str]) -> int:
        parser = CommandParser("a.command", "Does nothing.")
        parser.add_argument("--number", type=at_least(2), required=not given)
        return int(parser.parse_args(given).number)

    assert run_command("a.command", main, arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert told in output.err
    assert output.err.endswith("; --help lists the options\n")


def test_help_tells_a_default_but_no_empty_one() -> None:
    parser = CommandParser("a.command", "Does nothing.")
    parser.add_argument("--seed", default=7, help="of the search")
    parser.add_argument("--data", help="a folder")
    parser.add_argument("--json", action="store_true", help="a document")
    text = one_line(parser.format_help())
    assert text.startswith("usage: python -m a.command")
    assert "of the search (default: 7)" in text
    assert text.count("(default") == 1
