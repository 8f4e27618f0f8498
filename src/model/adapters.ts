// The adapters of a loaded model: loaded beside it, named, chosen for all calls or for one, and given back. A call keeps
// those that it began with; an adapter that is deleted meanwhile stays until the last such call has ended.
import { type Adapter, type AdapterTarget, openAdapter } from "../adapters/adapter.ts";
import { textArgument } from "../arguments.ts";
import type { Repository } from "../checkpoint/repository.ts";
import { namesOf } from "../config/option_names.ts";
import { show, showName } from "../config/show.ts";
import { InputError, MemoryError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { type HubOptions, hubOptions, readHubOptions } from "../hub/settings.ts";
import { AdapterBanks, type AdapterRoom } from "../memory/adapter_banks.ts";
import type { AdapterState } from "../memory/adapter_layout.ts";
import { loadFactors, placeAdapter, planAdapter } from "../memory/adapter_load.ts";
import type { RunState } from "../memory/layout.ts";
import type { Platform } from "../platform/platform.ts";
import { type AdapterSet, noAdapters } from "./adapter_set.ts";
import type { Notice } from "./step.ts";

/** What `info()` tells of one. */
export interface AdapterInfo {
  name: string;
  path: string;
  /** Of its matrices, the largest. */
  rank: number;
  /** What the file's own scale is multiplied by. */
  scale: number;
  /** That it takes in memory. */
  bytes: number;
  /** The matrices that it changes, by PEFT's names. */
  targets: string[];
  /** Whether calls that say nothing have it. */
  active: boolean;
}

/** The options of `load_adapter`. */
export interface LoadAdapterOptions extends HubOptions {
  /** What it is called from now on. @default "default" */
  adapter_name?: string | undefined;
  /** Multiplies what the file says. @default 1 */
  scale?: number | undefined;
  /** Aborts loading, which rejects with its reason. */
  signal?: AbortSignal | undefined;
}

export const adapterOptions: readonly string[] = [
  ...hubOptions,
  ...namesOf<Omit<LoadAdapterOptions, keyof HubOptions>>({ adapter_name: true, scale: true, signal: true }),
];

/** What the adapters need of their model. */
export interface AdapterHost {
  readonly platform: Platform;
  readonly target: AdapterTarget;
  readonly state: RunState;
  readonly adapters: AdapterState;
  readonly interleaved: boolean;
  notify(notice: Notice): void;
  /** @throws EngineError after `dispose` */
  check(): void;
}

interface Loaded {
  readonly id: number;
  readonly name: string;
  readonly fingerprint: string;
  readonly room: AdapterRoom;
  readonly info: Omit<AdapterInfo, "active">;
  /** Modules that it has whole. */
  readonly whole: readonly string[];
  /** Calls that have it. */
  calls: number;
  /** Called when the last of them has ended, once it was deleted. */
  free?: () => void;
}

/** The base model's name among adapters', as PEFT has it. */
const BASE = "__base__";
const DEFAULT = "default";

/** Adapters at once at most: each sequence of a step may have all. */
const MOST_ADAPTERS = 4096;

export class Adapters {
  private readonly host: AdapterHost;
  private readonly banks: AdapterBanks;
  private readonly loaded = new Map<string, Loaded>();
  /** Names that are being loaded. */
  private readonly coming = new Set<string>();
  private active: readonly string[] = [];
  private enabled = true;
  private disposed = false;
  private next = 0;

  constructor(host: AdapterHost) {
    this.host = host;
    this.banks = new AdapterBanks(host.platform, host.adapters.end);
  }

  /** Loads one, and makes it the active one. */
  async load(source: ModelSource, options: LoadAdapterOptions): Promise<void> {
    const { host } = this;
    const { signal } = options;
    const hub = { ...readHubOptions(options), signal: signal ?? undefined };
    host.check();
    const repository = await findRepository(host.platform, source, "adapter", hub);
    await this.loadFrom(repository, options);
  }

  /** The same of what is open already. */
  async loadFrom(
    repository: Repository,
    { adapter_name = DEFAULT, scale = 1, signal }: LoadAdapterOptions,
  ): Promise<void> {
    const { host, loaded, coming } = this;
    const name = textArgument(adapter_name, "adapter_name");
    if (name === BASE) throw new InputError(`adapter_name: ${BASE} is the model without an adapter`);
    if (loaded.has(name) || coming.has(name))
      throw new InputError(`adapter_name: ${showName(name)} is loaded already; delete_adapter(${show(name)}) before`);
    if (typeof scale !== "number" || !Number.isFinite(scale))
      throw new InputError(`scale: expected a number, found ${show(scale)}`);
    if (loaded.size + coming.size >= MOST_ADAPTERS)
      throw new InputError(`load_adapter: expected at most ${MOST_ADAPTERS} adapters at once`);
    signal?.throwIfAborted();
    coming.add(name);
    let adapter: Adapter | undefined;
    try {
      adapter = await openAdapter(repository, host.target);
      const one = await this.place(adapter, name, scale, signal);
      loaded.set(name, one);
      this.active = [name];
    } finally {
      coming.delete(name);
      await adapter?.close();
    }
  }

  private async place(adapter: Adapter, name: string, scale: number, signal: AbortSignal | undefined): Promise<Loaded> {
    const { host, banks } = this;
    const { low_rank, replacements, path } = adapter;
    const scaled = low_rank.map((one) => ({ ...one, scale: one.scale * scale }));
    const plan = planAdapter({ low_rank: scaled, replacements }, host.target.shape, host.state, host.interleaved);
    const available = host.platform.available_memory();
    if (available !== undefined && plan.weight_bytes > available)
      throw new MemoryError(
        `${path}: its matrices take ${plan.weight_bytes} bytes of memory, ${available} are free`,
        plan.weight_bytes,
        available,
      );
    const room = banks.take(plan.bytes, `${path}: an adapter`);
    try {
      const about = JSON.stringify([
        ...scaled.map(({ role, layer, expert, scale }) => [role, layer, expert, scale]),
        ...replacements.map(({ role }) => role),
      ]);
      const fingerprint = await loadFactors(plan, room.memory, room.address, about, signal);
      host.check();
      const id = this.next++;
      host.notify({ type: "adapter", adapter: placeAdapter(plan, id, room.bank, room.address), memory: room.memory });
      const rank = Math.max(0, ...low_rank.map((one) => one.rank));
      const names = [...low_rank, ...replacements].map(({ role }) => (role === "head" ? host.target.head! : role));
      const info = { name, path, rank, scale, bytes: room.bytes, targets: [...new Set(names)] };
      return { id, name, fingerprint, room, info, whole: replacements.map(({ role }) => role), calls: 0 };
    } catch (error) {
      await banks.give(room, (gone_bank) => host.notify({ type: "forget_adapter", gone_bank }));
      throw error;
    }
  }

  /** Makes these the adapters of calls that say nothing. */
  set(names: unknown): void {
    const known = this.namesOf(names, "set_adapter");
    this.setOf(known, "set_adapter"); // whether they go together
    this.active = known;
  }

  enable(enabled: boolean): void {
    this.host.check();
    this.enabled = enabled;
  }

  get active_names(): string[] {
    return [...this.active];
  }

  /** Forgets some; the memory is given back when the last call that has one has ended. */
  async delete(names: unknown): Promise<void> {
    const { loaded, host, banks } = this;
    const gone = this.namesOf(names, "delete_adapter").map((name) => loaded.get(name)!);
    for (const { name } of gone) loaded.delete(name);
    this.active = this.active.filter((name) => loaded.has(name));
    await Promise.all(
      gone.map(async (one) => {
        if (one.calls > 0) await new Promise<void>((resolve) => (one.free = resolve));
        if (this.disposed) return;
        await banks.give(one.room, (gone_bank) => host.notify({ type: "forget_adapter", id: one.id, gone_bank }));
      }),
    );
  }

  /**
   * The adapters of each row of a call.
   * @param adapter - of all rows: a name, several, or null for none; where absent the active ones
   * @param adapter_names - of each row, as PEFT names it
   * @throws {@link InputError} when one is not loaded, or the rows are others
   */
  choose(
    { adapter, adapter_names }: { readonly adapter?: unknown; readonly adapter_names?: unknown },
    rows: number,
  ): readonly AdapterSet[] {
    if (adapter_names === undefined) {
      const names = adapter === undefined ? (this.enabled ? this.active : []) : this.namesOf(adapter, "adapter");
      return new Array<AdapterSet>(rows).fill(this.setOf(names, "adapter"));
    }
    if (adapter !== undefined)
      throw new InputError("adapter and adapter_names: expected one of them: what all rows have, or what each has");
    if (!Array.isArray(adapter_names) || adapter_names.length !== rows)
      throw new InputError(
        `adapter_names: expected a list with an entry for each of ${rows} rows, found ${show(adapter_names)}`,
      );
    return adapter_names.map((given, row) => {
      const what = `adapter_names[${row}]`;
      return this.setOf(this.namesOf(given, what), what);
    });
  }

  /** What was given as names: those of adapters that are loaded. */
  private namesOf(given: unknown, what: string): string[] {
    this.host.check();
    const names = given === null || given === BASE ? [] : Array.isArray(given) ? given : [given];
    for (const name of names) {
      if (typeof name !== "string")
        throw new InputError(`${what}: expected the name of an adapter, or a list of names, found ${show(given)}`);
      if (!this.loaded.has(name))
        throw new InputError(
          `${what}: expected an adapter that is loaded (${[...this.loaded.keys()].map(showName).join(", ") || "none is"}), found ${show(name)}`,
        );
    }
    return [...new Set<string>(names)];
  }

  private setOf(names: readonly string[], what: string): AdapterSet {
    if (names.length === 0) return noAdapters;
    const all = names.map((name) => this.loaded.get(name)!).sort((a, b) => a.id - b.id);
    for (const [i, one] of all.entries()) {
      const other = all.slice(0, i).find(({ whole }) => whole.some((role) => one.whole.includes(role)));
      if (other)
        throw new InputError(
          `${what}: ${showName(other.name)} and ${showName(one.name)} both have a matrix in place of the model's (modules_to_save): expected one of them`,
        );
    }
    return { ids: all.map(({ id }) => id), marks: all.map(({ name, fingerprint }) => ({ name, fingerprint })) };
  }

  /** Keeps the adapters of a call in place, until the function that it gives is called. */
  hold(sets: readonly AdapterSet[]): () => void {
    const ids = new Set(sets.flatMap(({ ids }) => ids));
    const held = [...this.loaded.values()].filter(({ id }) => ids.has(id));
    for (const one of held) one.calls++;
    return () => {
      for (const one of held) if (--one.calls === 0) one.free?.();
    };
  }

  info(): AdapterInfo[] {
    const active = new Set(this.enabled ? this.active : []);
    return [...this.loaded.values()].map(({ info }) => ({ ...info, active: active.has(info.name) }));
  }

  /** Gives all memory back. @param unused - no thread can write to it any more */
  async dispose(unused: boolean): Promise<void> {
    this.disposed = true;
    // What is being loaded is written until its loading hears of this.
    await this.banks.dispose(unused && this.coming.size === 0);
  }
}
