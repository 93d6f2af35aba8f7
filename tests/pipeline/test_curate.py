"""`veo curate`: from footage to a dataset, in parts or not."""

import pytest
from workplace import Workplace

SMALL = ("--set", "collect.world.clips=24", "--set", "package.min_clips=2")


@pytest.fixture(scope="module")
def curated(tmp_path_factory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("curate"), subcommand="curate")
    process = place.run(*SMALL)
    assert process.returncode == 0, process.stderr
    assert "dataset: " in process.stdout
    return place


def test_curation_ends_with_a_dataset_and_trains_nothing(curated):
    assert list(curated.curation_digests()) == list(curated.tasks())
    assert curated.manifest("package").shards


@pytest.mark.slow
def test_curation_in_parts_gives_the_same_manifests(curated, tmp_path):
    place = Workplace(tmp_path, subcommand="curate")
    process = place.run(*SMALL, "--set", "parts=3")
    assert process.returncode == 0, process.stderr
    parts = [task for task in place.latest.tasks if task.name.endswith("-part")]
    assert len(parts) == 5 * 3
    assert place.curation_digests() == curated.curation_digests()
