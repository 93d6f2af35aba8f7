import pytest
import torch
from footage import damage
from latent_shards import LAYOUT, bucket_of, shard_of

from veo_core.data.latents import LatentBucket
from veo_core.data.loader import Drawn, LatentLoader, read_ahead
from veo_core.errors import UsageError


def steps(loader: LatentLoader, seeds, draws: int = 1) -> list[list[tuple[str, float]]]:
    """Clips of the batches of steps, each with a number of the batch's own generator."""
    generator, found = torch.Generator(), []
    for seed in seeds:
        generator.manual_seed(seed)
        found += [told(loader.draw(generator)) for _ in range(draws)]
    return found


def told(drawn: Drawn) -> list[tuple[str, float]]:
    noise = torch.rand((), generator=drawn.generator).item()
    values = drawn.clips.tensors["video"].flatten(1)[:, 0].tolist()
    assert drawn.clips.clip_ids == [f"id-{int(value)}" for value in values]
    return [(name, noise) for name in drawn.clips.clip_ids]


@pytest.fixture(scope="module")
def bucket(store) -> LatentBucket:
    return bucket_of(store, [5, 5, 3])


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("ahead", [1, 2, 7])
def test_batches_do_not_depend_on_how_far_ahead_they_are_read(bucket, ahead, draws):
    with LatentLoader([bucket], 4, ahead=0) as plain:
        expected = steps(plain, range(100, 112), draws)
    with LatentLoader([bucket], 4, draws=draws, ahead=ahead) as loader:
        assert steps(loader, range(100, 112), draws) == expected
    assert len({str(batch) for batch in expected}) == len(expected)


def test_run_that_was_killed_goes_on_with_the_batches_of_one_that_was_not(bucket):
    with LatentLoader([bucket], 4) as whole:
        expected = steps(whole, range(20))
    with LatentLoader([bucket], 4) as before:
        first = steps(before, range(13))
    with LatentLoader([bucket], 4) as after:
        assert first + steps(after, range(13, 20)) == expected


def test_steps_in_another_order_get_their_own_batches(bucket):
    with LatentLoader([bucket], 4, ahead=0) as plain:
        expected = steps(plain, [3, 9, 4, 2, 2])
    with LatentLoader([bucket], 4, ahead=3) as loader:
        assert steps(loader, [3, 9, 4, 2, 2]) == expected


def test_draws_between_batches_change_nothing_but_what_follows(bucket):
    def run(ahead: int) -> list[list[tuple[str, float]]]:
        generator, found = torch.Generator(), []
        with LatentLoader([bucket], 4, draws=2, ahead=ahead) as loader:
            for seed in range(6):
                generator.manual_seed(seed)
                found.append(told(loader.draw(generator)))
                torch.rand(3, generator=generator)
                found.append(told(loader.draw(generator)))
        return found

    assert run(5) == run(0)


def test_generator_moves_on_alike_whether_the_batch_was_read_ahead_or_not(bucket):
    def after(ahead: int) -> list[float]:
        generator, found = torch.Generator(), []
        with LatentLoader([bucket], 4, ahead=ahead) as loader:
            for seed in range(4):
                loader.draw(generator.manual_seed(seed))
                found.append(torch.rand((), generator=generator).item())
        return found

    assert after(3) == after(0)


@pytest.mark.parametrize("world", [2, 4])
def test_slices_of_all_processes_are_the_batch_of_one(bucket, world):
    with LatentLoader([bucket], 8) as one:
        expected = steps(one, range(5))
    parts = []
    for rank in range(world):
        with LatentLoader([bucket], 8, rank=rank, world=world) as loader:
            parts.append(steps(loader, range(5)))
    joined = [[clip for part in step for clip in part] for step in zip(*parts, strict=True)]
    assert joined == expected


def test_share_says_which_clips_of_the_batch_were_read(bucket):
    with LatentLoader([bucket], 8, rank=1, world=2) as loader:
        drawn = loader.draw(torch.Generator().manual_seed(0))
    assert drawn.share == slice(4, 8)
    assert len(drawn.clips) == 4


def test_batch_that_cannot_be_shared_equally_is_refused(bucket):
    with pytest.raises(UsageError, match="6 clips cannot be shared equally by 4 processes"):
        LatentLoader([bucket], 6, world=4)


def test_buckets_without_clips_are_refused():
    with pytest.raises(UsageError, match="no clip to draw from"):
        LatentLoader([], 4)


def test_every_batch_is_of_one_bucket_and_buckets_come_in_proportion_to_their_clips(store):
    buckets = [bucket_of(store, [6, 6], side=4), bucket_of(store, [4], first=12, side=6)]
    shapes = {"4x4": (8, 2, 3, 4, 4), "6x6": (8, 2, 3, 6, 6)}
    counts = dict.fromkeys(shapes, 0)
    generator = torch.Generator()
    with LatentLoader(buckets, 8) as loader:
        for seed in range(400):
            drawn = loader.draw(generator.manual_seed(seed))
            counts[drawn.bucket.name] += 1
            assert drawn.clips.tensors["video"].shape == shapes[drawn.bucket.name]
            told(drawn)
    assert counts["4x4"] / 400 == pytest.approx(0.75, abs=0.08)  # 3.7 standard deviations


def test_all_clips_are_drawn(bucket):
    with LatentLoader([bucket], 4) as loader:
        drawn = {name for batch in steps(loader, range(60)) for name, _ in batch}
    assert drawn == {f"id-{number}" for number in range(13)}


def test_damaged_shard_ends_the_step_that_needs_it_with_one_clear_line(store):
    shards = [shard_of(store, range(300, 320)), shard_of(store, range(320, 322))]
    damage(store, shards[1].ref.path)
    with LatentLoader([LatentBucket("b", LAYOUT, shards)], 2, ahead=6) as loader:
        with pytest.raises(UsageError, match=f"{shards[1].ref.path} was altered.* run encode_latents again"):
            steps(loader, range(200))
        assert all(name < "id-320" for name in loader.clip_ids)


def test_waiting_is_counted_and_names_of_the_last_batch_are_kept(bucket):
    with LatentLoader([bucket], 4) as loader:
        assert (loader.waited, loader.clip_ids) == (0.0, [])
        drawn = loader.draw(torch.Generator().manual_seed(1))
        assert loader.clip_ids == drawn.clips.clip_ids
        assert loader.waited > 0.0


def test_items_read_ahead_come_in_order_and_errors_reach_the_reader():
    def items():
        yield from range(5)
        raise ValueError("the sixth item is damaged")

    seen: list[int] = []
    with pytest.raises(ValueError, match="sixth"):
        seen.extend(read_ahead(items()))
    assert seen == [0, 1, 2, 3, 4]
