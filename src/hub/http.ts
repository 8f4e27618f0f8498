// Requests as downloads need them: redirects followed one by one, so that the token stays with the server that it is for; no
// wait without an end; what passes tried again, after as long as the server asks.
import { onAbort, pause } from "../abort.ts";
import { printable, show } from "../config/show.ts";
import { HubError } from "../errors.ts";
import { pageRequest } from "./cors.ts";
import type { Settings } from "./settings.ts";

/** A server that answers with this may answer otherwise in a moment. */
const PASSING = [408, 425, 429, 500, 502, 503, 504];
/** How often something is tried that fails in a row, and how long is waited first; twice as long each time, up to a bound. */
export const MOST_TRIES = 6;
const FIRST_WAIT_MS = 250;
const MOST_PAUSE_MS = 8_000;
/** A server that asks for more patience is not waited for. */
const MOST_WAIT_MS = 300_000;
const MOST_REDIRECTS = 10;
const MOST_JSON_BYTES = 2 ** 25;

/** No answer, or not the whole of it: the line, the server, a name that is not found. Trying again may help. */
export class NoAnswer extends Error {}

/** Who asks, whom, and what. */
export interface Caller {
  readonly settings: Settings;
  readonly agent: string;
  /** The only origin that the token is sent to. */
  readonly origin: string;
  /** Whether the requests are a page's (cors.ts). */
  readonly in_page: boolean;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Where the answer came from, after redirects; or where it says that the file is. */
  readonly url: string;
  /** The bytes as they come. @throws {@link NoAnswer} when they stop coming; the signal's reason */
  chunks(): AsyncGenerator<Uint8Array>;
  /** What was not read is not wanted. Harmless after it was. */
  cancel(): void;
}

/** One request; redirects are followed, but for one that tells of a file. @throws {@link NoAnswer}, HubError for a redirect astray */
export async function ask(
  caller: Caller,
  method: "GET" | "HEAD",
  address: string,
  headers: Record<string, string> = {},
  stop: AbortSignal | undefined = caller.signal,
): Promise<Answer> {
  const { settings, agent, origin, in_page } = caller;
  let url = new URL(address);
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const authorization: Record<string, string> =
      settings.token !== undefined && url.origin === origin ? { authorization: `Bearer ${settings.token}` } : {};
    const own: Record<string, string> = in_page ? {} : { "user-agent": agent, "accept-encoding": "identity" };
    const init = { ...(in_page ? pageRequest : { redirect: "manual" as const }), method };
    const answer = await send(url, { ...init, headers: { ...own, ...authorization, ...headers } }, settings, stop);
    const location = answer.headers.get("location");
    if (answer.status < 300 || answer.status > 399 || answer.status === 304 || location === null) return answer;
    answer.cancel();
    if (!URL.canParse(location, url.href))
      throw new HubError(`${url.origin}: redirects to ${show(location)}, which is no URL`);
    const next = new URL(location, url.href);
    if (next.protocol !== "https:" && (next.protocol !== "http:" || url.protocol === "https:"))
      throw new HubError(`${url.origin}: redirects to ${show(next.origin)}: expected an https: URL`);
    if (method === "HEAD" && answer.headers.has("x-linked-etag")) return { ...answer, url: next.href };
    url = next;
  }
  throw new HubError(`${url.origin}: more than ${MOST_REDIRECTS} redirects`);
}

async function send(
  url: URL,
  init: RequestInit,
  { answer_ms, stall_ms }: Settings,
  stop: AbortSignal | undefined,
): Promise<Answer> {
  stop?.throwIfAborted();
  const line = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const within = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => line.abort(new NoAnswer(`nothing came for ${ms / 1000} s`)), ms);
  };
  const forget = onAbort(stop, () => line.abort(stop!.reason));
  const end = () => {
    clearTimeout(timer);
    forget();
  };
  const failed = (error: unknown): Error => {
    stop?.throwIfAborted();
    if (line.signal.reason instanceof NoAnswer) return line.signal.reason;
    const { message, cause } = error as Error & { cause?: Error & { code?: string } };
    return new NoAnswer(cause?.message || cause?.code || message, { cause: error });
  };
  let response: Response;
  try {
    within(answer_ms);
    response = await fetch(url, { ...init, signal: line.signal });
  } catch (error) {
    end();
    throw failed(error);
  }
  const body = response.body?.getReader();
  // Deno reads on after an abort.
  line.signal.addEventListener("abort", () => body?.cancel().catch(() => {}));
  const cancel = () => {
    end();
    line.abort(new NoAnswer("it was given up"));
  };
  if (init.method === "HEAD") end();
  else within(stall_ms);
  return {
    status: response.status,
    headers: response.headers,
    url: response.redirected ? response.url : url.href,
    cancel,
    async *chunks() {
      try {
        for (;;) {
          within(stall_ms);
          const { done, value } = (await body?.read()) ?? { done: true };
          line.signal.throwIfAborted();
          if (done) return;
          // What is made of the bytes may take its time.
          clearTimeout(timer);
          yield value!;
        }
      } catch (error) {
        throw failed(error);
      } finally {
        cancel();
      }
    },
  };
}

/**
 * Runs something until it succeeds, as long as what fails is passing.
 * @param tries - after how many that fail in a row it is given up, and
 * @param patience_ms - after how long without progress at the least
 * @param attempt - may begin to count anew by `progress`
 */
export async function patiently<T>(
  tries: number,
  signal: AbortSignal | undefined,
  attempt: (progress: () => void) => Promise<T>,
  patience_ms = 0,
): Promise<T> {
  let [failed, since] = [0, performance.now()];
  for (;;) {
    try {
      return await attempt(() => {
        [failed, since] = [0, performance.now()];
      });
    } catch (error) {
      signal?.throwIfAborted();
      const wait = error instanceof Busy ? error.wait_ms : error instanceof NoAnswer ? 0 : undefined;
      if (wait === undefined || wait > MOST_WAIT_MS) throw error;
      if (++failed >= tries && performance.now() - since >= patience_ms) throw error;
      await pause(Math.max(wait, Math.min(FIRST_WAIT_MS * 2 ** (failed - 1), MOST_PAUSE_MS)), signal);
    }
  }
}

/** An answer that may be another in a moment. */
export class Busy extends HubError {
  readonly wait_ms: number;
  constructor(refused: HubError, { headers }: Answer) {
    super(refused.message, refused.status, { cause: refused });
    this.wait_ms = retryAfter(headers.get("retry-after") ?? "");
  }
}

/** Seconds or a date, as milliseconds from now. */
function retryAfter(text: string): number {
  const ms = /^\d{1,9}$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return ms > 0 ? ms : 0;
}

/** The error that an answer is, of which nothing more is read. @param refused - says what it means */
export function refusal(answer: Answer, refused: (answer: Answer) => HubError): HubError {
  answer.cancel();
  return PASSING.includes(answer.status) ? new Busy(refused(answer), answer) : refused(answer);
}

/** A JSON text, read to its end within a limit. @throws {@link HubError} when it is none, or longer */
export async function readJSON(answer: Answer, where: string): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of answer.chunks()) {
    length += part.length;
    if (length > MOST_JSON_BYTES) throw new HubError(`${where}: an answer of more than ${MOST_JSON_BYTES} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(await new Blob(parts as BlobPart[]).text());
  } catch (cause) {
    throw new HubError(`${where}: expected JSON, found something else: ${printable((cause as Error).message)}`, 200, {
      cause,
    });
  }
}
