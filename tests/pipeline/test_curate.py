"""`veo curate`: from footage to a dataset, in parts or not."""

import pytest
from workplace import CURATION, Workplace

SMALL = ("--set", "collect.world.clips=24", "--set", "package.min_clips=2")


def digests(place: Workplace) -> dict[str, str]:
    return {name: task.output_parameters["digest"] for name, task in place.tasks().items()}


@pytest.mark.thorough
def test_curation_ends_with_a_dataset_trains_nothing_and_reuses_what_a_whole_run_curated(finished, tmp_path):
    place = Workplace(tmp_path, subcommand="curate")
    process = place.run("--root", finished.store.root)
    assert process.returncode == 0, process.stderr
    assert "dataset: " in process.stdout
    assert list(place.tasks()) == list(CURATION)
    assert digests(place).items() <= digests(finished).items()
    assert {task.state for task in place.latest.tasks} == {"CACHED"}


@pytest.mark.slow
def test_curation_in_parts_gives_the_same_manifests(tmp_path):
    whole = Workplace(tmp_path / "whole", subcommand="curate")
    place = Workplace(tmp_path / "parts", subcommand="curate")
    for folder, settings in ((whole, ()), (place, ("--set", "parts=3"))):
        folder.folder.mkdir()
        process = folder.run(*SMALL, *settings)
        assert process.returncode == 0, process.stderr
    parts = [task for task in place.latest.tasks if task.name.endswith("-part")]
    assert len(parts) == 5 * 3
    assert place.curation_digests() == whole.curation_digests()
