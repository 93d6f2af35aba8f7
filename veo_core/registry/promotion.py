"""Whether a new version is to replace the one promoted last: the scores of both on the same prompts."""

from veo_core.evaluate.compare import promotion
from veo_core.evaluate.records import ClipScore, Promotion
from veo_core.records.files import TableRef
from veo_core.registry.records import ModelDescription, ModelEntry
from veo_core.storage import Store


def keep_scores(scores: TableRef, store: Store) -> TableRef:
    """A table of the generated clips' scores alone: what later versions are held against.

    Real clips stay out, so that it outlives sources that are forgotten.
    """
    rows = store.get_table(scores, ClipScore)
    return store.put_table([row for row in rows if row.group == "generated"], ClipScore)


def judge_promotion(
    model: ModelDescription, last: ModelEntry | None, *, store: Store, seed: int
) -> Promotion:
    """The verdict on a model.

    Args:
        model: the candidate.
        last: the version promoted last, None where there is none.
        store: where the scores of both are.
        seed: of resampling and exchanges.
    """
    assert model.scores is not None
    generated = model.manifests["generated"]
    candidate = store.get_table(model.scores, ClipScore)
    if last is None:
        return promotion(candidate, [], generated=generated, model="", seed=seed)
    theirs = last.description.scores
    if theirs is None or not store.has(theirs):
        return Promotion(
            candidate=generated,
            baseline=last.reference,
            promote=False,
            reason=f"the scores of {last.reference} are not in the store; register that model again",
            differences=[],
        )
    baseline = store.get_table(theirs, ClipScore)
    return promotion(candidate, baseline, generated=generated, model=last.reference, seed=seed)
