// The service worker: keeps every file of one build of the page, named by the build's hash, and answers from it first. It adds
// the headers of cross-origin isolation, for hosts that cannot send them.

interface Lasting extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface Fetching extends Event {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Told extends Lasting {
  readonly data: { readonly type: "keep"; readonly path: string } | { readonly type: "begin" };
}

/** Put in by the build: its hash, and the files that the page needs at once. */
declare const BUILD: string;
declare const FILES: readonly string[];

const worker = self as unknown as {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Lasting) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetching) => void): void;
  addEventListener(type: "message", listener: (event: Told) => void): void;
};

const PREFIX = "tramontane-chat-";
const name = PREFIX + BUILD;
const scope = () => worker.registration.scope;
const open = () => caches.open(name);

worker.addEventListener("install", (event) => {
  const keep = async () => {
    const requests = FILES.map((path) => new Request(new URL(path, scope()), { cache: "no-cache" }));
    await (await open()).addAll(requests);
  };
  event.waitUntil(keep());
});

worker.addEventListener("activate", (event) => {
  const begin = async () => {
    for (const other of await caches.keys()) if (other.startsWith(PREFIX) && other !== name) await caches.delete(other);
    await worker.clients.claim();
  };
  event.waitUntil(begin());
});

worker.addEventListener("message", (event) => {
  const { data } = event;
  if (data.type === "begin") event.waitUntil(worker.skipWaiting());
  else event.waitUntil(keep(new URL(data.path, scope()).href));
});

/** Keeps what is not among the files of the installation: it is large. */
async function keep(url: string): Promise<void> {
  const cache = await open();
  if (!(await cache.match(url))) await cache.add(url);
}

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  // What is not the page's own goes to its server untouched.
  if (request.method === "GET" && request.url.startsWith(scope())) event.respondWith(answer(request));
});

async function answer(request: Request): Promise<Response> {
  const page = request.mode === "navigate" && [scope(), `${scope()}index.html`].includes(request.url.split(/[?#]/)[0]);
  const cache = await open();
  const kept = await cache.match(page ? new URL("index.html", scope()).href : request, { ignoreSearch: page });
  if (kept && !request.headers.has("range")) return isolated(kept);
  return isolated(await fetch(request));
}

function isolated(answer: Response): Response {
  if (answer.status === 0 || answer.redirected) return answer;
  const headers = new Headers(answer.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
