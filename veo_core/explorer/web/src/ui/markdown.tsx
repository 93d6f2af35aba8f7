// Blocks of Markdown as elements. Inline marks become elements, everything else stays text.
import type { ComponentChildren } from "preact";
import type { Block } from "../documents";
import { Scroll } from "./common";

const INLINE = /(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\(https?:\/\/[^\s)]+\))/g;

export function Markdown({ blocks }: { blocks: Block[] }) {
  return <div class="markdown">{blocks.map((block, index) => <One key={index} block={block} />)}</div>;
}

function One({ block }: { block: Block }) {
  if (block.kind === "heading") return block.level <= 1 ? <h2>{inline(block.text)}</h2> : block.level === 2 ? <h3>{inline(block.text)}</h3> : <h4>{inline(block.text)}</h4>;
  if (block.kind === "list") return <ul>{block.items.map((item, index) => <li key={index}>{inline(item)}</li>)}</ul>;
  if (block.kind === "code") return <pre tabIndex={0}>{block.text}</pre>;
  if (block.kind === "table")
    return (
      <Scroll label={block.head.join(", ") || "Table"}><table>
        {block.head.length > 0 && <thead><tr>{block.head.map((cell, index) => <th key={index} scope="col">{inline(cell)}</th>)}</tr></thead>}
        <tbody>{block.rows.map((row, index) => <tr key={index}>{(block.head.length ? block.head : row).map((_, column) => <td key={column}>{inline(row[column] ?? "")}</td>)}</tr>)}</tbody>
      </table></Scroll>
    );
  return <p>{inline(block.text)}</p>;
}

function inline(text: string): ComponentChildren[] {
  return text.split(INLINE).map((part, index) => {
    if (index % 2 === 0) return part;
    if (part.startsWith("`")) return <code key={index}>{part.slice(1, -1)}</code>;
    if (part.startsWith("**")) return <b key={index}>{part.slice(2, -2)}</b>;
    const [, said, address] = /^\[([^\]]+)\]\((.+)\)$/.exec(part) ?? [];
    return <a key={index} href={address} rel="noopener noreferrer nofollow" target="_blank">{said}</a>;
  });
}
