// Bundles src/ into ../static: app.js, app.css, the licences of what is bundled, and build.json, which says
// of which sources they are made. `make web` runs it; the results are committed, so that users need no Node.
import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "static");

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022", "chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  metafile: true,
});
await writeFile(join(out, "licences.txt"), await licences(Object.keys(metafile.inputs)));
await writeFile(join(out, "build.json"), JSON.stringify(await digests(), null, 1) + "\n");

async function licences(inputs) {
  const found = inputs.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  const texts = [];
  for (const name of [...new Set(found)].filter(Boolean).sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no licence file`);
    texts.push(`${name} ${version} (${license})\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(78)}\n\n`);
}

async function digests() {
  const sources = {};
  for (const path of (await files(here)).sort()) sources[path] = await sha256(join(here, path));
  const built = {};
  for (const name of ["app.css", "app.js", "licences.txt"]) built[name] = await sha256(join(out, name));
  return { sources, built };
}

async function files(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = await Promise.all(
    entries
      .filter((entry) => entry.name !== "node_modules")
      .map((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [relative(here, join(folder, entry.name))])),
  );
  return found.flat();
}

async function sha256(path) {
  return createHash("sha256").update(await readFile(path)).digest("hex");
}
