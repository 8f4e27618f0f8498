// One file, from a server onto the disk: in ranges that come side by side, on the way hashed in their order. It is written
// beside its place, with a note of what has come, so that it is gone on with after a cut, and after the end of a process.
import { eachOf } from "../abort.ts";
import { printable } from "../config/show.ts";
import { HubError, WriteError } from "../errors.ts";
import { saveFile } from "../platform/files.ts";
import type { PatchFile, Platform } from "../platform/platform.ts";
import { type Answer, MOST_TRIES, NoAnswer, patiently } from "./http.ts";
import { type Range, Ranges, readRanges } from "./ranges.ts";
import { readSmall } from "./settings.ts";

/** What a file is, as its server says before it is fetched. */
export interface FileFacts {
  readonly etag: string;
  /** Bytes, where it is known. */
  readonly size?: number;
  /** What its bytes must hash to, where it is known: SHA-256, or git's SHA-1 of a blob. */
  readonly hash?: { readonly algorithm: "sha256" | "git-sha1"; readonly hex: string };
  /**
   * It is the same as before, though the servers that have the bytes do not agree on that: its hash tells, or else it is taken
   * in one piece.
   */
  readonly pinned?: boolean;
}

/** Where a file comes from. */
export interface FileSource {
  /** What to call it in messages. */
  readonly name: string;
  /** How long no byte may come before it is given up: a network that changes is waited for. */
  readonly patience_ms: number;
  /** Whether a page asks, which does not see all that an answer says (cors.ts). */
  readonly in_page: boolean;
  /** Asks for the file, or a part of it. @throws NoAnswer, HubError */
  get(headers: Record<string, string>, stop: AbortSignal | undefined): Promise<Answer>;
}

/** The file seems to be another than it was a moment ago. */
export class Changed extends HubError {}

/** The server knows no ranges: it sends the whole. */
class Whole extends Error {}

/** Bytes of one request, and of one write at most. */
const PIECE_BYTES = 2 ** 24;
const WRITE_BYTES = 2 ** 20;
const READ_BYTES = 2 ** 22;
const CONNECTIONS = 8;
/** How often it is noted what has come. */
const NOTE_MS = 2000;
const MOST_NOTE_BYTES = 2 ** 23;

interface Note {
  readonly etag: string;
  readonly size: number | undefined;
  /** The ETag of the server that has the bytes, which is not always the hub's. */
  readonly validator: string | undefined;
  readonly ranges: unknown;
}

/** Of a download that is under way, or was cut short: the file, and the note. */
export const partialNames = (place: string): [string, string] => [
  `${place}.tramontane.incomplete`,
  `${place}.tramontane.incomplete.json`,
];

/** Bytes that an earlier run has left of a file, whatever its facts are or as they are now. */
export async function partialBytes(platform: Platform, place: string, facts?: FileFacts): Promise<number> {
  const [partial, beside] = partialNames(place);
  const note = await readNote(platform, beside);
  if (!note || (facts && !isOf(note, facts)) || (await platform.stat(partial))?.size !== note.size) return 0;
  return note.read.size;
}

const isOf = (note: Note, { etag, size }: FileFacts): boolean => note.etag === etag && note.size === size;

/**
 * Fetches a file to its place.
 * @param loaded - is told the bytes that there are, those of an earlier run among them
 * @throws HubError, {@link Changed}, NoAnswer, WriteError; the signal's reason. What has come is kept, unless it is wrong.
 */
export async function transfer(
  platform: Platform,
  source: FileSource,
  facts: FileFacts,
  place: string,
  loaded: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let again = false; ; again = true) {
    const one = new Transfer(platform, source, facts, place, loaded);
    if (await one.run(signal)) return;
    // What an earlier run has left may be to blame; what came just now is what the server sends.
    if (again || !one.resumed)
      throw new HubError(
        `${source.name}: the bytes that came are not those of ${facts.hash?.algorithm} ${facts.hash?.hex}: they were changed on the way, or the server has them wrong; nothing of them was kept`,
      );
  }
}

class Transfer {
  resumed = false;
  /** Whether what has come can be gone on with another time. */
  private keep: boolean;
  /** Whether the server has sent ranges. */
  private ranged = false;
  private readonly platform: Platform;
  private readonly source: FileSource;
  private readonly facts: FileFacts;
  private readonly place: string;
  private readonly loaded: (bytes: number) => void;
  private check!: AlongHash;
  private ranges = new Ranges();
  private validator: string | undefined;
  private readonly pinned: boolean;
  private noted = 0;
  private noting: Promise<void> | undefined;

  constructor(
    platform: Platform,
    source: FileSource,
    facts: FileFacts,
    place: string,
    loaded: (bytes: number) => void,
  ) {
    this.platform = platform;
    this.source = source;
    this.facts = facts;
    this.keep = facts.size !== undefined;
    this.pinned = facts.pinned === true;
    this.place = place;
    this.loaded = loaded;
  }

  /** @returns whether the file is in its place; not when its bytes are wrong, and nothing of them is left */
  async run(signal: AbortSignal | undefined): Promise<boolean> {
    const [partial, beside] = partialNames(this.place);
    const file = await this.platform.patch(partial);
    try {
      await this.begin(file, beside);
      await this.fetchAll(file, signal);
      const size = this.facts.size ?? this.ranges.size;
      await file.truncate(size);
      await this.check.advance(size);
      if (!this.check.holds()) {
        this.keep = false;
        return false;
      }
      await file.sync();
      await this.noting;
      await file.close();
      await this.platform.rename(partial, this.place);
      this.keep = false;
      return true;
    } finally {
      await this.noting;
      // A disk that is full has no room for a note either: the one before holds.
      if (this.keep && this.ranges.size > 0) await this.note(file, beside).catch(() => {});
      await file.close();
      if (!this.keep || this.ranges.size === 0) for (const path of [partial, beside]) await this.platform.remove(path);
    }
  }

  /** Takes up what an earlier run has left. */
  private async begin(file: PatchFile, beside: string): Promise<void> {
    const { size } = this.facts;
    this.check = new AlongHash(this.platform, this.facts, file);
    const note = await readNote(this.platform, beside);
    if (note && isOf(note, this.facts) && file.size === size && note.read.size > 0) {
      this.resumed = true;
      this.ranges = note.read;
      this.validator = typeof note.validator === "string" ? note.validator : undefined;
    } else await file.truncate(0);
    if (size !== undefined) await file.truncate(size);
    this.loaded(this.ranges.size);
  }

  private async fetchAll(file: PatchFile, signal: AbortSignal | undefined): Promise<void> {
    const { size, hash } = this.facts;
    if (size !== undefined && size > 0 && !(this.pinned && !hash)) {
      try {
        return await eachOf(this.ranges.missing(size, PIECE_BYTES), CONNECTIONS, signal, async (piece, _, stop) => {
          await this.fetchPiece(file, piece, stop);
          await this.check.advance(this.ranges.prefix);
        });
      } catch (error) {
        if (!(error instanceof Whole)) throw error;
      }
    }
    if (size === 0) return;
    // What comes from the beginning each time is not gone on with; a note would be of what is written over.
    this.keep = false;
    await this.noting;
    await this.platform.remove(partialNames(this.place)[1]);
    this.check = new AlongHash(this.platform, this.facts, file);
    await this.fetchWhole(file, signal);
  }

  private patiently(signal: AbortSignal | undefined, attempt: (progress: () => void) => Promise<void>): Promise<void> {
    return patiently(MOST_TRIES, signal, attempt, this.source.patience_ms);
  }

  /** A range of the file; what was cut short is gone on with. */
  private async fetchPiece(file: PatchFile, [from, to]: Range, stop: AbortSignal): Promise<void> {
    const { name } = this.source;
    let at = from;
    await this.patiently(stop, async (progress) => {
      const headers: Record<string, string> = { range: `bytes=${at}-${to - 1}` };
      // A page would have to ask first whether it may say so; the answer's own ETag tells, too.
      if (this.validator !== undefined && !this.pinned && !this.source.in_page) headers["if-range"] = this.validator;
      const answer = await this.source.get(headers, stop);
      const failure = this.changeIn(answer) ?? this.faultOf(answer, at, to);
      if (failure) {
        answer.cancel();
        throw failure;
      }
      this.ranged = true;
      await this.write(file, answer, at, to, (written) => {
        at += written;
        progress();
      });
      if (at < to) throw new NoAnswer(`${name}: the answer ended ${to - at} bytes early`);
    });
  }

  /** The whole file in one piece, from its beginning each time. */
  private async fetchWhole(file: PatchFile, signal: AbortSignal | undefined): Promise<void> {
    const { name } = this.source;
    const { size } = this.facts;
    let furthest = 0;
    await this.patiently(signal, async (progress) => {
      const answer = await this.source.get({}, signal);
      const encoding = encodingOf(answer);
      const failure =
        answer.status !== 200
          ? `expected the whole file, found the answer ${answer.status}`
          : encoding !== "identity" &&
            `comes compressed (${printable(encoding, 40)}), though it was asked for as it is`;
      if (failure) {
        answer.cancel();
        throw new HubError(`${name}: ${failure}`, answer.status);
      }
      this.ranges = new Ranges();
      let at = 0;
      await this.write(file, answer, 0, size ?? Number.POSITIVE_INFINITY, (written) => {
        at += written;
        if (at <= furthest) return;
        furthest = at;
        progress();
      });
      if (size !== undefined && at < size)
        throw new NoAnswer(`${name}: expected ${size} bytes, found the end of the answer after ${at}`);
    });
  }

  /** Writes what an answer brings to [from, to), in larger parts than it comes in. */
  private async write(
    file: PatchFile,
    answer: Answer,
    from: number,
    to: number,
    written: (bytes: number) => void,
  ): Promise<void> {
    let at = from;
    let parts: Uint8Array[] = [];
    let waiting = 0;
    const flush = async () => {
      for (const part of joined(parts, waiting)) {
        await file.write(at, part);
        this.ranges.add(at, at + part.length);
        at += part.length;
        written(part.length);
      }
      [parts, waiting] = [[], 0];
      this.loaded(this.ranges.size);
      this.noteSometimes(file);
    };
    try {
      for await (const chunk of answer.chunks()) {
        if (at + waiting + chunk.length > to)
          throw new HubError(`${this.source.name}: expected ${to - from} bytes from ${from} on, found more`);
        parts.push(chunk);
        waiting += chunk.length;
        if (waiting >= WRITE_BYTES) await flush();
      }
      await flush();
    } catch (error) {
      // What came before a cut counts.
      if (!(error instanceof WriteError)) await flush();
      throw error;
    }
  }

  /** What an answer says that is of another file than those before. */
  private changeIn({ status, headers }: Answer): Error | undefined {
    if (status === 416) return this.changed("a range of it is not there any more");
    const etag = headers.get("etag");
    const version = etag === null || etag.startsWith("W/") ? headers.get("last-modified") : etag;
    if (this.pinned || version === null) return undefined;
    this.validator ??= version;
    return version === this.validator ? undefined : this.changed("its ETag or date has become another");
  }

  /** What is wrong with an answer that is to be the range [at, to). */
  private faultOf(answer: Answer, at: number, to: number): Error | undefined {
    const { status, headers } = answer;
    const range = headers.get("content-range");
    // Servers may forget to let pages see it; the length they always see.
    if (this.source.in_page && status === 206 && range === null && headers.get("content-length") === String(to - at))
      return undefined;
    const [, first, end = "*"] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range ?? "") ?? [];
    if (status === 206 && encodingOf(answer) === "identity" && Number(first) === at) {
      const size = end === "*" ? this.facts.size : Number(end);
      return size === this.facts.size ? undefined : this.changed(`expected ${this.facts.size} bytes, found ${size}`);
    }
    return this.ranged ? new NoAnswer(`${this.source.name}: expected a range, found the whole file`) : new Whole();
  }

  /** What to do where the file seems to be another one. */
  private changed(how: string): Error {
    return this.pinned
      ? new Whole()
      : new Changed(`${this.source.name}: it was changed on the server while it was downloaded: ${how}`);
  }

  private noteSometimes(file: PatchFile): void {
    if (this.noting || performance.now() - this.noted < NOTE_MS || !this.keep) return;
    this.noting = this.note(file, partialNames(this.place)[1])
      .catch(() => {})
      .finally(() => {
        this.noting = undefined;
      });
  }

  /** Notes what there is, once that is on the disk. */
  private async note(file: PatchFile, beside: string): Promise<void> {
    this.noted = performance.now();
    const { etag, size } = this.facts;
    const note = { etag, size, validator: this.validator, ranges: this.ranges.list() } satisfies Note;
    const text = new TextEncoder().encode(JSON.stringify(note));
    await file.sync();
    await saveFile(this.platform, beside, (sink) => sink.write(text));
  }
}

/** Some runtimes undo it, others do not, and none says so. */
export const encodingOf = ({ headers }: Answer): string => headers.get("content-encoding") || "identity";

/** Parts as one, where there are any. */
function joined(parts: readonly Uint8Array[], length: number): readonly Uint8Array[] {
  if (parts.length < 2) return parts;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return [whole];
}

/** What is noted of a file, where it is a note. */
async function readNote(platform: Platform, beside: string): Promise<(Note & { read: Ranges }) | undefined> {
  try {
    const note = JSON.parse((await readSmall(platform, beside, MOST_NOTE_BYTES)) ?? "null") as Note | null;
    const read = readRanges(note?.ranges, note?.size ?? 0);
    return note && read ? { ...note, read } : undefined;
  } catch {
    return undefined;
  }
}

/** A file's hash, computed behind the bytes that have come, by what the disk gives back. */
class AlongHash {
  private readonly hasher: ReturnType<Platform["hasher"]> | undefined;
  private readonly expected: string | undefined;
  private readonly file: PatchFile;
  private at = 0;
  private last: Promise<void> = Promise.resolve();

  constructor(platform: Platform, { hash, size }: FileFacts, file: PatchFile) {
    this.file = file;
    this.expected = hash?.hex;
    const git = hash?.algorithm === "git-sha1";
    if (!hash || (git && size === undefined)) return;
    this.hasher = platform.hasher(git ? "sha1" : "sha256");
    if (git) this.hasher.update(new TextEncoder().encode(`blob ${size}\0`));
  }

  /** Hashes the bytes before `to`, behind what is being hashed. */
  advance(to: number): Promise<void> {
    this.last = this.last.then(async () => {
      const bytes = this.hasher && new Uint8Array(Math.min(READ_BYTES, Math.max(0, to - this.at)));
      while (this.hasher && this.at < to) {
        const read = await this.file.read(this.at, bytes!.subarray(0, Math.min(bytes!.length, to - this.at)));
        if (read === 0) throw new WriteError("a file that is being downloaded was cut by another program");
        this.hasher.update(bytes!.subarray(0, read));
        this.at += read;
      }
    });
    return this.last;
  }

  /** Whether the hash is what it must be; also where none is known. */
  holds(): boolean {
    return this.hasher === undefined || this.hasher.hex() === this.expected;
  }
}
