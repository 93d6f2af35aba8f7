"""The side-by-side page over HTTP: blind, in random order, with every vote on disk."""

import http.client
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from veo_core.errors import UsageError
from veo_core.evaluate.folder import clips_of
from veo_core.evaluate.side_by_side.server import Session, SideBySideServer
from veo_core.evaluate.side_by_side.trials import pairs_of, trials_of
from veo_core.evaluate.side_by_side.votes import QUESTIONS, Vote, preferences, read_votes


def folder(root: Path, name: str, count: int) -> Path:
    made = root / name
    made.mkdir()
    for index in range(count):
        (made / f"{index:04d}.mp4").write_bytes(f"{name} {index}".encode())
        (made / f"{index:04d}.txt").write_text(f"prompt {index}")
    return made


@pytest.fixture
def pairs(tmp_path):
    return pairs_of(*(clips_of(folder(tmp_path, name, 20), None) for name in ("ours", "theirs")), seed=0)


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "Host": f"127.0.0.1:{self.port}",
            **({"Content-Type": "application/json"} if data else {}),
            **headers,
        }
        connection.request(method, path, data, sent)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture
def client(pairs, tmp_path):
    with SideBySideServer(Session(pairs, tmp_path / "votes.jsonl", seed=0), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Client(server.server_port)
        server.shutdown()
        thread.join()


def trials(client: Client, rater: str = "ada") -> list[dict]:
    status, body = client("GET", f"/trials?rater={rater}")
    assert status == 200
    return json.loads(body)


def ballot(trial: dict, side: str = "left", rater: str = "ada") -> dict:
    answers = dict.fromkeys(QUESTIONS, side)
    return {
        "rater": rater,
        "pair": trial["pair"],
        "answers": answers,
        "seconds": 3.0,
        "watched": True,
        "heard": True,
    }


def test_page_and_trials_do_not_tell_which_system_made_a_clip(client, pairs):
    status, page = client("GET", "/")
    assert status == 200
    shown = page + json.dumps(trials(client)).encode()
    assert b"ours" not in shown
    assert b"theirs" not in shown
    assert len(trials(client)) == len(pairs) == 21


def test_clips_of_a_trial_are_those_of_the_two_systems_on_one_prompt(client):
    sides = set()
    for trial in trials(client):
        clips = [client("GET", trial[side])[1].decode() for side in ("left", "right")]
        number = trial["prompt"].removeprefix("prompt ")
        assert all(clip.endswith(f" {number}") for clip in clips)
        sides.add(tuple(clip.split()[0] for clip in clips))
    assert ("ours", "theirs") in sides
    assert ("theirs", "ours") in sides
    assert ("ours", "ours") in sides


def test_a_vote_is_saved_by_system_and_its_pair_is_not_shown_again(client, tmp_path):
    (trial, *rest) = trials(client)
    left = client("GET", trial["left"])[1].split()[0]
    assert client("POST", "/votes", ballot(trial, "left"))[0] == 200
    (vote,) = read_votes(tmp_path / "votes.jsonl")
    chosen = vote.answers["overall"]
    assert vote.catch or {"first": b"ours", "second": b"theirs"}[chosen] == left
    assert [t["pair"] for t in trials(client)] == [t["pair"] for t in rest]
    assert len(trials(client, "bob")) == len(rest) + 1


def test_votes_survive_a_restart(client, pairs, tmp_path):
    trial = trials(client)[0]
    client("POST", "/votes", ballot(trial))
    again = Session(pairs, tmp_path / "votes.jsonl", seed=0)
    assert trial["pair"] not in [t["pair"] for t in again.open_trials("ada")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"rater": "ada"}, 400),
        (b"x" * 70_000, 413),
    ],
)
def test_what_is_no_vote_is_refused(client, tmp_path, body, status):
    assert client("POST", "/votes", body)[0] == status
    assert not (tmp_path / "votes.jsonl").exists()


def test_unknown_pairs_and_sides_are_refused(client):
    trial = trials(client)[0]
    assert client("POST", "/votes", ballot({"pair": "none"}))[0] == 400
    assert client("POST", "/votes", ballot(trial, "both"))[0] == 400
    assert client("GET", "/media/guess")[0] == 404


def test_pages_of_other_sites_are_refused(client):
    assert client("GET", "/", Host="evil.example")[0] == 403
    assert client("GET", "/", Origin="http://evil.example")[0] == 403
    trial = trials(client)[0]
    assert client("POST", "/votes", ballot(trial), Origin="http://evil.example")[0] == 403
    assert client("POST", "/votes", ballot(trial), **{"Content-Type": "text/plain"})[0] == 400


def test_sides_are_balanced_and_order_is_the_raters_own(pairs):
    orders = {tuple(t.pair.identity for t in trials_of(pairs, f"r{n}", seed=0)) for n in range(20)}
    assert len(orders) == 20
    left = np.mean([t.left == "first" for n in range(100) for t in trials_of(pairs, f"r{n}", seed=0)])
    assert 0.45 < left < 0.55
    assert trials_of(pairs, "ada", seed=0) == trials_of(pairs, "ada", seed=0)


def test_systems_without_a_shared_prompt_cannot_be_compared(tmp_path):
    first, second = (folder(tmp_path, name, 2) for name in ("one", "two"))
    for path in second.glob("*.txt"):
        path.write_text("something else")
    with pytest.raises(UsageError, match="no prompt was answered by both"):
        pairs_of(clips_of(first, None), clips_of(second, None), seed=0)


def votes(rater: str, wins: int, ties: int, losses: int, caught: bool = True) -> list[Vote]:
    chosen = ["first"] * wins + ["same"] * ties + ["second"] * losses
    common = {"rater": rater, "left": "first", "seconds": 1.0, "watched": True, "heard": True}
    made = [
        Vote(pair=f"p{n}", prompt=f"prompt {n}", catch=False, answers={"overall": c}, **common)
        for n, c in enumerate(chosen)
    ]
    answer = "same" if caught else "first"
    return [*made, Vote(pair="c", prompt="prompt 0", catch=True, answers={"overall": answer}, **common)]


def test_win_rate_counts_ties_as_half_and_has_an_interval_by_prompt():
    (found,) = preferences([*votes("ada", 12, 4, 4), *votes("bob", 12, 4, 4)])
    assert (found.wins, found.ties, found.losses, found.raters) == (24, 8, 8, 2)
    assert found.win_rate == pytest.approx(0.7)
    assert found.prompts == 20
    assert found.ci_low < 0.7 < found.ci_high
    (alone,) = preferences(votes("ada", 12, 4, 4))
    assert found.ci_high - found.ci_low == pytest.approx(alone.ci_high - alone.ci_low, abs=0.02)


def test_a_rater_who_sees_differences_between_equal_clips_is_left_out():
    (found,) = preferences([*votes("ada", 10, 0, 10), *votes("careless", 20, 0, 0, caught=False)])
    assert found.win_rate == 0.5
    assert found.left_out == ["careless"]


def test_the_last_vote_of_a_rater_on_a_pair_counts():
    (found,) = preferences([*votes("ada", 20, 0, 0), *votes("ada", 0, 0, 20)])
    assert found.win_rate == 0.0


def test_a_line_cut_short_is_left_out_and_a_damaged_one_is_an_error(tmp_path):
    path = tmp_path / "votes.jsonl"
    line = votes("ada", 1, 0, 0)[0].to_bytes()
    path.write_bytes(line + b"\n" + line[:20])
    assert len(read_votes(path)) == 1
    path.write_bytes(line[:20] + b"\n" + line + b"\n")
    with pytest.raises(UsageError, match="line 1 is no vote"):
        read_votes(path)
