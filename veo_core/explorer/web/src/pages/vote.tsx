// A blind vote: which of two clips is better, without knowing whose they are.
import { useMemo, useRef, useState } from "preact/hooks";
import type { Ballot, ClipPair, CompareDocument, VotesDocument } from "../documents";
import { figure, interval, plural } from "../lib/format";
import { useKeys } from "../lib/keys";
import { load, media, send } from "../lib/source";
import { useTogether, type Heard } from "../lib/together";
import { Segmented } from "../ui/common";

interface Draw {
  pair: ClipPair;
  left: "a" | "b";
}

export function Vote({ a, b, compared }: { a: string; b: string; compared: CompareDocument }) {
  const draws = useMemo(() => shuffled(compared.pairs.filter((pair) => pair.first.media && pair.second.media)), [compared]);
  const [at, setAt] = useState(0);
  const [votes, setVotes] = useState<VotesDocument | null>(null);
  const [error, setError] = useState("");
  const show = () => void load<VotesDocument>(`/api/votes/${encodeURIComponent(a)}/${encodeURIComponent(b)}`).then(setVotes, (problem: Error) => setError(problem.message));
  const draw = draws[at];
  const cast = (ballot: Omit<Ballot, "a" | "b" | "rater">) =>
    send<VotesDocument>("/api/votes", { a, b, rater: "explorer", ...ballot }).then(() => {
      setError("");
      setAt(at + 1);
    }, (problem: Error) => setError(`The vote was not saved: ${problem.message}`));
  return (
    <>
      {error && <p class="notice failed" role="alert">{error}</p>}
      {draw ? <Booth key={draw.pair.id} a={a} b={b} draw={draw} place={`${at + 1} of ${draws.length}`} onVote={cast} /> : <p class="notice">That was the last pair.</p>}
      <div class="toolbar">
        <button type="button" onClick={show}>{votes ? "Count again" : "Show the result"}</button>
        {votes && <p role="status">{votes.votes ? <><b>B wins {figure(votes.win_rate === null ? null : 1 - votes.win_rate, "share")}</b> <span class="soft">({interval(votes.ci_high === null ? null : 1 - votes.ci_high, votes.ci_low === null ? null : 1 - votes.ci_low, "share")}); {plural(votes.votes, "vote")}: A {votes.wins_a}, B {votes.wins_b}, {plural(votes.ties, "tie")}; {plural(votes.raters, "rater")}. A is {compared.first.name}, B {compared.second.name}.</span></> : "There is no vote yet."}</p>}
      </div>
      {votes && votes.left_out.length > 0 && <ul class="plain-list soft">{votes.left_out.map((line) => <li key={line}>{line}</li>)}</ul>}
    </>
  );
}

function Booth({ a, b, draw, place, onVote }: { a: string; b: string; draw: Draw; place: string; onVote: (ballot: Omit<Ballot, "a" | "b" | "rater">) => Promise<void> }) {
  const { pair, left } = draw;
  const [heard, setHeard] = useState<Heard>("none");
  const sides = useRef(new Set<Heard>());
  const began = useRef(performance.now());
  const sent = useRef(false);
  const films = useTogether(pair.id, heard, 1);
  const of = (side: "a" | "b") => (side === "a" ? media(a, pair.first.media) : media(b, pair.second.media));
  const listen = (to: Heard) => {
    setHeard(to);
    sides.current.add(to);
    if (!films.playing) films.toggle();
  };
  const vote = (choice: "left" | "right" | "tie") => {
    if (sent.current) return;
    sent.current = true;
    void onVote({
      pair: pair.id, choice, left,
      seconds: (performance.now() - began.current) / 1000,
      watched: films.ended,
      heard: sides.current.has("first") && sides.current.has("second"),
    }).finally(() => (sent.current = false));
  };
  useKeys({ a: () => vote("left"), b: () => vote("right"), t: () => vote("tie"), " ": films.toggle, ArrowLeft: () => listen("first"), ArrowRight: () => listen("second") });
  const ratio = pair.first.width && pair.first.height ? pair.first.width / pair.first.height : 1;
  return (
    <section class="card booth" aria-label="Blind vote">
      <p class="soft">{place}. Which is the better film of this prompt? Who made which is not shown.</p>
      <h2>{pair.prompt}</h2>
      <div class="films" style={{ "--ratio": String(ratio) }}>
        <figure><video ref={films.first} src={of(left)} muted playsInline preload="auto" onClick={films.toggle} aria-label="Left clip" /></figure>
        <figure><video ref={films.second} src={of(left === "a" ? "b" : "a")} muted playsInline preload="auto" onClick={films.toggle} aria-label="Right clip" /></figure>
      </div>
      <div class="toolbar booth-tools">
        <button type="button" onClick={films.toggle} title="Space">{films.playing ? "Pause" : "Play both"}</button>
        <Segmented label="Sound of" value={heard} options={[["first", "Hear left"], ["none", "Silent"], ["second", "Hear right"]]} onChange={listen} />
      </div>
      <div class="ballot">
        <button type="button" class="primary" onClick={() => vote("left")}>Left <kbd>a</kbd></button>
        <button type="button" onClick={() => vote("tie")}>Neither <kbd>t</kbd></button>
        <button type="button" class="primary" onClick={() => vote("right")}>Right <kbd>b</kbd></button>
      </div>
    </section>
  );
}

/** The pairs in a random order, with either clip on the left by chance (Fisher and Yates). */
function shuffled(pairs: ClipPair[]): Draw[] {
  const draws: Draw[] = pairs.map((pair) => ({ pair, left: Math.random() < 0.5 ? "a" : "b" }));
  for (let last = draws.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [draws[last], draws[other]] = [draws[other]!, draws[last]!];
  }
  return draws;
}
