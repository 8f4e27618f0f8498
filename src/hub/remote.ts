// Where files come from: a model on a hub, or the folder of a URL. Both are asked for the same: which version there is, what
// is in it, what a file is, and its bytes.
import { eachOf } from "../abort.ts";
import { allParts } from "../checkpoint/gguf_split.ts";
import { show } from "../config/show.ts";
import { HubError } from "../errors.ts";
import type { Platform } from "../platform/platform.ts";
import { type Answer, ask, type Caller, MOST_TRIES, patiently, readJSON, refusal } from "./http.ts";
import {
  addPage,
  blobName,
  isCommit,
  isPlainPath,
  type Listing,
  MOST_FILES,
  sizeOf,
  type TreeEntry,
} from "./listing.ts";
import { refusedByHub, refusedByServer } from "./refused.ts";
import type { Settings } from "./settings.ts";
import { type HubModel, type Remote, type URLFolder, urlOf } from "./source.ts";
import { encodingOf, type FileFacts, type FileSource } from "./transfer.ts";

/** A file, as its server says where it is and what. */
export interface Located extends FileFacts {
  readonly url: string;
  /** Whether it is a web page. */
  readonly is_page?: boolean;
}

export interface RemoteFiles {
  /** The id or the URL, for messages. */
  readonly name: string;
  /** What its folder in the cache is called. */
  readonly folder: string;
  /** The branch, tag or commit that is asked for. */
  readonly revision: string;
  readonly file?: string;
  /** Where they are, when they are on no hub. */
  readonly url?: string;
  /** The commit that the revision is now. @throws HubError, NoAnswer */
  commit(): Promise<string>;
  /** What a commit holds. */
  list(commit: string): Promise<Listing>;
  /** What a file is. @param listed - what the listing has of it */
  locate(commit: string, path: string, listed?: TreeEntry): Promise<Located>;
  /** A file's bytes. @param located - is renewed where the address has expired */
  source(commit: string, path: string, located: Located): FileSource;
}

/** How many times as long as one answer may be silent a download waits for the next byte. */
const SILENCES = 6;
/** Pages of a listing; the hub's have a thousand files. */
const MOST_PAGES = 100;

/** @param tries - how often a question is asked that gets no answer */
export function openRemote(
  platform: Platform,
  remote: Remote,
  settings: Settings,
  signal: AbortSignal | undefined,
  tries: number,
): RemoteFiles {
  const agent = `tramontane; ${platform.name}/${platform.version}`;
  const in_page = platform.page_origin !== undefined;
  const caller = (origin: string): Caller => ({ settings, agent, origin, in_page, signal });
  return "id" in remote
    ? hubFiles(remote, caller(new URL(settings.endpoint).origin), tries, platform.warn)
    : urlFiles(platform, remote, caller(settings.token_given ? remote.url.origin : ""), tries);
}

function hubFiles(
  { id, revision: named, file }: HubModel,
  caller: Caller,
  tries: number,
  warn: (text: string) => void,
): RemoteFiles {
  const { settings, signal } = caller;
  const { endpoint } = settings;
  const revision = named ?? settings.revision;
  const refuse = (answer: Answer, file?: string) =>
    refusal(answer, (refused) => refusedByHub({ id, revision, file, settings }, refused));
  const json = (url: string) =>
    patiently(tries, signal, async () => {
      const answer = await ask(caller, "GET", url);
      if (answer.status !== 200) throw refuse(answer);
      return { page: await readJSON(answer, url), next: nextPage(answer) };
    });
  const resolved = (commit: string, path: string) =>
    `${endpoint}/${id}/resolve/${encodeURIComponent(commit)}/${path.split("/").map(encodeURIComponent).join("/")}`;
  const locate = async (commit: string, path: string, listed?: TreeEntry): Promise<Located> =>
    // A page sees no redirect's headers: there the listing's word is taken for them.
    caller.in_page && listed?.blob_id ? listedFacts(listed, resolved(commit, path)) : ask_facts(commit, path);
  const ask_facts = (commit: string, path: string): Promise<Located> =>
    patiently(MOST_TRIES, signal, async () => {
      const url = resolved(commit, path);
      const answer = await ask(caller, "HEAD", url);
      if (answer.status >= 400) throw refuse(answer, path);
      return factsOf(answer, url);
    });
  return {
    ...{ name: id, folder: `models--${id.replace("/", "--")}`, revision, file },
    async commit() {
      const { page } = await json(`${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`);
      const { sha, id: now } = page as { sha?: unknown; id?: unknown };
      if (typeof sha !== "string" || !isCommit(sha))
        throw new HubError(`${id}: expected the commit of ${revision}, found ${show(sha)}: is ${endpoint} a hub?`);
      if (typeof now === "string" && now !== id) warn(`${id} is called ${show(now)} now, on ${endpoint}`);
      return sha;
    },
    async list(commit) {
      const listing = new Map<string, TreeEntry>();
      let url: string | undefined = `${endpoint}/api/models/${id}/tree/${commit}?recursive=true&expand=false`;
      for (let pages = 0; url !== undefined; pages++) {
        if (pages === MOST_PAGES) throw new HubError(`${id}: a list of more than ${MOST_PAGES} pages`);
        const { page, next }: { page: unknown; next?: string } = await json(url);
        addPage(listing, page, url);
        url = next;
      }
      return listing;
    },
    locate,
    source: (commit, path, located) =>
      renewing(
        caller,
        path,
        located,
        () => locate(commit, path),
        (answer) => refuse(answer, path),
      ),
  };
}

/** The address of the next page, by the header Link. */
const nextPage = (answer: Answer): string | undefined => {
  const [, link] = /<([^>]*)>\s*;\s*rel="next"/.exec(answer.headers.get("link") ?? "") ?? [];
  return link !== undefined && URL.canParse(link, answer.url) ? new URL(link, answer.url).href : undefined;
};

/** What the answer to a HEAD says of a file. The hub's own headers are of the file, the others may be of a page on the way. */
function factsOf(answer: Answer, where: string): Located {
  const { headers, url } = answer;
  const of_hub = headers.get("x-linked-etag");
  const etag = blobName(of_hub ?? headers.get("etag"), where);
  const length =
    headers.get("x-linked-size") ?? (encodingOf(answer) !== "identity" ? null : headers.get("content-length"));
  const size = /^\d{1,15}$/.test(length ?? "") ? Number(length) : undefined;
  return { url, etag, size, hash: hashIn(etag) };
}

/** What a listing says of a file. */
const listedFacts = (entry: TreeEntry, url: string): Located => {
  const etag = blobName(entry.lfs_sha256 ?? entry.blob_id, url);
  return { url, etag, size: sizeOf(entry), hash: hashIn(etag) };
};

/** The hash of a file that is its ETag on a hub. */
const hashIn = (etag: string): Located["hash"] =>
  /^[0-9a-f]{64}$/.test(etag)
    ? { algorithm: "sha256", hex: etag }
    : isCommit(etag)
      ? { algorithm: "git-sha1", hex: etag }
      : undefined;

/** A file's bytes by an address that may expire: then it is asked for again. */
function renewing(
  caller: Caller,
  name: string,
  located: Located,
  locate: () => Promise<Located>,
  refuse: (answer: Answer) => HubError,
): FileSource {
  let { url } = located;
  let renewed: Promise<void> | undefined;
  const renew = async () => {
    ({ url } = await locate());
    renewed = undefined;
  };
  return {
    name,
    patience_ms: SILENCES * caller.settings.stall_ms,
    in_page: caller.in_page,
    async get(headers, stop) {
      const asked = url;
      const answer = await ask(caller, "GET", asked, headers, stop);
      if (isOfFile(answer)) return answer;
      if (![401, 403, 404, 410].includes(answer.status) || new URL(asked).origin === caller.origin)
        throw refuse(answer);
      // Several requests may hear of it at once.
      if (url === asked) await (renewed ??= renew());
      if (url === asked) throw refuse(answer);
      answer.cancel();
      const second = await ask(caller, "GET", url, headers, stop);
      if (!isOfFile(second)) throw refuse(second);
      return second;
    },
  };
}

const isOfFile = ({ status }: Answer): boolean => status === 200 || status === 206 || status === 416;

/** What a folder of a model may hold, where nothing lists it. */
const candidates = [
  ...["config.json", "generation_config.json", "params.json", "quantize_config.json"],
  ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"],
  ...["tekken.json", "tokenizer.model", "tokenizer.model.v3", "adapter_config.json", "adapter_model.safetensors"],
  ...["model.safetensors", "model.safetensors.index.json", "consolidated.safetensors"],
  "consolidated.safetensors.index.json",
];

function urlFiles(platform: Platform, { url, file }: URLFolder, caller: Caller, tries: number): RemoteFiles {
  const { signal } = caller;
  const name = file === undefined ? url.href : urlOf(url, file).href;
  const refuse = (answer: Answer) => refusal(answer, (refused) => refusedByServer(answer.url, refused));
  const hash = (text: string, algorithm: "sha1" | "sha256") => {
    const hasher = platform.hasher(algorithm);
    hasher.update(new TextEncoder().encode(text));
    return hasher.hex();
  };
  const facts = (answer: Answer, where: string, whole: boolean): Located => {
    const { headers } = answer;
    if (headers.has("x-linked-etag")) return factsOf(answer, where);
    const total = /^bytes 0-\d+\/(\d{1,15})$/.exec(headers.get("content-range") ?? "")?.[1];
    const part = answer.status === 206 && !whole;
    const length = total ?? (part || encodingOf(answer) !== "identity" ? null : headers.get("content-length"));
    // Whoever says neither may have another file every time.
    const version = headers.get("etag") ?? headers.get("last-modified") ?? crypto.randomUUID();
    const size = /^\d{1,15}$/.test(length ?? "") ? Number(length) : undefined;
    const is_page = /^text\/html\b/i.test(headers.get("content-type") ?? "");
    return { url: where, etag: hash(`${where}\n${version}\n${size}`, "sha256"), size, is_page };
  };
  const locate = (path: string): Promise<Located> =>
    patiently(tries, signal, async () => {
      const where = urlOf(url, path).href;
      // Of a range a browser asks for the bytes as they are; of the whole it says nothing of how they came.
      const head = await ask(caller, "HEAD", where, caller.in_page ? { range: "bytes=0-" } : {});
      if (head.status < 400) return facts(head, where, true);
      if (![403, 405, 501].includes(head.status)) throw refuse(head);
      // An address that is signed for GET alone.
      const answer = await ask(caller, "GET", where, { range: "bytes=0-0" });
      if (answer.status >= 400) throw refuse(answer);
      answer.cancel();
      return facts(answer, where, false);
    });
  const located = new Map<string, Located>();
  const find = async (paths: readonly string[], optional: boolean) =>
    eachOf(paths, 8, signal, async (path) => {
      try {
        const found = await locate(path);
        // Servers of applications answer with their page where there is no file.
        if (!(optional && found.is_page)) located.set(path, found);
      } catch (error) {
        if (!(optional && error instanceof HubError && [403, 404, 410].includes(error.status ?? 0))) throw error;
      }
    });
  const shardsOf = (index: string): Promise<string[]> =>
    patiently(tries, signal, async () => {
      const answer = await ask(caller, "GET", urlOf(url, index).href);
      if (answer.status !== 200) throw refuse(answer);
      const { weight_map } = ((await readJSON(answer, answer.url)) ?? {}) as { weight_map?: unknown };
      const names = [...new Set(Object.values(weight_map ?? {}))];
      if (names.length > MOST_FILES || !names.every((name) => typeof name === "string" && isPlainPath(name)))
        throw new HubError(`${answer.url}: weight_map: expected names of files, found others`);
      return names as string[];
    });
  return {
    ...{
      name,
      file,
      url: url.href,
      folder: `models--url--${url.hostname}-${hash(name, "sha256").slice(0, 16)}`,
      revision: "main",
    },
    async commit() {
      if (file !== undefined) await find(allParts(file), false);
      else {
        await find(candidates, true);
        for (const index of candidates.filter((path) => path.endsWith(".index.json") && located.has(path)))
          await find(await shardsOf(index), false);
      }
      if (located.size === 0) throw new HubError(`${name}: found none of ${candidates.join(", ")}`, 404);
      return hash(
        [...located]
          .map(([path, { etag }]) => `${path} ${etag}`)
          .sort()
          .join("\n"),
        "sha1",
      );
    },
    async list() {
      if (located.size === 0) await this.commit();
      return new Map([...located].map(([path, { etag, size = 0 }]) => [path, { size, blob_id: etag }]));
    },
    // What was found out first holds once: who asks again wants to know what has changed.
    async locate(_, path) {
      const known = located.get(path);
      located.delete(path);
      return known ?? locate(path);
    },
    source: (_, path, at) => renewing(caller, urlOf(url, path).href, at, () => locate(path), refuse),
  };
}
