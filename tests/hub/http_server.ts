// An HTTP server on bare sockets, so that its answers can be wrong, slow, or broken off anywhere, in every runtime alike.
import { createServer, type Socket } from "node:net";

export interface Request {
  readonly method: string;
  /** As it came, with its percent signs. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By names in small letters. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface Response {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Bytes of the body before the connection is cut. */
  readonly cut?: number;
  /** Bytes of the body before nothing more comes. */
  readonly stall?: number;
  /** Bytes that are sent at once, and the milliseconds between two of them. */
  readonly drip?: { readonly bytes: number; readonly ms: number };
}

export interface Server {
  readonly origin: string;
  close(): Promise<void>;
}

const END = "\r\n\r\n";

/** @param handle - answers a request; undefined cuts the connection */
export async function serve(
  handle: (request: Request) => Response | undefined | Promise<Response | undefined>,
): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {});
    const closed = new Promise<void>((resolve) => socket.on("close", resolve));
    closed.then(() => sockets.delete(socket));
    const write = (bytes: Uint8Array) =>
      Promise.race([closed, new Promise<void>((resolve) => socket.write(bytes, () => resolve()))]);
    let heard = "";
    let busy = false;
    const next = async () => {
      const end = heard.indexOf(END);
      if (busy || end < 0) return;
      busy = true;
      const request = parse(heard.slice(0, end));
      heard = heard.slice(end + END.length);
      const response = await handle(request);
      if (response === undefined) return socket.destroy();
      await send(write, request.method, response);
      if (response.cut !== undefined) return socket.end();
      if (response.stall !== undefined) return;
      busy = false;
      await next();
    };
    socket.on("data", (part) => {
      heard += part.toString("latin1");
      next().catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    origin: `http://127.0.0.1:${port}`,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function parse(head: string): Request {
  const [first, ...lines] = head.split("\r\n");
  const [method, target] = first.split(" ");
  const { pathname, searchParams } = new URL(target, "http://localhost");
  const headers = lines.map((line) => {
    const at = line.indexOf(":");
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
  });
  return { method, path: pathname, query: searchParams, headers: Object.fromEntries(headers) };
}

async function send(write: (bytes: Uint8Array) => Promise<void>, method: string, response: Response): Promise<void> {
  const { status, headers = {}, body = "", cut, stall, drip } = response;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const all = { "content-length": String(bytes.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  await write(new TextEncoder().encode(`HTTP/1.1 ${status} Said${["", ...lines].join("\r\n")}${END}`));
  if (method === "HEAD" || status === 304) return;
  const end = cut ?? stall ?? bytes.length;
  const step = drip?.bytes ?? 2 ** 18;
  for (let at = 0; at < end; at += step) {
    await write(bytes.subarray(at, Math.min(at + step, end)));
    if (drip) await new Promise((resolve) => setTimeout(resolve, drip.ms));
  }
}
