// The lines that were typed in earlier chats, in a file of the user's own: $TRAMONTANE_HISTORY, else where the system wants
// such files; none where that is empty. What cannot be read or written is as if there were none.
import { appendFile, mkdir, open, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";

/** Lines that are kept, and characters of one. */
const [MOST_LINES, MOST_LETTERS] = [1000, 10_000];
/** What is read of the file, from its end. */
const MOST_BYTES = 1 << 20;
const PRIVATE = 0o600;

function historyFile(): string | undefined {
  const { TRAMONTANE_HISTORY: named, XDG_STATE_HOME: state, LOCALAPPDATA: local } = process.env;
  if (named !== undefined) return named || undefined;
  const folder = (process.platform === "win32" && local) || state || join(homedir(), ".local", "state");
  return join(folder, "tramontane", "chat_history");
}

/** The end of a file, and whether that is all of it. */
async function tail(path: string): Promise<{ text: string; whole: boolean }> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const length = Math.min(size, MOST_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return { text: buffer.toString("utf8", 0, bytesRead), whole: length === size };
  } finally {
    await file.close();
  }
}

export class History {
  /** The newest first. */
  readonly lines: readonly string[];
  private readonly path: string | undefined;

  private constructor(path: string | undefined, lines: readonly string[]) {
    this.path = path;
    this.lines = lines;
  }

  static async read(path = historyFile()): Promise<History> {
    if (path === undefined) return new History(undefined, []);
    try {
      const { text, whole } = await tail(path);
      const all = text
        .split("\n")
        .slice(whole ? 0 : 1)
        .filter((line) => line !== "");
      const lines = all.slice(-MOST_LINES);
      if (!whole || all.length > 2 * MOST_LINES) await replace(path, lines);
      return new History(path, [...new Set(lines.toReversed())]);
    } catch {
      return new History(path, []);
    }
  }

  /** Keeps a line. */
  async add(line: string): Promise<void> {
    if (this.path === undefined || line.trim() === "" || line.length > MOST_LETTERS) return;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      await appendFile(this.path, `${line}\n`, { mode: PRIVATE });
    } catch {}
  }
}

async function replace(path: string, lines: readonly string[]): Promise<void> {
  const next = `${path}.${process.pid}`;
  await writeFile(next, `${lines.join("\n")}\n`, { mode: PRIVATE });
  await rename(next, path);
}
