// A static server for tests in browsers: the built package, the fixtures, and pages of a test's own; cross-origin isolated or
// not, and with the strictest Content-Security-Policy that the documents promise to do with.
import { createReadStream, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fixture, root } from "../fixtures.ts";
import { checkpointFile, expected } from "./expected.ts";

const CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Answers a request, or tells that it is not for it. */
export type Route = (request: IncomingMessage, response: ServerResponse, path: string) => boolean | Promise<boolean>;

export interface ServerOptions {
  /** Whether pages are cross-origin isolated, and have threads. @default true */
  isolated?: boolean;
  /** Instead of the strict one; "" for none. */
  csp?: string;
  /** Folders by the beginning of their paths (`/chat/`), before those that are there in any case. */
  folders?: Record<string, string>;
  /** Pages by their paths: HTML. */
  pages?: Record<string, string>;
  /** Asked first. */
  route?: Route;
}

export interface WebServer {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

/** Whatever is asked for below a folder, never above it. */
const below = (folder: string, rest: string): string => join(folder, normalize(`/${rest}`));

/**
 * `/fixture/NAME` as `fixture(NAME)` of tests/fixtures.ts, of whose files `/list/NAME` tells; `/expected.json` is what Node
 * computes of the checkpoints that it names, with their files' URLs.
 */
function locate(path: string, folders: Record<string, string>): string | undefined {
  const dist = join(root, "dist");
  const known: [string, string][] = [
    ...Object.entries(folders),
    ["/web/", join(dist, "web")],
    ["/web/", join(dist, "web-tests")],
    ["/wasm/", join(dist, "wasm")],
    ["/models/", join(root, "models")],
    ["/hashes/", join(root, "tests", "runtimes")],
  ];
  const files = known
    .filter(([prefix]) => path.startsWith(prefix))
    .map(([prefix, folder]) => below(folder, path.slice(prefix.length)));
  const checkpoint = checkpointFile(path);
  if (checkpoint) files.push(checkpoint);
  if (path.startsWith("/fixture/")) files.push(fixture(normalize(path.slice(9))));
  return files.find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

/** Sends a file, or the range of it that was asked for. */
function sendFile(request: IncomingMessage, response: ServerResponse, file: string): void {
  const { size } = statSync(file);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  if (range && start > end) {
    response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
    return;
  }
  response.writeHead(range ? 206 : 200, {
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
    "Content-Length": end - start + 1,
    "Accept-Ranges": "bytes",
    ...(range ? { "Content-Range": `bytes ${start}-${end}/${size}` } : {}),
  });
  if (request.method === "HEAD" || size === 0) response.end();
  else
    createReadStream(file, { start, end })
      .on("error", () => response.destroy())
      .pipe(response);
}

/** Starts a server on a free port of this machine's own address. */
export async function startServer(options: ServerOptions = {}): Promise<WebServer> {
  const { isolated = true, csp = CSP, folders = {}, pages = {}, route } = options;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    response.setHeader("Cache-Control", "no-store");
    if (csp) response.setHeader("Content-Security-Policy", csp);
    if (isolated) for (const [name, value] of Object.entries(ISOLATION)) response.setHeader(name, value);
    if (await route?.(request, response, path)) return;
    const page = pages[path] ?? (path === "/" ? "<!doctype html><title>Tramontane</title>" : undefined);
    if (page !== undefined) {
      response.writeHead(200, { "Content-Type": TYPES[".html"] }).end(page);
      return;
    }
    if (path === "/expected.json") {
      response.writeHead(200, { "Content-Type": TYPES[".json"] }).end(JSON.stringify(await expected()));
      return;
    }
    if (path.startsWith("/list/")) {
      const entries = await readdir(fixture(normalize(path.slice(6))), { withFileTypes: true });
      const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
      response.writeHead(200, { "Content-Type": TYPES[".json"] }).end(JSON.stringify(names));
      return;
    }
    const file = locate(path, folders);
    if (file) sendFile(request, response, file);
    else response.writeHead(404, { "Content-Type": "text/plain" }).end(`${path}: there is none`);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { "Content-Type": "text/plain" });
      response.end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
