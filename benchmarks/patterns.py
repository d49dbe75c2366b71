"""How far a pattern's uplift is to be trusted: coverage, false calls and confounding, on known truth.

`python -m benchmarks.patterns` starts an embedded server of its own in a temporary folder, draws runs of
1,000 patterns in each of two scenarios, half of them without any effect, and lets the project's own models
compare them. Easy tasks attract the patterns in both; in one tasks repeat within a month, in the other
an agent hardly ever does one twice.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.refresh import build_marts
from orchestration import bootstrap, server
from tests.pattern_runs import COMPUTED, RARE, REPEATED, draw_patterns, judge, write_patterns
from tests.refreshing import Refresher

RESULTS = Path(__file__).resolve().parent / "results" / "patterns.json"


def main() -> None:
    """Measure both scenarios; write and show the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--patterns", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    console = Console()
    results = {}
    table = Table("", *(s.name for s in (REPEATED, RARE)), title="Uplift on known truth")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.environ[server.HOME_VARIABLE] = str(Path(folder) / "home")
        try:
            url = server.up().dsn
            with psycopg.connect(url, autocommit=True) as connection:
                bootstrap.bootstrap(connection)
            refresher = Refresher.build(url, build_marts)
            with psycopg.connect(url, autocommit=True) as connection:
                for scenario in (REPEATED, RARE):
                    drawn = draw_patterns(scenario, chosen.patterns, chosen.seed)
                    write_patterns(connection, drawn)
                    began = time.monotonic()
                    for name in COMPUTED:
                        refresher.run(connection, name, refresher.statements[name], is_full=True)
                    results[scenario.name] = asdict(judge(connection, drawn)) | {
                        "seconds": round(time.monotonic() - began, 1)
                    }
        finally:
            server.down()
    for figure in results[RARE.name]:
        table.add_row(figure, *(f"{results[s.name][figure]:.3g}" for s in (REPEATED, RARE)))
    console.print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
