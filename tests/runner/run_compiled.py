"""Run a compiled pipeline as a process of its own: run_compiled.py IR RUNS [NAME=TEXT ...]."""

import sys
from pathlib import Path

from veo_core.runner import engine, ir, progress, runs
from veo_core.runner.parameters import parse_assignments

if __name__ == "__main__":
    pipeline = ir.load(sys.argv[1])
    folder = Path(sys.argv[2])
    given = parse_assignments(dict(item.split("=", 1) for item in sys.argv[3:]), pipeline.root.parameters)
    with progress.shown(folder) as observe:
        record = engine.run(pipeline, given, runs_dir=folder, options=engine.Options(observe=observe))
    sys.exit(runs.exit_code(record))
