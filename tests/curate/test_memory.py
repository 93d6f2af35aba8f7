"""A stage's memory does not grow with the number of its clips."""

import importlib
import tracemalloc

import pytest
from curation import context, manifest_of

from veo_core.stage import interface_of

FEW, MANY = 600, 1500  # above the size of a group of rows, which is held in any case
PER_CLIP = 1024  # bytes that a stage may remember of each clip


def repeated(curated, stage, count):
    """The manifest of `count` clips with ids of their own and the content of a few that were curated."""
    clips = curated.clips(stage)[:20]
    many = [clips[n % len(clips)].model_copy(update={"clip_id": f"{n:064x}"}) for n in range(count)]
    return manifest_of(curated.store, many)


@pytest.mark.thorough
@pytest.mark.parametrize(("stage", "before"), [("describe", "prepare"), ("quality_filter", "safety_filter")])
def test_stage_remembers_little_of_each_clip(curated, judge, monkeypatch, stage, before):
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    run = importlib.import_module(f"veo_core.curate.{stage}").run
    config = interface_of(run).config()
    peaks = []
    for count in (20, FEW, MANY):  # the first run pays for what is made once
        clips = repeated(curated, before, count)
        tracemalloc.start()
        assert run(clips=clips, config=config, context=context(curated.store, stage)).counts.received == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / (MANY - FEW) < PER_CLIP
