// The registered model: its card, what it is made from, and its files.
import type { Download, ModelDocument, RunDocument } from "../documents";
import { useDocument } from "../lib/document";
import { bytes, number, plural, seconds, whole, words } from "../lib/format";
import { href } from "../lib/route";
import { isFile, media } from "../lib/source";
import { Await, Badge, Card, Digest, Facts, Notes, Scroll, Tile } from "../ui/common";
import { Markdown } from "../ui/markdown";
import { Rule } from "./safety";

export function ModelPage({ run }: { run: RunDocument }) {
  const model = useDocument<ModelDocument>(`/api/runs/${encodeURIComponent(run.summary.id)}/model`);
  return <Await of={model} what="the model">{(found) => <Model run={run} model={found} />}</Await>;
}

function Model({ run, model }: { run: RunDocument; model: ModelDocument }) {
  const id = run.summary.id;
  const { gate, promotion, marks } = model;
  return (
    <div class="stack">
      <Notes of={model.notes} />
      <div class="tiles">
        <Tile label="Registered as" value={model.reference || null} detail={promotion ? (promotion.promote ? "promoted" : "not promoted") : ""} />
        <Tile label="Gate" value={gate ? (gate.approved ? "open" : "closed") : null} detail={gate ? `${gate.met} of ${gate.rules} rules met` : ""} href={href(["run", id, "evaluation"], { view: "safety" })} />
        <Tile label="Trained on" value={`${whole(model.train_clips)} clips`} detail={seconds(model.train_seconds)} href={href(["run", id, "clips"], { where: JSON.stringify({ split: ["train"] }) })} />
        <Tile label="Held back" value={`${whole(model.validation_clips)} clips`} detail="for validation" href={href(["run", id, "clips"], { where: JSON.stringify({ split: ["validation"] }) })} />
        {marks && <Tile label="Watermarked and signed" value={`${whole(marks.watermarked)} and ${whole(marks.signed)}`} detail={`of ${plural(marks.clips, "clip")}${marks.development_key ? ", published key" : ""}`} />}
      </div>
      <div class="model-area">
        <Card title="Card"><Markdown blocks={model.card} /></Card>
        <div class="stack">
          {(promotion || gate) && <Card title="Promotion">
            {!promotion && <p class="unknown">Whether it was promoted is not recorded.</p>}
            {promotion && <p><b>{promotion.promote ? "Promoted" : "Not promoted"}</b>: {promotion.reason}.</p>}
            {gate && gate.closed_by.length > 0 && <ul class="checks">{gate.closed_by.map((check) => <Rule key={check.name} check={check} />)}</ul>}
            <SignOffs model={model} />
          </Card>}
          <Card title="Sources and licences">
            <ul class="licences">{model.licences.map((licence) => <li key={licence.licence}><span>{licence.licence || "none stated"}</span><span class="soft">{plural(licence.clips, "clip")} of {plural(licence.sources, "source")}</span></li>)}</ul>
            {model.sources.length > 0 && <Scroll label="Sources"><table>
              <thead><tr><th scope="col">Author</th><th scope="col">Licence</th><th scope="col">Origin</th><th scope="col" class="num">Sources</th><th scope="col" class="num">Clips</th></tr></thead>
              <tbody>{model.sources.map((source, index) => <tr key={index}><th scope="row" class="light">{source.author || "none stated"}</th><td>{source.licence || "none stated"}</td><td>{source.origin}, {source.permission}</td><td class="num">{whole(source.sources)}</td><td class="num">{whole(source.clips)}</td></tr>)}</tbody>
            </table></Scroll>}
          </Card>
          <Card title="Lineage" hint="The manifests behind the model, from its footage on.">
            <ol class="lineage">{Object.entries(model.manifests).map(([role, digest]) => {
              const task = run.tasks.find((each) => Object.values(each.outputs).flat().some((output) => output.sha256 === digest));
              return <li key={role}><span>{words(role)}</span><Digest of={digest} />{task && <a href={href(["run", id, "task", String(task.index)])}>{task.name} <Badge state={task.state} /></a>}</li>;
            })}</ol>
          </Card>
          {Object.keys(model.training).length > 0 && <Card title="How it was trained">{Object.entries(model.training).map(([part, figures]) => <div key={part}><h3>{words(part)}{model.parts[part]?.steps != null && <span class="soft"> {plural(model.parts[part]!.steps!, "step")}</span>}</h3><p class="soft">{Object.entries(figures).map(([name, value]) => `${words(name)} ${number(value)}`).join(", ")}</p></div>)}</Card>}
          <Card title="Files">{model.files.length ? <ul class="downloads">{model.files.map((file) => <FileLine key={file.name} run={id} file={file} />)}</ul> : <p class="unknown">None is named.</p>}</Card>
        </div>
      </div>
    </div>
  );
}

function FileLine({ run, file }: { run: string; file: Download }) {
  return (
    <li>
      {file.there && !isFile ? <a href={media(run, file.sha256)} download={fileName(file)}>{words(file.name)}</a> : <span>{words(file.name)}{!file.there && <span class="unknown"> not in the store</span>}</span>}
      <span class="soft">{bytes(file.bytes)}</span><Digest of={file.sha256} />
      {isFile && <small class="soft">{file.path}</small>}
    </li>
  );
}

function fileName(file: Download): string {
  return `${file.name}${/\.[a-z0-9]+$/i.exec(file.path)?.[0] ?? ""}`;
}

function SignOffs({ model }: { model: ModelDocument }) {
  const { approvals, waivers } = model.sign_offs;
  return <Facts of={[
    ["Approved by", approvals.map((approval) => `${approval.role} (key ${approval.key.slice(0, 12)})`).join(", ")],
    ["Waivers", waivers.map((waiver) => `${words(waiver.rule)} by ${waiver.owner} until ${waiver.expires}: ${waiver.reason}`).join("; ")],
    ["Intended use", model.card.length ? "" : model.intended_use],
    ["Limits", model.limits.length && !model.card.length ? <ul class="plain-list">{model.limits.map((limit) => <li key={limit}>{limit}</li>)}</ul> : ""],
  ]} />;
}
