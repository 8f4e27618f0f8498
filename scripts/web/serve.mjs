// A server of static files, with the headers that a page with threads needs, and a policy under which no other code runs.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
};

export const POLICY =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; connect-src *; img-src 'self' data: blob:";

/**
 * @param folder - what is served
 * @param options - port: 0 is a free one; isolated: whether pages may have threads
 * @returns its address, and what ends it
 */
export async function serve(folder, { port = 0, host = "127.0.0.1", isolated = true } = {}) {
  const server = createServer((request, answer) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = normalize(
      join(folder, decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname)),
    );
    const stat = path.startsWith(folder + sep) ? statSync(path, { throwIfNoEntry: false }) : undefined;
    const headers = {
      "Content-Type": types[extname(path)] ?? "application/octet-stream",
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cache-Control": "no-cache",
      ...(isolated
        ? {
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Resource-Policy": "same-origin",
          }
        : {}),
    };
    if (!stat?.isFile() || !["GET", "HEAD"].includes(request.method)) {
      answer.writeHead(stat ? 405 : 404, { ...headers, "Content-Type": "text/plain" }).end("not here\n");
      return;
    }
    const etag = `"${stat.size.toString(36)}-${stat.mtimeMs.toString(36)}"`;
    if (request.headers["if-none-match"] === etag) {
      answer.writeHead(304, { ...headers, ETag: etag }).end();
      return;
    }
    answer.writeHead(200, { ...headers, ETag: etag, "Content-Length": stat.size });
    if (request.method === "HEAD") answer.end();
    else createReadStream(path).pipe(answer);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  return {
    address: `http://${host === "127.0.0.1" ? "localhost" : host}:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
