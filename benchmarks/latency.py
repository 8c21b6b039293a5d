"""How long the page takes for one radiograph, by ApacheBench (`ab`, Debian's apache2-utils).

    python -m benchmarks.latency [--requests N]

One image of XR_HAND's test split is sent to POST /v1/predict again and again, each time over a connection of its own,
by 1 client and by 8 at once, with and without a heat map; efficientnet_lite0, 224 px, of which the head alone was
trained. `ab` runs on the same cores. A request failed if it was cut off or its status was none of 200 to 299.
"""

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.agreement import searched
from benchmarks.common import save
from predict.networks import KERAS, ONNX
from tests.predict.serving import form, serving

PART, WARM_UP = "XR_HAND", 16
CLIENTS = (1, 8)
ASKED = {  # what is asked -> the engine, the form's fields
    "keras": (KERAS, {}),
    "keras, heat map": (KERAS, {"heat": "true"}),
    "onnx": (ONNX, {}),
}


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400, help="of each row")
    requests = parser.parse_args().requests
    if shutil.which("ab") is None:
        sys.exit("ab is not there; apt-get install apache2-utils")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        best, *_ = searched(Path(folder), PART, "all", 2, "--epochs", 4)
        for what, (engine, fields) in ASKED.items():
            content, kind = form([best.paths[0]], part=PART, **fields)
            (body := Path(folder, "body")).write_bytes(content)
            with serving(Path(folder, "log"), "--store", best.url, "--part", PART, "--engine", engine) as server:
                asked(server.url, body, kind, WARM_UP, max(CLIENTS))
                for clients in CLIENTS:
                    found[f"{what}, {clients} at once"] = told = asked(server.url, body, kind, requests, clients)
                    print(what, clients, told, file=sys.stderr)
        save("latency", {"bytes of the image": best.paths[0].stat().st_size, **found})


def asked(address: str, body: Path, kind: str, requests: int, clients: int) -> dict[str, float]:
    """Requests, those that failed, their rate, and milliseconds by percentile.

    Raises: SystemExit where `ab` does not end well.
    """
    percentiles = body.with_suffix(".csv")
    line = ["ab", "-q", "-l", "-s", "300", "-n", str(requests), "-c", str(clients), "-p", str(body), "-T", kind]
    ended = subprocess.run(
        [*line, "-e", str(percentiles), f"{address}/v1/predict"], capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        sys.exit(f"ab failed: {ended.stderr}")
    with percentiles.open(newline="") as file:
        milliseconds = {row["Percentage served"]: float(row["Time in ms"]) for row in csv.DictReader(file)}
    other = re.search(r"Non-2xx responses: +(\d+)", ended.stdout)  # a line that is there only where there are some
    return {
        "requests": int(number(ended.stdout, "Complete requests")),
        "failed": int(number(ended.stdout, "Failed requests")) + (int(other[1]) if other else 0),
        "requests/s": number(ended.stdout, "Requests per second"),
        "p50 ms": round(milliseconds["50"]),
        "p95 ms": round(milliseconds["95"]),
        "greatest ms": round(number(ended.stdout, " 100%")),
    }


def number(output: str, name: str) -> float:
    """The number after a name in what `ab` prints.

    Raises: SystemExit where it is not there.
    """
    found = re.search(rf"^ *{re.escape(name)}:? +([\d.]+)", output, re.MULTILINE)
    if found is None:
        sys.exit(f"ab printed no {name}:\n{output}")
    return float(found[1])


if __name__ == "__main__":
    main()
