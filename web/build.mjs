// Bundles the browser's files into web/static/dist: hashed names, manifest, icon sprite, compressed copies, notices.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { basename, extname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT = "web/static/dist";
const ENTRIES = { app: "web/assets/js/app.js", booking: "web/assets/js/booking.js", live: "web/assets/js/live.js", timeline: "web/assets/js/timeline.js", countdown: "web/assets/js/countdown.js", connect: "web/assets/js/connect.js", style: "web/assets/css/app.css" };
const COMPRESSED = new Set([".js", ".css", ".svg", ".txt"]);

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

const result = await build({
  entryPoints: ENTRIES,
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  metafile: true,
  sourcemap: false,
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file" },
  target: ["chrome108", "firefox110", "safari15.4"],
  legalComments: "none",
  logLevel: "warning",
});

const manifest = {};
for (const [file, made] of Object.entries(result.metafile.outputs)) {
  if (made.entryPoint) {
    const name = Object.keys(ENTRIES).find((key) => ENTRIES[key] === made.entryPoint);
    manifest[name + extname(file)] = basename(file);
  } else if (file.endsWith(".woff2")) {
    manifest["inter.woff2"] = basename(file);
  }
}
manifest["icons.svg"] = hashed("icons", ".svg", sprite(iconNames()));
manifest["favicon.svg"] = hashed("favicon", ".svg", readFileSync("web/assets/favicon.svg", "utf8"));
writeFileSync(join(OUT, "THIRD_PARTY_NOTICES.txt"), notices(Object.keys(result.metafile.inputs)));
writeFileSync(join(OUT, "manifest.json"), JSON.stringify(manifest, null, 1));
compress();

function hashed(name, suffix, text) {
  const file = `${name}-${createHash("sha256").update(text).digest("hex").slice(0, 8)}${suffix}`;
  writeFileSync(join(OUT, file), text);
  return file;
}

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

/** Names written as icon("name") in templates, and those that data supplies, from icons.txt. */
function iconNames() {
  const names = new Set(readFileSync("web/icons.txt", "utf8").split("\n").map((line) => line.split("#")[0].trim()).filter(Boolean));
  for (const file of files("web/templates")) {
    for (const [, name] of readFileSync(file, "utf8").matchAll(/\bicon\("([a-z0-9-]+)"/g)) names.add(name);
  }
  return [...names].sort();
}

function sprite(names) {
  const symbols = names.map((name) => {
    const source = join("node_modules/lucide-static/icons", `${name}.svg`);
    if (!existsSync(source)) throw new Error(`no icon is called "${name}" in lucide-static`);
    const inner = readFileSync(source, "utf8").replace(/<!--[\s\S]*?-->/g, "").replace(/^[\s\S]*?<svg[^>]*>|<\/svg>\s*$/g, "");
    return `<symbol id="${name}" viewBox="0 0 24 24">${inner.replace(/\s+/g, " ").trim()}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`;
}

/** Licence texts of every package that reached the bundle, and of the icons. */
function notices(inputs) {
  const packages = new Set(["lucide-static"]);
  for (const input of inputs) {
    const match = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/);
    if (match) packages.add(match[1]);
  }
  return [...packages].sort().map(notice).join("\n\n");
}

function notice(name) {
  const folder = join("node_modules", name);
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
  const body = texts.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  return `${name} ${about.version} (${about.license})\n${"=".repeat(60)}\n${body}`;
}

function compress() {
  for (const file of files(OUT).filter((name) => COMPRESSED.has(extname(name)))) {
    const bytes = readFileSync(file);
    writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  }
  console.log(`${relative(".", OUT)}: ${Object.keys(manifest).length} assets`);
}
