"""Two runs side by side: what differs, what both made of one prompt, and which of it people prefer."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.evaluate.side_by_side.votes import Choice, System, Vote, preferences, read_votes
from veo_core.explorer.documents import RunSummary
from veo_core.explorer.evaluation import made_clips
from veo_core.explorer.library import Run
from veo_core.explorer.results import Ballot, ClipPair, CompareDocument, MadeClip, VotesDocument
from veo_core.lineage.diff import diff
from veo_core.records.base import sha256_bytes
from veo_core.records.journal import append_record


def compare_document(first: Run, second: Run, summaries: tuple[RunSummary, RunSummary]) -> CompareDocument:
    """What differs between two runs, with the clips that both made of the same prompts."""
    known = first.evidence.run is not None and second.evidence.run is not None
    difference = diff(first.evidence, second.evidence) if known else None
    unread = [] if known else [*first.evidence.notes, *second.evidence.notes]
    return CompareDocument(
        first=summaries[0],
        second=summaries[1],
        difference=difference,
        pairs=pairs_of(made_clips(first.evidence), made_clips(second.evidence)),
        notes=list(dict.fromkeys(unread)),
    )


def pairs_of(first: Sequence[MadeClip], second: Sequence[MadeClip]) -> list[ClipPair]:
    """Clips of one mode and prompt; those of one seed go together, the rest in order."""
    theirs: dict[tuple[str, str], list[MadeClip]] = defaultdict(list)
    for clip in second:
        theirs[clip.mode, clip.prompt].append(clip)
    pairs = []
    for clip in first:
        others = theirs[clip.mode, clip.prompt]
        other = next((o for o in others if o.seed == clip.seed), others[0] if others else None)
        if other is not None:
            others.remove(other)
            pairs.append(
                ClipPair(
                    id=sha256_bytes(f"{clip.id}\n{other.id}".encode())[:16],
                    prompt=clip.prompt,
                    split=clip.split,
                    mode=clip.mode,
                    seed=clip.seed,
                    first=clip,
                    second=other,
                )
            )
    return pairs


def cast_vote(first: Run, second: Run, ballot: Ballot) -> VotesDocument:
    """Save a vote; it is on the disk when this returns, beside the first run's record.

    Raises:
        UsageError: there is no such pair, or nothing can be written there.
    """
    pairs = pairs_of(made_clips(first.evidence), made_clips(second.evidence))
    pair = next((pair for pair in pairs if pair.id == ballot.pair), None)
    if pair is None:
        raise UsageError("these runs have no such pair of clips")
    sides: tuple[System, System] = ("first", "second")
    left, right = sides if ballot.left == "a" else sides[::-1]
    choices: dict[str, Choice] = {"left": left, "right": right, "tie": "same"}
    vote = Vote(
        rater=ballot.rater,
        pair=ballot.pair,
        prompt=sha256_bytes(pair.prompt.encode())[:16],  # votes stay when a caption is forgotten
        catch=False,
        left=left,
        answers={"overall": choices[ballot.choice]},
        seconds=ballot.seconds,
        watched=ballot.watched,
        heard=ballot.heard,
    )
    if not first.is_local:
        raise UsageError(f"votes cannot be saved: run {first.folder.name} lies in a bucket")
    try:
        append_record(_votes(first, second), vote)
    except OSError as error:
        raise UsageError(f"{_votes(first, second)}: cannot be written: {error.strerror}") from None
    return votes_document(first, second)


def votes_document(first: Run, second: Run) -> VotesDocument:
    """What people prefer so far."""
    votes = read_votes(_votes(first, second))
    found = next((p for p in preferences(votes) if p.question == "overall"), None)
    if found is None:
        return VotesDocument(
            votes=0,
            wins_a=0,
            wins_b=0,
            ties=0,
            win_rate=None,
            ci_low=None,
            ci_high=None,
            raters=0,
            left_out=[],
        )
    return VotesDocument(
        votes=found.wins + found.ties + found.losses,
        wins_a=found.wins,
        wins_b=found.losses,
        ties=found.ties,
        win_rate=found.win_rate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        raters=found.raters,
        left_out=found.left_out,
    )


def _votes(first: Run, second: Run) -> Path:
    return first.folder / f"votes-{second.folder.name}.jsonl"
