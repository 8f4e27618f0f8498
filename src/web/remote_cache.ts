// A cache of the engine's as the page has it. What is asked of it at once is known here; what is done to it at once is checked
// here and done over there before whatever is called next.
import { textArgument } from "../arguments.ts";
import { show } from "../config/show.ts";
import { EngineError, InputError } from "../errors.ts";
import { shownInOneLine } from "../inspected.ts";
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

  /** @internal @throws {@link EngineError} or {@link InputError}, as a cache of the engine's own does */
  check(): void {
    const { fault } = this;
    this.fault = undefined;
    if (fault) throw fault.error;
    if (this.state.incomplete)
      throw new EngineError("past_key_values: a call that was cut off has given keys back; make a new cache");
    if (this.disposed) throw new EngineError("past_key_values: this cache was disposed");
    if (this.owner.disposed) throw new EngineError("past_key_values: the model was disposed");
    if (this.busy) throw new InputError("past_key_values: another call is extending this cache; fork it before");
  }

  /** @internal Whether `crop` takes a length. */
  croppable(length: number): boolean {
    try {
      this.check();
    } catch {
      return false;
    }
    return length >= this.state.least;
  }

  crop(length: number): void {
    this.check();
    const { columns, least } = this.state;
    const whole = Number.isInteger(length);
    const target = whole && length < 0 ? columns + length : length;
    if (!whole || target < 0) throw new InputError(`crop: expected a length up to ${columns}, found ${show(length)}`);
    if (target >= columns) return;
    if (target < least)
      throw new InputError(
        `crop: the window has left keys for ${columns - least} tokens to be taken back, not ${columns - target}`,
      );
    this.client.cast(this.id, "crop", [target]);
    this.state = { ...this.state, columns: target };
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
    return `KeyValueCache { ${this.state.rows} rows of ${this.state.columns} tokens }`;
  }
}

shownInOneLine(RemoteCache, (cache) => cache.shown);
