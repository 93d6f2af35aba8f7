"use strict";
{
  const KEPT = "veo-recent-clips";
  const MOST = 12;
  const at = (id) => document.getElementById(id);
  const sleep = (seconds, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

  let info = null;
  let image = null;
  let running = null;
  let shown = null;

  const tell = (text, bad = false) => {
    at("status").textContent = text;
    at("status").classList.toggle("bad", bad);
  };

  // The model and its limits

  async function load() {
    for (;;) {
      const response = await fetch("info").catch(() => null);
      if (response?.ok) {
        info = await response.json();
        break;
      }
      await sleep(1);
    }
    const rest = info.filtered ? "" : " · no prompt filter";
    at("model").textContent =
      `${info.model} · ${info.seconds} s of ${info.width}×${info.height} pictures with sound${rest}`;
    at("steps").max = info.max_steps;
    at("steps").value = info.steps;
    at("guidance").max = Math.max(10, info.guidance);
    at("guidance").value = info.guidance;
    showValues();
    at("make").disabled = false;
  }

  function showValues() {
    for (const id of ["steps", "guidance"]) at(`${id}-value`).textContent = at(id).value;
  }

  // The first picture

  function choose(file) {
    if (at("preview").src) URL.revokeObjectURL(at("preview").src);
    image = file ?? null;
    at("preview").hidden = at("remove").hidden = !file;
    if (file) at("preview").src = URL.createObjectURL(file);
    else at("image").value = "";
    tell("");
  }

  async function base64(file) {
    const url = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });
    return url.slice(url.indexOf(",") + 1);
  }

  // Making a clip

  async function make() {
    if (running || !info) return;
    const prompt = at("prompt").value.trim();
    if (!prompt && !image) {
      tell("Type a prompt or choose a picture.", true);
      at("prompt").focus();
      return;
    }
    if (image && image.size * 1.4 > info.max_body_bytes) {
      tell(`The picture has ${(image.size / 1e6).toFixed(1)} MB, which is too much.`, true);
      return;
    }
    if (!at("seed").checkValidity()) {
      tell("The seed must be a whole number that is not negative.", true);
      at("seed").focus();
      return;
    }
    running = new AbortController();
    at("make").disabled = true;
    at("cancel").hidden = false;
    const seed = at("seed").value === "" ? Math.floor(Math.random() * 2 ** 31) : Number(at("seed").value);
    const instance = { prompt, seed };
    const started = performance.now();
    const clock = setInterval(
      () => tell(`Making the clip … ${Math.round((performance.now() - started) / 1000)} s`), 1000);
    tell("Making the clip …");
    try {
      if (image) instance.image = { b64: await base64(image) };
      const parameters = { steps: Number(at("steps").value), guidance: Number(at("guidance").value) };
      const prediction = await ask({ instances: [instance], parameters }, running.signal);
      await show(prediction);
      remember(prediction);
      tell(`Done in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
    } catch (error) {
      tell(error.name === "AbortError" ? "Cancelled." : error.message, error.name !== "AbortError");
    } finally {
      clearInterval(clock);
      running = null;
      at("make").disabled = false;
      at("cancel").hidden = true;
    }
  }

  // Asks again while the server has no room, after the time that it asks for.
  async function ask(body, signal) {
    for (;;) {
      const response = await fetch(info.predict.slice(1), {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
      }).catch((error) => {
        throw error.name === "AbortError" ? error : new Error("The server cannot be reached.");
      });
      if (response.status === 429) {
        await sleep(Number(response.headers.get("Retry-After")) || 1, signal);
        continue;
      }
      const answer = await response.json().catch(() => ({ error: `The server answers ${response.status}.` }));
      if (!response.ok) throw new Error(answer.error);
      return answer.predictions[0];
    }
  }

  // Watching it

  const urls = new Map();

  // A clip as a local URL, which all browsers can play and seek in.
  async function clipUrl(sha256) {
    if (!urls.has(sha256)) {
      const response = await fetch(`clips/${sha256}.mp4`);
      if (!response.ok) throw new Error("The clip is no longer there.");
      urls.set(sha256, URL.createObjectURL(await response.blob()));
    }
    return urls.get(sha256);
  }

  async function show(prediction) {
    const url = await clipUrl(prediction.sha256);
    shown = prediction;
    at("empty").hidden = true;
    at("shown").hidden = false;
    at("video").src = url;
    at("shown-prompt").textContent = prediction.prompt || "(no prompt)";
    at("notes").replaceChildren(...prediction.notes.map((note) => element("li", note)));
    at("shown-seed").textContent = prediction.seed;
    at("shown-drawn").textContent = `${prediction.steps} steps, guidance ${prediction.guidance}`;
    at("shown-size").textContent =
      `${prediction.width}×${prediction.height}, ${prediction.seconds} s, ${prediction.fps} pictures/s, ` +
      `${(prediction.bytes / 1000).toFixed(0)} kB`;
    at("shown-digest").textContent = prediction.sha256;
    at("download").href = url;
    at("download").download = `${prediction.sha256.slice(0, 12)}.mp4`;
    at("result").scrollIntoView({ block: "nearest" });
    at("video").play().catch(() => {}); // a browser may ask for a click first
    mark();
  }

  // Recent clips: what is known of them stays in this browser

  function recent() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) ?? [];
    } catch {
      return [];
    }
  }

  function keep(clips) {
    try {
      localStorage.setItem(KEPT, JSON.stringify(clips));
    } catch { /* a full or forbidden storage only forgets */ }
    list(clips);
  }

  function remember(prediction) {
    keep([prediction, ...recent().filter((clip) => clip.sha256 !== prediction.sha256)].slice(0, MOST));
  }

  function list(clips) {
    at("recent").hidden = clips.length === 0;
    at("clips").replaceChildren(...clips.map((clip) => {
      const video = element("video");
      video.muted = true;
      video.preload = "auto";
      clipUrl(clip.sha256).then(
        (url) => { video.src = url; },
        () => keep(recent().filter((other) => other.sha256 !== clip.sha256)));
      const button = element("button");
      button.type = "button";
      button.dataset.sha256 = clip.sha256;
      const seed = element("span", `seed ${clip.seed}`);
      seed.className = "soft";
      button.append(video, element("span", clip.prompt || "(no prompt)"), seed);
      button.addEventListener("click", () => show(clip).catch((error) => tell(error.message, true)));
      const item = element("li");
      item.append(button);
      return item;
    }));
    mark();
  }

  function mark() {
    for (const button of at("clips").querySelectorAll("button")) {
      button.setAttribute("aria-current", String(button.dataset.sha256 === shown?.sha256));
    }
  }

  function element(name, text = "") {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  // Events

  at("form").addEventListener("submit", (event) => { event.preventDefault(); make(); });
  at("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      make();
    }
  });
  at("cancel").addEventListener("click", () => running?.abort());
  at("steps").addEventListener("input", showValues);
  at("guidance").addEventListener("input", showValues);
  at("image").addEventListener("change", () => choose(at("image").files[0]));
  at("remove").addEventListener("click", () => choose(null));
  at("again").addEventListener("click", () => { at("seed").value = shown.seed; at("seed").focus(); });
  at("copy").addEventListener("click", () => navigator.clipboard?.writeText(shown.sha256)
    .then(() => tell("The digest is copied.")).catch(() => {}));
  at("clear").addEventListener("click", () => { keep([]); at("prompt").focus(); });
  for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    at("drop").addEventListener(type, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", over);
      if (type === "drop") choose(event.dataTransfer.files[0]);
    });
  }

  showValues();
  list(recent());
  load();
}
