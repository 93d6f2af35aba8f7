// A clip's whole story: what it shows, what was said of it, what each stage decided, and where it went.
import type { ClipDocument, Fate, Neighbour } from "../documents";
import { useDocument } from "../lib/document";
import { bytes, number, short, whole, words } from "../lib/format";
import { media, thumb } from "../lib/source";
import { Await, Badge, Digest, Facts, Notes } from "../ui/common";
import { Panel } from "../ui/panel";
import { Structure } from "../ui/structure";

interface Of {
  run: string;
  clip: string;
  sound: boolean;
  onClose: () => void;
  onStep: (by: number) => void;
  place: (clip: string) => string;
}

export function Story({ run, clip, sound, onClose, onStep, place }: Of) {
  const story = useDocument<ClipDocument>(`/api/runs/${encodeURIComponent(run)}/clips/${encodeURIComponent(clip)}`);
  return (
    <Panel label="A clip's story" onClose={onClose} tools={<>
      <button type="button" class="quiet" onClick={() => onStep(-1)} title="Previous (k)">← Previous</button>
      <button type="button" class="quiet" onClick={() => onStep(1)} title="Next (j)">Next →</button>
    </>}>
      <Await of={story} what="the clip">{(found) => <Told run={run} story={found} sound={sound} place={place} />}</Await>
    </Panel>
  );
}

function Told({ run, story, sound, place }: { run: string; story: ClipDocument; sound: boolean; place: (clip: string) => string }) {
  const { row, source, clip } = story;
  const address = media(run, story.media);
  return (
    <article class="story">
      <h2>{story.name || short(story.id)} {row && <Badge state={row.verdict} >{row.verdict}</Badge>}</h2>
      {row && row.verdict !== "kept" && <p class="story-fate">{words(row.verdict)} by {row.stage}: <b>{words(row.rule) || "no rule given"}</b>{measured(row.value, row.threshold)}</p>}
      {story.forgotten && <p class="notice failed">Forgotten: {story.forgotten}</p>}
      {address ? <video class="story-video" key={address} src={address} poster={(row?.thumbnail && thumb(run, story.id)) || undefined} controls loop playsInline autoplay muted={!sound} aria-label={story.name} />
        : <p class="unknown">{story.media ? "The film is not in this file, or not in the store." : "No clip was made of it."}</p>}
      {story.key_frames.length > 0 && <div class="frames">{story.key_frames.map((frame, index) => {
        const picture = media(run, frame);
        return picture ? <img key={frame + index} src={picture} alt={`Key frame ${index + 1}`} loading="lazy" /> : <span key={frame + index} class="no-picture">not here</span>;
      })}</div>}
      <Notes of={story.notes} />
      {story.said.length > 0 && <section>
        <h3>What is said of it</h3>
        <ul class="said">{story.said.map((said, index) => (
          <li key={index}>
            <p>{said.text || <span class="unknown">nothing</span>}</p>
            <small>{said.by}{said.judge && ` · ${said.judge} ${said.judge_version}`}</small>
            {Object.keys(said.details).length > 0 && <details><summary>All of it</summary><Structure of={said.details} /></details>}
          </li>
        ))}</ul>
      </section>}
      <section>
        <h3>Decisions</h3>
        {story.fates.length ? <ol class="fates">{story.fates.map((fate, index) => <FateLine key={index} fate={fate} place={place} />)}</ol> : <p class="unknown">No stage decided on it.</p>}
      </section>
      {Object.keys(story.prompts).length > 0 && <details><summary>What judges were asked</summary>{Object.entries(story.prompts).map(([task, prompt]) => <div key={task}><h4>{task}</h4><pre tabIndex={0}>{prompt}</pre></div>)}</details>}
      {clip && <section><h3>Measured</h3><dl class="figures">{Object.entries(clip.signals).map(([name, value]) => <div key={name}><dt>{words(name)}</dt><dd>{typeof value === "boolean" ? (value ? "yes" : "no") : number(value as number | null)}</dd></div>)}</dl></section>}
      <Alike run={run} story={story} place={place} />
      <section>
        <h3>Where it went</h3>
        <Facts of={[
          ["Split", row?.split ?? ""],
          ["Bucket", row?.bucket ?? ""],
          ["Shard", row?.shard ? <code>{row.shard}</code> : ""],
        ]} />
        {story.trainings.length ? <ul class="trainings">{story.trainings.map((training) => <li key={training.run + training.dataset}>
          <span>{training.split === "train" ? "Trained on" : training.split === "validation" ? "Held back for validation" : training.split} in run <b>{training.run}</b></span>
          <small>dataset <Digest of={training.dataset} />{training.models.length > 0 && <>, models {training.models.join(", ")}</>}</small>
        </li>)}</ul> : <p class="unknown">No dataset holds it.</p>}
      </section>
      {source && <section>
        <h3>Source and rights</h3>
        <Facts of={[
          ["File", source.name],
          ["Rights", <>{source.ml_training} for training{source.licence_id && `, ${source.licence_id}`}</>],
          ["Author", source.author],
          ["Page", source.source_url && <Link to={source.source_url} />],
          ["Evidence", source.evidence],
          ["Origin", source.origin],
          ["Retrieved", source.retrieved_at],
          ["Size", bytes(source.file.bytes)],
          ["sha256", <Digest of={source.file.sha256} />],
          ["Caption", source.caption],
          ["Transcript", source.transcript],
          ["Credentials", source.credentials && `${source.credentials.generator} ${source.credentials.issuer} ${source.credentials.state}`.trim()],
        ]} />
      </section>}
      {clip && <details><summary>The prepared file</summary><Structure of={{ ...clip.facts, shot: clip.shot, start: clip.start, bytes: clip.media.bytes, sha256: clip.media.sha256, packets: clip.packet_hash }} /></details>}
      <p class="soft">{source && !clip ? "Source" : "Clip"} <code>{story.id}</code></p>
    </article>
  );
}

function FateLine({ fate, place }: { fate: Fate; place: (clip: string) => string }) {
  const { decision } = fate;
  return (
    <li class={decision.verdict}>
      <span class="fate-stage">{fate.task}</span> <b>{decision.verdict}</b>
      {decision.rule && <>, {words(decision.rule)}</>}{measured(decision.value, decision.threshold)}
      {decision.partner && <> against <a href={place(decision.partner)}>{fate.partner_name || short(decision.partner)}</a></>}
      {decision.evidence && <p>{decision.evidence}</p>}
      {Object.keys(decision.scores).length > 0 && <p class="scores">{Object.entries(decision.scores).map(([name, value]) => `${words(name)} ${number(value)}`).join(", ")}</p>}
      {decision.judge && <small>judge {decision.judge} {decision.judge_version}</small>}
    </li>
  );
}

function measured(value: string, threshold: string): string {
  if (!value) return "";
  return ` ${number(Number(value)) === "–" ? value : number(Number(value))}${threshold ? ` (limit ${threshold})` : ""}`;
}

function Alike({ run, story, place }: { run: string; story: ClipDocument; place: (clip: string) => string }) {
  const listed: Neighbour[] = story.neighbours;
  if (!listed.length && !story.duplicates.length) return null;
  return (
    <section>
      <h3>Looks like</h3>
      <ul class="alike">{listed.map((near) => (
        <li key={near.id + near.relation}>
          <a href={place(near.id)}>
            {thumb(run, near.id) ? <img src={thumb(run, near.id)} alt="" loading="lazy" onError={(event) => (event.currentTarget.hidden = true)} /> : null}
            <span>{near.name.split("/").at(-1) || short(near.id)}</span>
            <small>{near.relation}{near.score != null && `, ${number(near.score)}`}</small>
          </a>
        </li>
      ))}</ul>
      {story.duplicates.length > listed.length && <p class="soft">{whole(story.duplicates.length)} clips were dropped for this one.</p>}
    </section>
  );
}

function Link({ to }: { to: string }) {
  return /^https?:\/\//.test(to) ? <a href={to} rel="noopener noreferrer nofollow" target="_blank">{to}</a> : <>{to}</>;
}
