// npm run web: builds the chat page and serves it. PORT says where, else a free port is taken; the address is printed.
// npm run web -- --out DIR: writes it as static files, for any host.
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { buildPage } from "./web/build.mjs";
import { root } from "./web/root.mjs";
import { serve } from "./web/serve.mjs";

const { values } = parseArgs({ options: { out: { type: "string" }, minify: { type: "boolean", default: true } } });
const out = resolve(values.out ?? join(root, "build", "web"));
mkdirSync(out, { recursive: true });
const { bytes, files } = await buildPage(out);
console.error(`${files} files, the page's own code and styles ${(bytes / 1000).toFixed(1)} kB by Brotli`);
if (values.out) console.log(out);
else {
  if (!existsSync(join(out, "index.html"))) throw new Error(`${out}: nothing was built`);
  const { address } = await serve(out, { port: Number(process.env.PORT ?? 0) });
  console.log(address);
}
