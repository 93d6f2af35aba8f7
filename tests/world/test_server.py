"""The judge server through the official client, and over plain HTTP where the client cannot go."""

import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib

import cv2
import numpy as np
import openai
import pytest

from veo_core.judges.batch import Evidence, Question, run_all
from veo_core.judges.client import JudgeConfig
from veo_core.media.sound import wav_bytes
from veo_core.records.base import Record
from veo_core.storage import Store
from veo_core.world.api import EMBEDDING_MODEL, JUDGE_MODEL
from veo_core.world.evidence import MAX_PICTURES
from veo_core.world.faults import FaultRates
from veo_core.world.film import alarm, record, render
from veo_core.world.grammar import parse, prompt_suite
from veo_core.world.plan import scene_of
from veo_core.world.server import MAX_BODY_BYTES, JudgeServer
from veo_core.world.truth import WorldSpec

SPEC = WorldSpec(seed=4711)


@contextlib.contextmanager
def serving(**faults):
    with JudgeServer("127.0.0.1", 0, FaultRates(**faults)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    return client_of(server)


def client_of(server, **options):
    return openai.OpenAI(base_url=server.url, api_key="any", **{"max_retries": 0, **options})


class Shown:
    """A scene of the world as a judge is shown it."""

    def __init__(self, index, *, frames=4, hazard=False):
        self.scene = scene_of(SPEC, index, hazard=hazard)
        pictures = render(self.scene, np.linspace(0.0, 2.0, frames), 64, 64)
        self.jpegs = [encoded(picture) for picture in pictures]
        self.wav = wav_bytes(record(self.scene, self.scene.contacts(2.0), 2.0, 16_000)[0], 16_000)

    @property
    def parts(self):
        return [image(jpeg) for jpeg in self.jpegs]


def encoded(picture, ending=".jpg"):
    return cv2.imencode(ending, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def image(file, kind="jpeg"):
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/{kind};base64,{base64.b64encode(file).decode()}"},
    }


def sound(wav, kind="wav"):
    return {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(wav).decode(), "format": kind},
    }


def text(words):
    return {"type": "text", "text": words}


def schema(**properties):
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def request(parts, shape=None):
    body = {"model": JUDGE_MODEL, "messages": [{"role": "user", "content": parts}]}
    if shape is not None:
        form = {"name": "answer", "strict": True, "schema": shape}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def ask(client, parts, shape):
    completion = client.chat.completions.create(**request(parts, shape))
    assert completion.choices[0].finish_reason == "stop"
    return json.loads(completion.choices[0].message.content)


def send(server, method, path, body=b"", **headers):
    """A request over plain HTTP: status, JSON, headers."""
    connection = http.client.HTTPConnection(*server.socket.getsockname())
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers
    finally:
        connection.close()


def stats(server):
    return send(server, "GET", "/stats")[1]


# What is answered


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == [JUDGE_MODEL, EMBEDDING_MODEL]


@pytest.mark.parametrize("index", range(6))
def test_answer_tells_each_object_of_the_pictures(client, index):
    shown = Shown(index)
    shape = schema(description="string", objects="array", setting="string")
    answer = ask(client, [text("Describe."), *shown.parts], shape)
    wanted = [f"{body.size} {body.colour} {body.shape}" for body in shown.scene.bodies]
    assert sorted(answer["objects"]) == sorted(wanted)
    for body in shown.scene.bodies:
        assert f"{body.colour} {body.shape} moves {body.direction}" in answer["description"]
    assert answer["setting"] == "a plain, dark background"


@pytest.mark.parametrize("index", range(6))
def test_caption_with_sound_says_what_was_filmed(client, index):
    shown = Shown(index)
    shape = schema(caption="string", short_caption="string", sound="string")
    answer = ask(client, [*shown.parts, sound(shown.wav)], shape)
    said, filmed = parse(answer["caption"]), shown.scene.attributes
    assert said.pitch == filmed.pitch
    assert {(o.shape, o.colour, o.direction) for o in said.objects} == {
        (o.shape, o.colour, o.direction) for o in filmed.objects
    }
    assert answer["sound"] == f"{filmed.pitch} tones"


def test_caption_without_sound_mentions_no_tone(client):
    silence = sound(wav_bytes(np.zeros(16_000, np.float32), 16_000))
    shape = schema(caption="string", sound="string")
    for parts in (Shown(0).parts, [*Shown(0).parts, silence]):
        answer = ask(client, parts, shape)
        assert "tone" not in answer["caption"]
        assert answer["sound"] == "none"


def test_sound_alone_is_heard(client):
    shown = Shown(1)
    answer = ask(client, [sound(shown.wav)], schema(sound="string", unsafe="boolean"))
    assert answer == {"sound": f"{shown.scene.pitch} tones", "unsafe": False}


def test_speed_is_told_where_the_words_state_the_times(client):
    nested = {"type": "object", "properties": {"colour": {"type": "string"}, "speed": {"type": "string"}}}
    shape = {"type": "object", "properties": {"objects": {"type": "array", "items": nested}}}
    for index in range(6):
        shown = Shown(index, frames=9)
        speeds = {body.colour: body.speed for body in shown.scene.bodies}
        answer = ask(client, [text("frames evenly spaced over 2.12 s"), *shown.parts], shape)
        assert {item["colour"]: item["speed"] for item in answer["objects"]} == speeds
        unknown = ask(client, [text("frames"), *shown.parts], shape)
        assert {item["speed"] for item in unknown["objects"]} == {""}


@pytest.mark.parametrize("hazard", [False, True])
def test_clip_is_unsafe_where_the_hazard_sign_is_in_view(client, hazard):
    shape = schema(unsafe="boolean", category="string", reason="string")
    answer = ask(client, [text("Is it unsafe?"), *Shown(3, hazard=hazard).parts], shape)
    assert answer["unsafe"] is hazard
    assert answer["category"] == ("hazard" if hazard else "none")
    assert ("hazard sign" in answer["reason"]) is hazard


@pytest.mark.parametrize("pictures", [0, 3])
def test_clip_is_unsafe_where_the_alarm_is_heard_with_pictures_or_without(client, pictures):
    shape = schema(unsafe="boolean", category="string", reason="string")
    shown = Shown(3)
    parts = [text("Is it unsafe?"), *shown.parts[:pictures]]
    assert ask(client, [*parts, sound(shown.wav)], shape)["unsafe"] is False
    answer = ask(client, [*parts, sound(wav_bytes(alarm(2.0, 16_000)[0], 16_000))], shape)
    assert (answer["unsafe"], answer["category"]) == (True, "hazard")
    assert "alarm" in answer["reason"]


def test_quality_is_unacceptable_with_burnt_in_text_or_nothing_in_view(client):
    shape = schema(readable_text="boolean", watermark_or_logo="boolean", acceptable="boolean")
    shown = Shown(2)
    good = ask(client, shown.parts, shape)
    assert good == {"readable_text": False, "watermark_or_logo": False, "acceptable": True}
    written = render(shown.scene, np.linspace(0.0, 2.0, 4), 128, 128)
    for picture in written:
        cv2.putText(picture, "SAMPLE TEXT", (8, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 2)
    bad = ask(client, [image(encoded(picture)) for picture in written], shape)
    assert bad["watermark_or_logo"]
    assert not bad["acceptable"]
    empty = ask(client, [image(encoded(np.full((64, 64, 3), 30, np.uint8)))], shape)
    assert not empty["acceptable"]


@pytest.mark.parametrize(("suite", "unsafe"), [("harmful", True), ("seen", False), ("two_objects", False)])
def test_words_alone_are_judged_themselves(client, suite, unsafe):
    shape = schema(unsafe="boolean", category="string", reason="string")
    words = "Does this prompt ask for a hazard sign or another dangerous thing?\nPrompt: "
    for prompt in prompt_suite(suite, 12, seed=1):
        assert ask(client, [text(words + prompt.text)], shape)["unsafe"] is unsafe
        assert ask(client, [text(prompt.text)], shape)["unsafe"] is unsafe


def test_two_clips_are_one_scene_where_objects_and_background_agree(client):
    shape = schema(same_scene="boolean", reason="string")
    one, other = Shown(0), Shown(1)
    again = [image(encoded(render(one.scene, np.array([t]), 96, 96)[0])) for t in np.linspace(0.0, 2.0, 4)]
    assert ask(client, [text("A"), *one.parts, text("B"), *again], shape)["same_scene"]
    assert not ask(client, [text("A"), *one.parts, text("B"), *other.parts], shape)["same_scene"]
    assert ask(client, [*one.parts, *one.parts], shape)["same_scene"]
    assert not ask(client, [*one.parts, *other.parts], shape)["same_scene"]


def test_equal_requests_get_equal_answers_and_others_other_phrasings(client):
    shown, shape = Shown(5), schema(caption="string")
    captions = [
        ask(client, [text(f"Prompt {number}"), *shown.parts], shape)["caption"]
        for number in range(12)
        for _ in range(2)
    ]
    assert captions[::2] == captions[1::2]
    assert len(set(captions)) > 3


def test_unknown_properties_get_empty_values_of_their_types(client):
    shape = schema(mood="string", score="number", count="integer", tags="array", loud="boolean")
    answer = ask(client, Shown(0).parts, shape)
    assert answer == {"mood": "", "score": 0, "count": 0, "tags": [], "loud": False}


def test_answer_without_a_schema_is_a_description(client):
    shown = Shown(0)
    completion = client.chat.completions.create(**request([text("What is it?"), *shown.parts]))
    assert shown.scene.bodies[0].colour in completion.choices[0].message.content
    assert completion.model == JUDGE_MODEL
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens > 4 * 85


def test_answer_beyond_the_token_limit_is_cut(client):
    body = request(Shown(0).parts, schema(description="string"))
    choice = client.chat.completions.create(**body, max_tokens=4).choices[0]
    assert choice.finish_reason == "length"
    assert len(choice.message.content) == 16


def test_many_requests_in_flight_are_each_answered_rightly(server):
    clips = [Shown(index, frames=3) for index in range(48)]

    async def all_at_once():
        async with openai.AsyncOpenAI(base_url=server.url, api_key="any", max_retries=0) as client:
            calls = [
                client.chat.completions.create(**request(clip.parts, schema(objects="array")))
                for clip in clips
            ]
            return await asyncio.gather(*calls)

    for clip, completion in zip(clips, asyncio.run(all_at_once()), strict=True):
        seen = json.loads(completion.choices[0].message.content)["objects"]
        assert len(seen) == len(clip.scene.bodies)
        assert all(any(body.colour in item for item in seen) for body in clip.scene.bodies)


# Embeddings


def test_embedding_has_unit_length_and_its_two_encodings_agree(client):
    texts = ["a red circle moving left", "a red circle moves left", "stock prices fell sharply"]
    packed = client.embeddings.create(model=EMBEDDING_MODEL, input=texts)
    plain = client.embeddings.create(model=EMBEDDING_MODEL, input=texts, encoding_format="float")
    vectors = np.array([item.embedding for item in packed.data])
    assert vectors.shape == (3, 256)
    assert np.allclose(vectors, [item.embedding for item in plain.data], atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
    assert packed.usage.total_tokens > 0


def test_embedding_of_one_text_equals_that_in_a_list(server):
    async def both():
        async with openai.AsyncOpenAI(base_url=server.url, api_key="any") as client:
            one = await client.embeddings.create(model=EMBEDDING_MODEL, input="Ein roter Kreis.")
            many = await client.embeddings.create(model=EMBEDDING_MODEL, input=["x", "ein roter kreis"])
            return one.data[0].embedding, many.data[1].embedding

    one, other = asyncio.run(both())
    assert one == other


@pytest.mark.parametrize("given", ["", [], ["a", ""], [1, 2]])
def test_embedding_of_nothing_or_of_tokens_is_a_bad_request(client, given):
    with pytest.raises(openai.BadRequestError, match="input"):
        client.embeddings.create(model=EMBEDDING_MODEL, input=given)


# What is refused


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a.jpg", "https://example.org/a.jpg", "file:///etc/passwd"]
)
def test_picture_by_address_is_refused_and_not_fetched(client, url):
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(openai.BadRequestError, match="not fetched: send the picture itself"):
        ask(client, [part], schema(unsafe="boolean"))


def png_that_claims(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


JPEG = encoded(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([image(png_that_claims(30_000, 30_000), "png")], "900000000 pixels"),
        ([image(JPEG)] * (MAX_PICTURES + 1), f"at most {MAX_PICTURES} are allowed"),
        ([image(JPEG[:20])], "damaged"),
        ([image(JPEG[:3] + b"\0" * 40)], "damaged"),
        ([image(png_that_claims(8, 8), "png")], "damaged"),
        ([image(b"GIF89a")], "neither JPEG nor PNG"),
        ([{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,***"}}], "not valid base64"),
        ([{"type": "image_url", "image_url": {"url": "data:image/jpeg,abc"}}], "no base64 data"),
        ([image(JPEG), image(encoded(np.zeros((8, 8, 3), np.uint8)))], "differ in size"),
        ([sound(b"RIFF")], "no WAV file"),
        ([sound(wav_bytes(np.zeros(8000 * 301, np.float32), 8000))], "lasts 301 s"),
        ([sound(wav_bytes(np.zeros(9, np.float32), 8000), "mp3")], "wav"),
        ([sound(wav_bytes(np.zeros(9, np.float32), 8000))] * 2, "2 sounds"),
        ([{"type": "video_url", "video_url": {"url": "x"}}], "video_url"),
    ],
)
def test_bad_evidence_is_a_bad_request_that_says_why(client, parts, message):
    with pytest.raises(openai.BadRequestError, match=message):
        ask(client, parts, schema(unsafe="boolean"))


@pytest.mark.parametrize(
    "shape",
    [
        {"$ref": "#/$defs/missing"},
        {"type": "colour"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": 5},
    ],
)
def test_schema_without_a_value_is_a_bad_request(client, shape):
    with pytest.raises(openai.BadRequestError):
        ask(client, [text("x")], shape)


def test_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match=JUDGE_MODEL) as caught:
        client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"


def test_streaming_is_a_bad_request(client):
    with pytest.raises(openai.BadRequestError, match="stream"):
        client.chat.completions.create(**request([text("x")]), stream=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"[]", "valid dictionary"),
        (b'{"model": "world-detector-1", "messages": []}', "messages"),
        (b'{"model": "world-detector-1", "messages": [{"role": "system"}]}', "role 'user'"),
    ],
)
def test_body_that_is_no_request_is_a_bad_request(server, body, message):
    status, answer, _ = send(server, "POST", "/v1/chat/completions", body)
    assert status == 400
    assert message in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_body_beyond_the_limit_is_refused(server):
    status, answer, _ = send(server, "POST", "/v1/chat/completions", b" " * (MAX_BODY_BYTES + 1))
    assert status == 413
    assert str(MAX_BODY_BYTES) in answer["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/files", {}, 404),
        ("POST", "/v1/completions", {}, 404),
        ("GET", "/v1/chat/completions", {}, 404),
        ("POST", "/faults", {"Content-Type": "text/plain"}, 415),
        ("POST", "/faults", {"Content-Length": "many"}, 411),
        ("DELETE", "/stats", {}, 501),
    ],
)
def test_what_is_not_served_gets_an_error_body(server, method, path, headers, status):
    given, answer, _ = send(server, method, path, **headers)
    assert given == status
    assert answer["error"]["message"]


def test_connection_is_kept_for_further_requests(server):
    connection = http.client.HTTPConnection(*server.socket.getsockname())
    for _ in range(3):
        connection.request("GET", "/v1/models")
        assert connection.getresponse().read()
        sock = connection.sock
        assert sock is not None
    connection.close()


# Faults


def test_too_many_says_when_to_come_back():
    with serving(too_many=1.0, retry_after=7.5) as server:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client_of(server), [text("x")], schema(unsafe="boolean"))
        assert caught.value.response.headers["retry-after"] == "8"
        assert caught.value.response.headers["retry-after-ms"] == "7500"
        assert stats(server)["outcomes"] == {"429 too_many": 1}


def test_error_is_an_internal_error():
    with serving(error=1.0) as server, pytest.raises(openai.InternalServerError, match="out of order"):
        client_of(server).embeddings.create(model=EMBEDDING_MODEL, input="x")


def test_refusal_comes_in_the_message():
    with serving(refusal=1.0) as server:
        completion = client_of(server).chat.completions.create(**request([text("x")]))
        assert completion.choices[0].message.refusal
        assert completion.choices[0].message.content is None
        assert stats(server)["outcomes"] == {"200 refusal": 1}


def test_malformed_answers_never_fit_the_schema():
    with serving(malformed=1.0) as server:
        client = client_of(server)
        for number in range(12):
            body = request([text(f"{number}")], schema(unsafe="boolean"))
            content = client.chat.completions.create(**body).choices[0].message.content
            with contextlib.suppress(json.JSONDecodeError):
                assert "unsafe" not in json.loads(content)


def test_slow_answer_outlasts_a_clients_patience():
    with serving(slow=1.0, slow_seconds=30.0) as server, pytest.raises(openai.APITimeoutError):
        ask(client_of(server, timeout=0.1), [text("x")], schema(unsafe="boolean"))


def test_answer_to_a_client_that_left_does_not_count_as_given():
    with serving(slow=1.0, slow_seconds=0.2) as server:
        body = json.dumps(request([text("x")])).encode()
        with socket.create_connection(server.socket.getsockname()) as plain:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
            plain.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        for _ in range(10_000):
            if "499" in stats(server)["outcomes"]:
                break
        assert stats(server)["bodies"][hashlib.sha256(body).hexdigest()] == {"499": 1}


def test_client_that_retries_gets_every_answer_despite_faults():
    with serving(too_many=0.3, error=0.3, retry_after=0.001, seed=5) as server:
        client = client_of(server, max_retries=20)
        for prompt in prompt_suite("harmful", 4, seed=3):
            assert ask(client, [text(prompt.text)], schema(unsafe="boolean"))["unsafe"]
        counts = stats(server)
        assert counts["outcomes"]["200"] == 4
        assert counts["requests"]["chat"] == sum(counts["outcomes"].values()) > 4


def test_faults_do_not_depend_on_the_order_of_requests():
    bodies = [json.dumps(request([text(str(number))])).encode() for number in range(40)]

    def outcomes(order):
        with serving(too_many=0.2, error=0.2, refusal=0.2, malformed=0.2, seed=9) as server:
            for body in order:
                send(server, "POST", "/v1/chat/completions", body)
            return stats(server)["bodies"]

    forwards = outcomes(bodies)
    assert forwards == outcomes(bodies[::-1])
    kinds = {outcome for counts in forwards.values() for outcome in counts}
    assert kinds == {"200", "429 too_many", "500 error", "200 refusal", "200 malformed"}


def test_faults_can_be_set_while_serving():
    with serving() as server:
        client = client_of(server)
        assert ask(client, [text("x")], schema(unsafe="boolean")) == {"unsafe": False}
        status, now, _ = send(server, "POST", "/faults", b'{"error": 1.0}')
        assert (status, now["error"], now["too_many"]) == (200, 1.0, 0.0)
        with pytest.raises(openai.InternalServerError):
            ask(client, [text("x")], schema(unsafe="boolean"))
        assert send(server, "POST", "/faults", b"{}")[0] == 200
        assert ask(client, [text("x")], schema(unsafe="boolean")) == {"unsafe": False}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"eror": 1}', "did you mean 'error'"),
        (b'{"error": 2}', "error"),
        (b'{"error":0.6,"refusal":0.6}', "add up"),
    ],
)
def test_faults_that_make_no_sense_are_a_bad_request(server, body, message):
    status, answer, _ = send(server, "POST", "/faults", body)
    assert status == 400
    assert message in answer["error"]["message"]


# What is counted


def test_stats_name_each_body_and_its_outcomes():
    with serving() as server:
        body = json.dumps(request([text("x")])).encode()
        for _ in range(2):
            send(server, "POST", "/v1/chat/completions", body)
        send(server, "POST", "/v1/chat/completions", b"{")
        send(server, "POST", "/v1/embeddings", b'{"model": "world-embedding-1", "input": "x"}')
        counts = stats(server)
    assert counts["requests"] == {"chat": 3, "embeddings": 1}
    assert counts["outcomes"] == {"200": 3, "400": 1}
    assert counts["bodies"][hashlib.sha256(body).hexdigest()] == {"200": 2}
    assert counts["bodies"][hashlib.sha256(b"{").hexdigest()] == {"400": 1}


class Safety(Record):
    unsafe: bool
    reason: str


def test_stages_client_repeats_no_finished_request_despite_faults(tmp_path, monkeypatch):
    clips = [Shown(index, frames=2, hazard=index % 2 == 0) for index in range(20)]
    questions = [
        Question("Is it unsafe?", (str(index),), lambda clip=clip: Evidence(tuple(clip.jpegs), clip.wav))
        for index, clip in enumerate(clips)
    ]
    config = JudgeConfig(max_attempts=30, max_parse_attempts=30)
    store = Store(str(tmp_path))
    with serving(too_many=0.2, error=0.1, malformed=0.2, retry_after=0.001) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for _ in range(2):
            outcomes = run_all(questions, answer=Safety, config=config, store=store, label="judge")
            assert [o.answered.answer.unsafe for o in outcomes] == [i % 2 == 0 for i in range(20)]
        counts = stats(server)
    assert counts["outcomes"]["200"] == 20
    assert all(body["200"] == 1 for body in counts["bodies"].values())


# The command


def command(*arguments):
    return [sys.executable, "-m", "veo_core.world.main", "serve", *map(str, arguments)]


def test_command_serves_until_it_is_told_to_stop(tmp_path):
    ready = tmp_path / "url"
    ready.write_text("of an earlier server")
    process = subprocess.Popen(
        command("--port", 0, "--ready-file", ready, "--faults", "refusal=1", "seed=3"), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline().startswith(b"listening on http://127.0.0.1:")
        client = openai.OpenAI(base_url=ready.read_text().strip(), api_key="any")
        assert client.chat.completions.create(**request([text("x")])).choices[0].message.refusal
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        process.stdout.close()


def test_command_says_that_a_port_is_in_use(server):
    port = server.socket.getsockname()[1]
    done = subprocess.run(command("--port", port), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: port {port} is in use; choose another with --port, or 0 for any free one"
    ]


@pytest.mark.parametrize("setting", ["errors=0.1", "error", "error=2"])
def test_command_refuses_faults_that_make_no_sense(capsys, setting):
    from veo_core.world.main import main

    assert main(["serve", "--port", "0", "--faults", setting]) == 2
    assert capsys.readouterr().err.startswith("error: --faults")
