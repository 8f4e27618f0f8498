// A cache of the engine's as the page has it. What is asked of it at once is known here; what is done to it at once is checked
// here and done over there before whatever is called next.
import { textArgument } from "../arguments.ts";
import { shownInOneLine } from "../inspected.ts";
import { type CacheStanding, checkStanding, isCroppable, tokensToDrop } from "../model/cache_rules.ts";
import type { EngineClient, Remote } from "./client.ts";
import type { CacheState } from "./messages.ts";

export class RemoteCache implements Remote {
  /** @internal */
  readonly id: number;
  /** @internal */
  fault: Remote["fault"];
  private readonly client: EngineClient;
  private readonly owner: { readonly disposed: boolean };
  private state: CacheState;
  /** Whether a call is extending it. */
  private busy = false;
  private disposed = false;

  /** @internal @param owner - the model that it is a cache of */
  constructor(client: EngineClient, owner: { readonly disposed: boolean }, id: number, state: CacheState) {
    this.client = client;
    this.owner = owner;
    this.id = id;
    this.state = state;
    client.register(this);
  }

  /** @internal */
  update(state: unknown): void {
    this.state = state as CacheState;
  }

  get_seq_length(): number {
    return this.state.columns;
  }

  /** @internal Keeps other calls away until the one that extends it has ended. */
  async during<T>(call: () => Promise<T>): Promise<T> {
    this.check();
    this.busy = true;
    try {
      return await call();
    } finally {
      this.busy = false;
    }
  }

  /** @internal @throws EngineError or InputError, as a cache of the engine's own does */
  check(): void {
    const { fault } = this;
    this.fault = undefined;
    if (fault) throw fault.error;
    checkStanding(this.standing);
  }

  private get standing(): CacheStanding {
    const { state, owner, disposed, busy } = this;
    return { incomplete: state.incomplete, disposed, busy, closed: owner.disposed };
  }

  /** @internal Whether `crop` takes a length. */
  croppable(length: number): boolean {
    return !this.fault && isCroppable(this.standing, this.state.rows, this.state.columns - length);
  }

  crop(length: number): void {
    this.check();
    const { columns, rows } = this.state;
    const drop = tokensToDrop(columns, rows, length);
    if (drop === 0) return;
    this.client.cast(this.id, "crop", [columns - drop]);
    const shorter = rows.map((row) => ({ ...row, length: Math.max(0, row.length - drop) }));
    this.state = { ...this.state, columns: columns - drop, rows: shorter };
  }

  fork(): RemoteCache {
    this.check();
    const id = this.client.newId();
    this.client.cast(this.id, "fork", [id]);
    return new RemoteCache(this.client, this.owner, id, this.state);
  }

  async save(path: string): Promise<void> {
    textArgument(path, "save: path");
    await this.during(() => this.client.call(this.id, "save", [path]));
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.client.cast(this.id, "dispose", []);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  get shown(): string {
    return `KeyValueCache { ${this.state.rows.length} rows of ${this.state.columns} tokens }`;
  }
}

shownInOneLine(RemoteCache, (cache) => cache.shown);
