// node scripts/serve-sources.mjs FOLDER: serves src/ and wasm/ on a free port of this machine, as JSR serves a package, and
// writes the port to FOLDER/port. For packages.mjs, which ends it.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { root } from "./fetch-runtimes.mjs";

const types = { ".ts": "application/typescript", ".wasm": "application/wasm" };
const folder = process.argv[2];

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const type = /^\/(src|wasm)\//.test(pathname) && types[extname(pathname)];
  if (!type) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": type }).end(readFileSync(join(root, pathname)));
});
server.listen(0, "127.0.0.1", () => {
  writeFileSync(join(folder, "port.part"), String(server.address().port));
  renameSync(join(folder, "port.part"), join(folder, "port"));
});
