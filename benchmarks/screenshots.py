"""Pictures of every page of the explorer, wide and on a phone, light and dark.

python -m benchmarks.screenshots --run latest --to build/screenshots
"""

import argparse
import sys
from pathlib import Path

from benchmarks.browsing import SIZES, Theme, Visit, chromium, serving
from veo_core.errors import UsageError
from veo_core.explorer.api import Api
from veo_core.explorer.documents import ClipsDocument, RunsDocument
from veo_core.explorer.library import Library, RunsFolder
from veo_core.explorer.results import EvaluationDocument
from veo_core.runner.journal import is_alive
from veo_core.storage import Store

_MOMENT = 700  # milliseconds for pictures and charts to be drawn
_THEMES: tuple[Theme, ...] = ("light", "dark")


def main() -> int:
    """Take the pictures and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="latest", help="a run's id, the start of one, or 'latest'")
    parser.add_argument("--runs", default="runs", help="folder of runs")
    parser.add_argument("--root", default="store", help="store of the runs")
    parser.add_argument("--to", type=Path, default=Path("build/screenshots"), help="folder for the pictures")
    arguments = parser.parse_args()
    try:
        store = Store(arguments.root, written=False)
        library = Library([RunsFolder(arguments.runs)], store, is_alive)
        api = Api(library)
        places = _places(api, library.resolve(arguments.run))
        arguments.to.mkdir(parents=True, exist_ok=True)
        with serving(api) as address, chromium() as browser:
            for size in SIZES:
                for theme in _THEMES:
                    with Visit(browser, address, size=size, theme=theme) as visit:
                        for name, place in places.items():
                            page = visit.open(place)
                            page.wait_for_timeout(_MOMENT)
                            page.screenshot(path=arguments.to / f"{name}-{size}-{theme}.png")
                    for problem in visit.problems:
                        print(f"{size}, {theme}: {problem}", file=sys.stderr)
    except UsageError as error:
        print(f"screenshots: {error}", file=sys.stderr)
        return 2
    print(f"{len(places)} pages in {arguments.to}")
    return 0


def _places(api: Api, run: str) -> dict[str, str]:
    """Names of the pages and where they are."""
    places = {"runs": "", "pipeline": f"run/{run}", "task": f"run/{run}/task/0"}
    places |= {name: f"run/{run}/{name}" for name in ("funnel", "clips", "training", "evaluation", "model")}
    kept = api.get(f"/api/runs/{run}/clips", {"limit": "1", "where": '{"verdict": ["kept"]}'})
    evaluation, listed = api.get(f"/api/runs/{run}/evaluation", {}), api.get("/api/runs", {})
    assert isinstance(kept, ClipsDocument)
    assert isinstance(evaluation, EvaluationDocument)
    assert isinstance(listed, RunsDocument)
    view = f"run/{run}/evaluation?view="
    places |= {"generated": f"{view}clips", "safety": f"{view}safety"}
    if kept.clips:
        places["story"] = f"run/{run}/clips/{kept.clips[0].id}"
    if evaluation.clips:
        places["generated-clip"] = f"{view}clips&clip={evaluation.clips[0].id}"
    for other in listed.runs:
        if other.id != run and other.generated:
            pair = f"compare/{other.id}/{run}"
            return places | {"difference": pair, "side-by-side": f"{pair}/clips", "vote": f"{pair}/vote"}
    return places


if __name__ == "__main__":
    raise SystemExit(main())
