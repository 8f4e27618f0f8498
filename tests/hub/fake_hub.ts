// A hub on this machine: what clients ask of the real one, answered as it does, with the files' bytes on another host as there;
// and faults, by which any answer can be made wrong.
import { createHash } from "node:crypto";
import { type Request, type Response, type Server, serve } from "./http_server.ts";

/** A request, as tests look at them. */
export interface Seen {
  readonly host: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly range?: string;
  readonly headers: Request["headers"];
}

/** What becomes of the answer to a request. Undefined: nothing. */
export type Fault = (seen: Seen, answer: Response) => Response | "cut" | undefined | Promise<Response | undefined>;

export interface FakeRepository {
  /** What its branches and tags are: "main" is made of the files. */
  readonly revisions: Map<string, string>;
  readonly commits: Map<string, ReadonlyMap<string, FakeFile>>;
  /** Who may see it, by token; all by default. */
  private_to?: string;
  gated_to?: string;
  /** What it is called now. */
  renamed?: string;
}

export interface FakeFile {
  readonly bytes: Uint8Array;
  /** Git's SHA-1 of the blob, or of a large file the SHA-256 of its bytes. */
  readonly etag: string;
  readonly lfs: boolean;
}

/** Larger files than this stand apart, as with the hub's LFS and Xet. */
const LFS_BYTES = 2 ** 14;

const hex = (algorithm: string, ...parts: (string | Uint8Array)[]): string => {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

const gitHash = (bytes: Uint8Array): string => hex("sha1", `blob ${bytes.length}\0`, bytes);

function fakeFile(content: Uint8Array | string): FakeFile {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const lfs = bytes.length > LFS_BYTES;
  return { bytes, lfs, etag: lfs ? hex("sha256", bytes) : gitHash(bytes) };
}

/** What the real hub lets pages do and see. */
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers":
    "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash",
};
const PREFLIGHT = {
  ...CORS,
  "access-control-allow-methods": "GET,HEAD",
  "access-control-allow-headers": "authorization,range",
};

export class FakeHub {
  readonly seen: Seen[] = [];
  /** Files of a page of a listing. */
  page = 1000;
  /** Whether pages of other origins may read the answers, as the real one lets them. */
  cors = false;
  private readonly repositories = new Map<string, FakeRepository>();
  private readonly blobs = new Map<string, Uint8Array>();
  private faults: Fault[] = [];
  private hub!: Server;
  private cdn!: Server;
  private signature = 0;

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    hub.hub = await serve((request) => hub.handle("hub", request));
    hub.cdn = await serve((request) => hub.handle("cdn", request));
    return hub;
  }

  get endpoint(): string {
    return this.hub.origin;
  }

  /** Makes a commit, which is `main` then. */
  commit(
    id: string,
    files: Readonly<Record<string, Uint8Array | string>>,
  ): { commit: string; repository: FakeRepository } {
    const all = new Map(Object.entries(files).map(([path, content]) => [path, fakeFile(content)]));
    for (const { bytes, etag } of all.values()) this.blobs.set(etag, bytes);
    const commit = hex("sha1", JSON.stringify([...all].map(([path, { etag }]) => [path, etag])));
    const repository = this.repositories.get(id) ?? { revisions: new Map(), commits: new Map() };
    this.repositories.set(id, repository);
    repository.revisions.set("main", commit);
    repository.commits.set(commit, all);
    return { commit, repository };
  }

  /** The ETag of a file of `main`. */
  etag(id: string, path: string): string {
    const { commits, revisions } = this.repositories.get(id)!;
    return commits.get(revisions.get("main")!)!.get(path)!.etag;
  }

  /** Has answers pass through a fault, from now on. */
  fault(fault: Fault): void {
    this.faults.push(fault);
  }

  /** All is well again, and nothing was asked. */
  reset(): void {
    this.faults = [];
    this.seen.length = 0;
  }

  async close(): Promise<void> {
    await Promise.all([this.hub.close(), this.cdn.close()]);
  }

  private async handle(host: Seen["host"], request: Request): Promise<Response | undefined> {
    const { method, path, headers } = request;
    const seen = { host, method, path, range: headers["range"], headers };
    this.seen.push(seen);
    if (this.cors && method === "OPTIONS") return { status: 204, headers: PREFLIGHT };
    const answer = await this.faulty(seen, request);
    return this.cors && answer ? { ...answer, headers: { ...answer.headers, ...CORS } } : answer;
  }

  private async faulty(seen: Seen, request: Request): Promise<Response | undefined> {
    const { host, path } = seen;
    let answer = host === "hub" ? this.answer(request) : this.blob(request, path.slice(1));
    for (const fault of this.faults) {
      const wrong = await fault(seen, answer);
      if (wrong === "cut") return undefined;
      answer = wrong ?? answer;
    }
    return answer;
  }

  private answer(request: Request): Response {
    const [, api, id = "", kind, rest] =
      /^\/(api\/models\/|)([^/]+\/[^/]+?)(?:\/(revision|tree|resolve)\/(.*))?$/.exec(request.path) ?? [];
    const [, cached, of_commit] = /^\/api\/resolve-cache\/(\w+)\/(\w+)$/.exec(request.path) ?? [];
    if (cached) return this.blob(request, cached, { "x-repo-commit": of_commit });
    const token = /^Bearer (.*)$/.exec(request.headers["authorization"] ?? "")?.[1];
    const refuse = (status: number, code: string, message: string): Response => ({
      status,
      headers: { "x-error-code": code, "x-error-message": message, "content-type": "application/json" },
      body: JSON.stringify({ error: message }),
    });
    const repository = this.repositories.get(id);
    if (!repository || (repository.private_to && repository.private_to !== token))
      return refuse(token ? 404 : 401, "RepoNotFound", "Repository not found");
    if (repository.renamed) return { status: 307, headers: { location: request.path.replace(id, repository.renamed) } };
    const [name, ...parts] = (rest ?? "main").split("/").map(decodeURIComponent);
    const commit = repository.revisions.get(name) ?? (repository.commits.has(name) ? name : undefined);
    if (commit === undefined) return refuse(404, "RevisionNotFound", `Invalid rev id: ${name}`);
    const files = repository.commits.get(commit)!;
    const base = { "x-repo-commit": commit };
    const json = (value: unknown, headers = {}): Response => ({
      status: 200,
      headers: { ...base, "content-type": "application/json", ...headers },
      body: JSON.stringify(value),
    });
    if (api && kind === "tree") return this.tree(request, files, json);
    if (api)
      return json({
        id,
        sha: commit,
        private: false,
        tags: [],
        siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
      });
    if (repository.gated_to && repository.gated_to !== token)
      return refuse(token ? 403 : 401, "GatedRepo", `Access to model ${id} is restricted.`);
    const file = files.get(parts.join("/"));
    if (!file)
      return {
        ...refuse(404, "EntryNotFound", "Entry not found"),
        headers: { ...base, "x-error-code": "EntryNotFound" },
      };
    const linked = { ...base, "x-linked-etag": `"${file.etag}"`, "x-linked-size": String(file.bytes.length) };
    if (!file.lfs)
      return { status: 307, headers: { ...linked, location: `/api/resolve-cache/${file.etag}/${commit}` } };
    const location = `${this.cdn.origin}/${file.etag}?signature=${++this.signature}`;
    return { status: 302, headers: { ...linked, location } };
  }

  private tree(
    { path, query }: Request,
    files: ReadonlyMap<string, FakeFile>,
    json: (value: unknown, headers?: object) => Response,
  ) {
    const all = [...files].map(([path, { bytes, etag, lfs }]) => ({
      ...{ type: "file", path, size: bytes.length, oid: lfs ? gitHash(new TextEncoder().encode(etag)) : etag },
      ...(lfs ? { lfs: { oid: etag, size: bytes.length, pointerSize: 134 } } : {}),
    }));
    const from = Number(query.get("cursor") ?? 0);
    const next = from + this.page;
    const more =
      next < all.length ? { link: `<${this.endpoint}${path}?recursive=true&cursor=${next}>; rel="next"` } : {};
    return json(all.slice(from, next), more);
  }

  private blob({ headers }: Request, etag: string, more: Record<string, string> = {}): Response {
    const bytes = this.blobs.get(etag);
    if (!bytes) return { status: 403 };
    return rangeOf(bytes, headers["range"], { ...more, etag: `"${etag}"` });
  }
}

/** Bytes, or the range of them that was asked for. */
export function rangeOf(bytes: Uint8Array, range: string | undefined, headers: Record<string, string>): Response {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  if (first === undefined) return { status: 200, headers: { "accept-ranges": "bytes", ...headers }, body: bytes };
  const end = Math.min(bytes.length, last ? Number(last) + 1 : bytes.length);
  const size = { "content-range": `bytes */${bytes.length}` };
  if (Number(first) >= end) return { status: 416, headers: size };
  return {
    status: 206,
    headers: { ...headers, "content-range": `bytes ${first}-${end - 1}/${bytes.length}` },
    body: bytes.subarray(Number(first), end),
  };
}
