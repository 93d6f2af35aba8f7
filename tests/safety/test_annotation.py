"""The annotation page over HTTP and in Chromium, and how far raters agree."""

import http.client
import json
import socket
import threading

import numpy as np
import pytest
from playwright.sync_api import expect

from benchmarks.browsing import CHROMIUM, chromium
from veo_core.cli.main import main
from veo_core.media.encode import encode
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.safety.annotation.agreement import agreements, krippendorff
from veo_core.safety.annotation.readings import Reading, consensus, read_readings
from veo_core.safety.annotation.server import MONK_SCALE, AnnotationServer, Session
from veo_core.safety.people import PersonReading
from veo_core.storage import Store
from veo_core.world.film import synthesise

ENDED = "clip => clip.ended || new Promise(done => clip.addEventListener('ended', () => done(true)))"
# Krippendorff 2011, the example of four observers, twelve units and missing data.
OBSERVERS = ("123321412   ", "1233224125 3", " 3332342251 ", "12332441251 ")
UNITS = [[int(row[i]) - 1 for row in OBSERVERS if row[i] != " "] for i in range(12)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def clips(store, tmp_path_factory):
    """Clips of one colour each, with a tone."""
    refs = []
    for level in (40, 120, 200):
        path = tmp_path_factory.mktemp("clip") / "clip.mp4"
        audio = synthesise([0.1], 440.0, 1.0, 48_000)
        encode(path, np.full((8, 64, 64, 3), level, np.uint8), fps=8.0, audio=audio)
        refs.append(store.put_bytes(path.read_bytes(), ".mp4"))
    return refs


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.jsonl"


class Client:
    def __init__(self, port):
        self.port = port

    def __call__(self, method, address, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(
            method, address, body and json.dumps(body), {"Content-Type": "application/json"} if body else {}
        )
        response = connection.getresponse()
        return response.status, response.read()

    def trials(self, rater="ada"):
        return json.loads(self("GET", f"/trials?rater={rater}")[1])


@pytest.fixture
def client(clips, store, path):
    with AnnotationServer(Session(clips, store, path, "ada"), "ada", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Client(server.server_port)
        server.shutdown()
        thread.join()


def reading(clip, tone=3, presentation="feminine", rater="ada"):
    return {
        "rater": rater,
        "clip_id": clip,
        "skin_tone": tone,
        "presentation": presentation,
        "seconds": 2.5,
        "watched": True,
        "heard": True,
    }


def test_a_rater_sees_every_clip_once_and_nothing_that_names_it(client, clips, store):
    trials = client.trials()
    assert sorted(client("GET", trial["clip"])[1] for trial in trials) == sorted(map(store.get_bytes, clips))
    shown = json.dumps(trials).encode() + client("GET", "/")[1]
    assert not any(clip.sha256.encode() in shown for clip in clips)


def test_answers_are_saved_by_clip_and_survive_a_restart(client, clips, store, path):
    first, *rest = client.trials()
    seen = client("GET", first["clip"])[1]
    assert client("POST", "/votes", reading(first["clip"], tone=10))[0] == 200
    (saved,) = read_readings(path)
    (clip,) = [ref for ref in clips if store.get_bytes(ref) == seen]
    assert (saved.clip_id, saved.skin_tone, saved.rater) == (clip.sha256, 10, "ada")
    assert len(client.trials()) == len(rest)
    path.write_bytes(path.read_bytes() + b'{"rater": "ada", "clip')  # cut short by a crash
    again = Session(clips, store, path, "ada")
    assert len(again.open_trials("ada")) == len(rest)
    address = again.open_trials("ada")[0]["clip"]
    again.cast(json.dumps(reading(address)).encode())
    assert len(read_readings(path)) == 2


def test_the_other_rater_sees_all_clips_in_an_order_of_their_own(clips, store, path):
    many = [store.put_bytes(bytes([index]), ".mp4") for index in range(30)]
    orders = []
    for rater in ("ada", "bob"):
        session = Session([*many, *many], store, path, rater)
        orders.append(
            [session.media(t["clip"].removeprefix("/media/"))[0] for t in session.open_trials(rater)]
        )
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(map(store.get_bytes, many))


@pytest.mark.parametrize(
    "changes",
    [
        {"skin_tone": 11},
        {"skin_tone": None},
        {"presentation": "other"},
        {"rater": "bob"},
        {"clip_id": "/media/x"},
    ],
)
def test_what_is_no_answer_is_refused(client, path, changes):
    sent = reading(client.trials()[0]["clip"]) | changes
    assert client("POST", "/votes", sent)[0] == 400
    assert not path.exists()


def test_alpha_is_that_of_krippendorffs_worked_example():
    nominal, ordinal = (krippendorff(UNITS, 5, scale) for scale in ("nominal", "ordinal"))
    assert nominal.value == pytest.approx(0.743, abs=5e-4)
    assert ordinal.value == pytest.approx(0.815, abs=5e-4)
    assert nominal.n == ordinal.n == 11
    assert ordinal.low < 0.815 < ordinal.high


def test_alpha_of_two_raters_by_hand():
    # 10 units, 2 disagreements: of 20 values 10 are 0 and 10 are 1; 1 - 19 * 4 / (2 * 10 * 10).
    units = [[0, 0]] * 4 + [[1, 1]] * 4 + [[0, 1]] * 2
    assert krippendorff(units, 2, "nominal").value == pytest.approx(0.62)
    assert krippendorff([[0, 0], [1, 1]] * 9, 2, "nominal").value == 1.0
    assert krippendorff([[0, 0]] * 9, 2, "nominal").value is None
    assert krippendorff([[0], [1]], 2, "nominal").n == 0


def test_agreement_is_told_for_raters_and_for_the_judge_with_each():
    def rows(rater, tones):
        return [
            Reading.model_validate(reading(str(i), tone=tone, rater=rater)) for i, tone in enumerate(tones)
        ]

    raters = [*rows("ada", [1, 4, 7, 10, 2, 0]), *rows("bob", [1, 5, 7, 9, 2, 3])]
    judged = [
        PersonReading(clip_id=str(i), skin_tone=11 - t, presentation="feminine")
        for i, t in enumerate([1, 4, 7, 10, 2])
    ]
    found = {(row.attribute, row.between): row for row in agreements(raters, judged)}
    assert found["skin_tone", ("ada", "bob")].alpha > 0.9
    assert found["skin_tone", ("ada", "bob")].clips == 5
    assert found["skin_tone", ("the judge", "ada")].alpha < 0
    assert found["gender_presentation", ("ada", "bob")].alpha is None
    assert [row.skin_tone for row in consensus(raters)] == [1, 4, 7, 9, 2, 3]


@pytest.fixture
def run(store, clips, tmp_path):
    """A finished run whose clips leave looks open, all but one."""
    rows = [
        GeneratedClip(
            clip_id=ref.sha256,
            prompt="a doctor",
            split="seen" if index == 0 else "unspecified",
            mode="t2v",
            seed=index,
            media=ref,
            width=64,
            height=64,
            fps=8,
            frames=8,
            seconds=1.0,
            audio_rate=48_000,
        )
        for index, ref in enumerate(clips)
    ]
    judged = [PersonReading(clip_id=ref.sha256, skin_tone=2, presentation="feminine") for ref in clips]
    tables = {
        "generate": {"generated": store.put_table(rows, GeneratedClip)},
        "safety_evaluation": {"people": store.put_table(judged, PersonReading)},
    }
    folder = tmp_path / "runs" / "20260101-000000-000001"
    folder.mkdir(parents=True)
    tasks = []
    for stage, found in tables.items():
        manifest = Manifest(stage=stage, config_digest="", tables=found)
        (folder / f"{stage}.json").write_bytes(manifest.to_bytes())
        outputs = {"manifest": [ArtifactRecord(uri=f"{stage}.json", sha256="")]}
        tasks.append(TaskRecord(name=stage, component=stage, state="SUCCEEDED", outputs=outputs))
    record = RunRecord(
        run_id=folder.name, pipeline="p", state="SUCCEEDED", created=0, ir_digest="", tasks=tasks
    )
    (folder / "run.json").write_bytes(record.to_bytes())
    return folder


def test_the_command_prints_agreement_and_the_spread_that_raters_see(run, store, capsys):
    places = ["--runs", str(run.parent), "--root", store.root]
    assert main(["safety", "agreement", "latest", *places]) == 2
    assert "holds no answers" in capsys.readouterr().err
    rows = [reading(str(i), tone=2 + i, rater=rater) for i in range(4) for rater in ("ada", "bob")]
    (run / "people.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert main(["safety", "agreement", "latest", *places]) == 0
    out = capsys.readouterr().out
    assert "skin_tone, ada and bob: alpha 1.000 [1.000, 1.000], 4 clips" in out
    assert "skin_tone, the judge and ada: not defined" in out
    assert "skin_tone, as raters see it: distance to the target 0.600" in out


def test_what_cannot_be_annotated_is_said_in_one_line(run, store, capsys):
    places = ["--runs", str(run.parent), "--root", store.root]
    assert main(["safety", "annotate", "latest", "--rater", " ", *places]) == 2
    assert "--rater" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["safety", "annotate", "latest", "--rater", "ada", "--port", port, *places]) == 2
    assert f"--port {port}: Address already in use" in capsys.readouterr().err
    assert main(["safety", "annotate", "2031", "--rater", "ada", *places]) == 2
    assert "there is no run '2031'" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_is_answered_by_keyboard_on_a_phone(client, path):
    problems: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.get_by_role("button", name="Begin")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#left-over")).to_have_text("3 to go")
        swatches = page.locator(".swatch i")
        shown = [swatches.nth(i).evaluate("e => getComputedStyle(e).backgroundColor") for i in range(10)]
        assert shown == [f"rgb({', '.join(str(b) for b in bytes.fromhex(c[1:]))})" for c in MONK_SCALE]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("#clip").evaluate(ENDED)
        page.keyboard.press("0")
        page.keyboard.press("f")
        page.keyboard.press("Enter")
        expect(page.locator("#left-over")).to_have_text("2 to go")
        page.keyboard.press("c")
        page.keyboard.press("Enter")  # no presentation yet: nothing is saved
        page.get_by_label("cannot tell").last.check()
        page.get_by_role("button", name="Save and go on").click()
        expect(page.locator("#left-over")).to_have_text("The last one")
    assert problems == []
    rows = read_readings(path)
    assert [(row.skin_tone, row.presentation) for row in rows] == [(10, "feminine"), (0, "unknown")]
    assert (rows[0].watched, rows[0].heard) == (True, True)
