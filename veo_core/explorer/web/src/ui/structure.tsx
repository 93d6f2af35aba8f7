// Nested data as a list of names and values.
import { short } from "../lib/format";

const DEEPEST = 6;

export function Structure({ of, depth = 0 }: { of: unknown; depth?: number }) {
  if (of === null || of === undefined || of === "") return <span class="soft">–</span>;
  if (typeof of !== "object") return <>{typeof of === "string" ? <Text of={of} /> : <code>{String(of)}</code>}</>;
  if (depth >= DEEPEST) return <code>{JSON.stringify(of)}</code>;
  const entries = Object.entries(of);
  if (!entries.length) return <span class="soft">none</span>;
  if (Array.isArray(of) && of.every((value) => typeof value !== "object" || value === null)) return <code>{of.map(String).join(", ")}</code>;
  return (
    <ul class="structure">
      {entries.map(([name, value]) => <li key={name}><span class="soft">{name}</span> <Structure of={value} depth={depth + 1} /></li>)}
    </ul>
  );
}

function Text({ of }: { of: string }) {
  return /^[0-9a-f]{40,}$/.test(of) ? <code title={of}>{short(of)}</code> : <span class={of.length > 60 ? "prose" : "value"}>{of}</span>;
}
