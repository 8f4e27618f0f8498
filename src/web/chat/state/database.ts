// Where conversations are kept: IndexedDB, in which every change is made to what is there now, so that two tabs do not undo
// each other's. Without IndexedDB (some private windows) they last as long as the page.
import type { Conversation } from "./conversation.ts";
import type { StoredTrace } from "./trace.ts";

const NAME = "tramontane-chat";
const stores = { conversations: "id", traces: "id" } as const;

type Change = { readonly id: string; readonly removed: boolean };

/** A request's result. */
const resultOf = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const ended = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    for (const [name, keyPath] of Object.entries(stores)) request.result.createObjectStore(name, { keyPath });
  };
  return resultOf(request);
}

export class Database {
  /** Whether conversations outlast the page. */
  readonly lasting: boolean;
  private readonly database: IDBDatabase | undefined;
  private readonly memory = new Map<string, Conversation>();
  private readonly traces = new Map<string, StoredTrace>();
  private readonly channel = new BroadcastChannel(NAME);

  private constructor(database: IDBDatabase | undefined) {
    this.database = database;
    this.lasting = database !== undefined;
    // A later version of the page, in another tab, waits for that.
    if (database) database.onversionchange = () => database.close();
  }

  static async open(): Promise<Database> {
    return new Database(await open().catch(() => undefined));
  }

  /** Has `changed` told of what other tabs do. */
  watch(changed: (change: Change) => void): void {
    this.channel.onmessage = ({ data }: MessageEvent<Change>) => changed(data);
  }

  private tell(id: string, removed: boolean): void {
    this.channel.postMessage({ id, removed } satisfies Change);
  }

  async all(): Promise<Conversation[]> {
    if (!this.database) return [...this.memory.values()];
    return resultOf(this.database.transaction("conversations").objectStore("conversations").getAll());
  }

  async get(id: string): Promise<Conversation | undefined> {
    if (!this.database) return this.memory.get(id);
    return resultOf(this.database.transaction("conversations").objectStore("conversations").get(id));
  }

  async add(conversation: Conversation): Promise<void> {
    if (this.database) {
      const transaction = this.database.transaction("conversations", "readwrite");
      transaction.objectStore("conversations").put(conversation);
      await ended(transaction);
    } else this.memory.set(conversation.id, conversation);
    this.tell(conversation.id, false);
  }

  /**
   * Changes what is there now.
   * @returns what is there then; undefined where it was removed
   */
  async change(id: string, change: (now: Conversation) => Conversation): Promise<Conversation | undefined> {
    let next: Conversation | undefined;
    if (this.database) {
      const transaction = this.database.transaction("conversations", "readwrite");
      const store = transaction.objectStore("conversations");
      const done = ended(transaction);
      const now = await resultOf<Conversation | undefined>(store.get(id));
      if (now) store.put((next = change(now)));
      await done;
    } else {
      const now = this.memory.get(id);
      if (now) this.memory.set(id, (next = change(now)));
    }
    if (next) this.tell(id, false);
    return next;
  }

  async remove(id: string): Promise<void> {
    const messages = (await this.get(id))?.messages ?? [];
    this.memory.delete(id);
    for (const message of messages) this.traces.delete(message.id);
    if (this.database) {
      const transaction = this.database.transaction(["conversations", "traces"], "readwrite");
      transaction.objectStore("conversations").delete(id);
      for (const message of messages) transaction.objectStore("traces").delete(message.id);
      await ended(transaction);
    }
    this.tell(id, true);
  }

  /** Which experts an answer's tokens chose. */
  async trace(message: string): Promise<StoredTrace | undefined> {
    if (!this.database) return this.traces.get(message);
    return resultOf(this.database.transaction("traces").objectStore("traces").get(message));
  }

  async keepTrace(trace: StoredTrace): Promise<void> {
    if (!this.database) {
      this.traces.set(trace.id, trace);
      return;
    }
    const transaction = this.database.transaction("traces", "readwrite");
    transaction.objectStore("traces").put(trace);
    await ended(transaction);
  }

  async dropTraces(messages: readonly string[]): Promise<void> {
    for (const id of messages) this.traces.delete(id);
    if (!this.database || messages.length === 0) return;
    const transaction = this.database.transaction("traces", "readwrite");
    for (const id of messages) transaction.objectStore("traces").delete(id);
    await ended(transaction);
  }
}
