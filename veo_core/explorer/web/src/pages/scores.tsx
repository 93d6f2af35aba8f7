// The evaluation's figures, each with its interval, and what they are held against.
import { useMemo } from "preact/hooks";
import type { ConfusionRow, Difference, EvaluationDocument, MetricInfo, Place, Promotion, SummaryRow } from "../documents";
import { figure, interval, number, sentence, whole } from "../lib/format";
import { Card, Scroll } from "../ui/common";
import { IntervalMark } from "../ui/interval";

export function Scores({ evaluation }: { evaluation: EvaluationDocument }) {
  const told = new Map(evaluation.metrics.map((metric) => [metric.name, metric]));
  const measured = evaluation.rows.filter((row) => !row.note);
  const left = evaluation.rows.filter((row) => row.note);
  const following = measured.filter((row) => row.metric.startsWith("following_"));
  const others = measured.filter((row) => !row.metric.startsWith("following_"));
  return (
    <>
      <Card title="Scores" hint={<>Each figure with its 95 % interval and the number n of prompts behind it. <span class="key reference" /> the same figure on real clips. <span class="key control" /> chance: after prompts or sounds were exchanged between clips.</>}>
        {following.length > 0 && <Matrix title="Prompts followed" rows={following} places={evaluation.places} told={told} />}
        {others.length > 0 && <Matrix title="Picture and sound" rows={others} places={evaluation.places} told={told} />}
        {left.length > 0 && <details><summary>{left.length} metrics were not run</summary><ul class="plain-list">{left.map((row) => <li key={row.metric + row.split + row.mode}><code>{row.metric}</code>: {row.note}</li>)}</ul></details>}
      </Card>
      {evaluation.promotion && <PromotionCard promotion={evaluation.promotion} told={told} places={evaluation.places} />}
      {evaluation.confusion.length > 0 && <Confusions rows={evaluation.confusion} />}
    </>
  );
}

function Matrix({ title, rows, places, told }: { title: string; rows: SummaryRow[]; places: Place[]; told: Map<string, MetricInfo> }) {
  const used = places.filter((place) => rows.some((row) => row.split === place.split && row.mode === place.mode));
  const metrics = [...new Set(rows.map((row) => row.metric))];
  return (
    <Scroll label={title}>
      <table class="scores-table">
        <thead><tr><th scope="col">{title}</th>{used.map((place) => <th key={place.split + place.mode} scope="col">{place.title}</th>)}</tr></thead>
        <tbody>{metrics.map((metric) => {
          const own = rows.filter((row) => row.metric === metric);
          return (
            <tr key={metric}>
              <th scope="row" title={told.get(metric)?.says}>{told.get(metric)?.title ?? sentence(metric)}{arrow(own[0]?.better)}</th>
              {used.map((place) => <Cell key={place.split + place.mode} row={own.find((row) => row.split === place.split && row.mode === place.mode)} top={top(own)} />)}
            </tr>
          );
        })}</tbody>
      </table>
    </Scroll>
  );
}

function arrow(better: string | undefined) {
  if (better !== "higher" && better !== "lower") return null;
  return <span class="soft" title={`${better} is better`}> {better === "higher" ? "↑" : "↓"}</span>;
}

function Cell({ row, top }: { row: SummaryRow | undefined; top: number }) {
  if (!row) return <td />;
  if (row.value == null || row.ci_low == null || row.ci_high == null) return <td class="unknown">nothing to measure</td>;
  return (
    <td class="score">
      <b>{figure(row.value, row.unit)}</b>
      {row.ci_low >= 0 && <IntervalMark low={row.ci_low} value={row.value} high={row.ci_high} top={top} reference={row.reference} control={row.control} />}
      <small><span>{interval(row.ci_low, row.ci_high, row.unit)},</span> <span>n = {whole(row.n)}</span>{row.control != null && <span>, chance {figure(row.control, row.unit, 0)}</span>}</small>
    </td>
  );
}

/** The end of a metric's scale. */
function top(rows: SummaryRow[]): number {
  if (rows[0]?.unit === "share") return 1;
  const figures = rows.flatMap((row) => [row.ci_high, row.reference, row.control]).filter((value): value is number => value != null);
  return Math.max(...figures, rows[0]?.unit === "s" ? 0.1 : 1e-9);
}

function PromotionCard({ promotion, told, places }: { promotion: Promotion; told: Map<string, MetricInfo>; places: Place[] }) {
  const decided = promotion.differences.filter((found) => found.verdict !== "undecided");
  const rest = promotion.differences.filter((found) => found.verdict === "undecided");
  return (
    <Card title="Against the version promoted before" hint={<><b>{promotion.promote ? "Promoted" : "Not promoted"}</b>: {promotion.reason}.</>}>
      {decided.length > 0 && <Differences rows={decided} told={told} places={places} />}
      {rest.length > 0 && <details><summary>{rest.length} undecided</summary><Differences rows={rest} told={told} places={places} /></details>}
    </Card>
  );
}

function Differences({ rows, told, places }: { rows: Difference[]; told: Map<string, MetricInfo>; places: Place[] }) {
  const unit = (row: Difference) => told.get(row.metric)?.unit ?? "";
  const place = (row: Difference) => places.find((each) => each.split === row.split && each.mode === row.mode)?.title ?? `${row.split} ${row.mode}`;
  return (
    <Scroll label="Differences"><table>
      <thead><tr>{["Metric", "Clips"].map((name) => <th key={name} scope="col">{name}</th>)}{["Candidate", "Before", "Difference, 95 %", "Prompts", "p, adjusted"].map((name) => <th key={name} scope="col" class="num">{name}</th>)}<th scope="col">Verdict</th></tr></thead>
      <tbody>{rows.map((row) => (
        <tr key={row.metric + row.split + row.mode}>
          <th scope="row">{told.get(row.metric)?.title ?? sentence(row.metric)}</th>
          <td>{place(row)}</td>
          <td class="num">{figure(row.candidate, unit(row))}</td>
          <td class="num">{figure(row.baseline, unit(row))}</td>
          <td class="num">{interval(row.ci_low, row.ci_high, unit(row))}</td>
          <td class="num">{whole(row.prompts)}</td>
          <td class="num">{row.p_value.toFixed(3)}</td>
          <td><span class={`badge ${row.verdict === "better" ? "right" : row.verdict === "worse" ? "wrong" : ""}`}>{row.verdict}</span></td>
        </tr>
      ))}</tbody>
    </table></Scroll>
  );
}

function Confusions({ rows }: { rows: ConfusionRow[] }) {
  const attributes = useMemo(() => [...new Set(rows.map((row) => row.attribute))], [rows]);
  return (
    <Card title="Confusion" hint="What prompts asked for (rows) against what the detectors found (columns), over all clips.">
      <div class="confusions">{attributes.map((attribute) => <Confusion key={attribute} attribute={attribute} rows={rows.filter((row) => row.attribute === attribute)} />)}</div>
    </Card>
  );
}

function Confusion({ attribute, rows }: { attribute: string; rows: ConfusionRow[] }) {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(`${row.wanted}\n${row.seen}`, (counts.get(`${row.wanted}\n${row.seen}`) ?? 0) + row.count);
  const wanted = [...new Set(rows.map((row) => row.wanted))].sort();
  const seen = [...wanted, ...[...new Set(rows.map((row) => row.seen))].filter((value) => !wanted.includes(value)).sort()];
  const of = (want: string) => Math.max(1, seen.reduce((sum, see) => sum + (counts.get(`${want}\n${see}`) ?? 0), 0));
  return (
    <Scroll label={`Confusion of ${attribute}`}><table class="confusion">
      <thead><tr><th scope="col">{sentence(attribute)}</th>{seen.map((see) => <th key={see} scope="col"><span>{see || "nothing"}</span></th>)}</tr></thead>
      <tbody>{wanted.map((want) => (
        <tr key={want}><th scope="row">{want || "nothing"}</th>{seen.map((see) => {
          const count = counts.get(`${want}\n${see}`) ?? 0;
          return <td key={see} class={count ? (want === see ? "hit" : "miss") : ""} style={{ "--share": String(count / of(want)) }} title={`${want} → ${see || "nothing"}: ${number((100 * count) / of(want))} %`}>{count || ""}</td>;
        })}</tr>
      ))}</tbody>
    </table></Scroll>
  );
}
