// Which experts are in memory. The first thread of the team decides, once the router has picked: what is wanted and not
// there gets a slot, from which an expert goes that was not wanted for longest, and is asked for from the readers. Each layer
// keeps some slots, so that the layers, which come round one after the other, do not push each other's experts out; the rest
// serves whoever needs it. What stands where changes no bit of what is computed.
import type { BankedLayer } from "../memory/plan.ts";
import { DOWN, type PagingTable, type Read, UP } from "./table.ts";

/** What of the plan a thread needs to know. Plain data. */
export interface ResidencySetup {
  readonly kept: readonly number[]; // (layer)
  readonly first: readonly number[]; // (layer) its first expert among those of all layers
  /** (expert of all layers, [w1, w3, w2]) where in a slot it stands, and in how many pieces it is read. */
  readonly places: readonly (readonly { readonly at: number; readonly pieces: number; readonly bytes: number }[])[];
  readonly slot_banks: readonly number[]; // (slot)
  readonly slot_addresses: readonly number[]; // (slot)
}

const NOBODY = -1;

export class Residency {
  private readonly setup: ResidencySetup;
  private readonly layers: readonly BankedLayer[];
  private readonly table: PagingTable;
  private readonly layer_of: readonly number[]; // (expert of all layers)
  private readonly owner: Int32Array; // (slot) the expert, or NOBODY
  private readonly used: Float64Array; // (slot) when it was wanted last
  private readonly held: Int32Array; // (layer) slots that its experts are in
  /** (lane) slots that a step computes with, and slots of experts that it will want soon. */
  private readonly pinned = [new Set<number>(), new Set<number>()];
  private readonly awaited = [new Set<number>(), new Set<number>()];
  private clock = 0;
  private readonly wait: (slot: number) => void;

  /** @param wait - until what a slot is to hold has come */
  constructor(setup: ResidencySetup, layers: readonly BankedLayer[], table: PagingTable, wait: (slot: number) => void) {
    this.setup = setup;
    this.layers = layers;
    this.table = table;
    this.wait = wait;
    this.layer_of = setup.first.flatMap((from, layer) =>
      new Array<number>((setup.first[layer + 1] ?? setup.places.length) - from).fill(layer),
    );
    this.owner = new Int32Array(setup.slot_banks.length).fill(NOBODY);
    this.used = new Float64Array(setup.slot_banks.length);
    this.held = new Int32Array(setup.first.length);
  }

  /**
   * Experts of a layer that a step computes with next, and those that it, or the next layer, will want afterwards, in the
   * order of their turns: these are read ahead as far as there are slots that no one misses.
   * @param now - as many at most as the plan lets a step of this lane have at once
   * @param later - experts of all layers
   */
  want(lane: 0 | 1, layer: number, now: readonly number[], later: Iterable<number>): void {
    const { slot_of, late } = this.table.words;
    const first = this.setup.first[layer];
    const width = late.length / 2;
    const [pinned, awaited] = [this.pinned[lane], this.awaited[lane]];
    pinned.clear();
    awaited.clear();
    this.clock++;
    for (const expert of now) {
      const slot = slot_of[first + expert];
      late[lane * width + expert] = slot < 0 ? 1 : 0;
      if (slot >= 0) this.pin(slot, pinned);
    }
    // Those first that are there: none of them goes for another's sake.
    const loading: number[] = [];
    for (const expert of now) {
      if (slot_of[first + expert] >= 0) continue;
      const slot = this.victim(layer);
      this.assign(slot, first + expert);
      this.pin(slot, pinned);
      loading.push(slot);
    }
    let bytes = this.load(loading);
    const ahead: number[] = [];
    for (const expert of later) {
      let slot = slot_of[expert];
      if (slot < 0) {
        const found = this.idle(this.layer_of[expert]);
        if (found === undefined) break;
        slot = found;
        this.assign(slot, expert);
        this.used[slot] = this.clock;
        ahead.push(slot);
      }
      awaited.add(slot);
    }
    bytes += this.load(ahead);
    this.table.count(now.length - loading.length, loading.length, bytes);
  }

  private pin(slot: number, pinned: Set<number>): void {
    pinned.add(slot);
    this.used[slot] = this.clock;
  }

  private isPinned(slot: number): boolean {
    return this.pinned[0].has(slot) || this.pinned[1].has(slot);
  }

  private isAwaited(slot: number): boolean {
    return this.awaited[0].has(slot) || this.awaited[1].has(slot);
  }

  private isLoading(slot: number): boolean {
    return !this.table.isThere(slot, UP) || !this.table.isThere(slot, DOWN);
  }

  /** A slot that nobody misses soon: an empty one, or the oldest of those that a layer has beyond what it keeps, or of its own. */
  private idle(layer: number): number | undefined {
    const { kept } = this.setup;
    const full = this.held[layer] >= kept[layer];
    return this.oldest((slot, owner) => {
      const other = this.layer_of[owner];
      const allowed = other === layer ? full : this.held[other] > kept[other];
      return allowed && !this.isAwaited(slot) && !this.isLoading(slot);
    });
  }

  /** A slot for an expert that is wanted now. */
  private victim(layer: number): number {
    const own = (owner: number) => this.layer_of[owner] === layer;
    const slot =
      this.idle(layer) ??
      this.oldest((slot, owner) => own(owner) && !this.isLoading(slot)) ??
      this.oldest((slot) => !this.isLoading(slot)) ??
      this.oldest(() => true)!;
    if (this.isLoading(slot)) this.wait(slot);
    return slot;
  }

  /** Of some slots that are not pinned the one that was wanted longest ago, or an empty one. */
  private oldest(allowed: (slot: number, owner: number) => boolean): number | undefined {
    let found: number | undefined;
    for (const [slot, owner] of this.owner.entries()) {
      if (owner === NOBODY) return slot;
      if (found !== undefined && this.used[slot] >= this.used[found]) continue;
      if (!this.isPinned(slot) && allowed(slot, owner)) found = slot;
    }
    return found;
  }

  /** Gives a slot to an expert: from now on its matrices stand there. */
  private assign(slot: number, expert: number): void {
    const { slot_of } = this.table.words;
    const before = this.owner[slot];
    if (before !== NOBODY) {
      slot_of[before] = -1;
      this.held[this.layer_of[before]]--;
    }
    const layer = this.layer_of[expert];
    this.owner[slot] = expert;
    slot_of[expert] = slot;
    this.held[layer]++;
    const { w1, w3, w2 } = this.layers[layer];
    const index = expert - this.setup.first[layer];
    for (const [i, { weights }] of [w1, w3, w2].entries()) {
      weights.banks[index] = this.setup.slot_banks[slot];
      weights.addresses[index] = this.setup.slot_addresses[slot] + this.setup.places[expert][i].at;
    }
  }

  /** Has what some slots are to hold read: of all first what is multiplied first. @returns the bytes */
  private load(slots: readonly number[]): number {
    const { table } = this;
    let bytes = 0;
    for (const slot of slots) {
      const [w1, w3, w2] = this.setup.places[this.owner[slot]];
      Atomics.store(table.words.left, slot * 2 + UP, w1.pieces + w3.pieces);
      Atomics.store(table.words.left, slot * 2 + DOWN, w2.pieces);
      bytes += w1.bytes + w3.bytes + w2.bytes;
    }
    for (const roles of [[0, 1], [2]]) for (const slot of slots) for (const role of roles) this.readAll(slot, role);
    return bytes;
  }

  private readAll(slot: number, role: number): void {
    const expert = this.owner[slot];
    const { pieces } = this.setup.places[expert][role];
    for (let piece = 0; piece < pieces; piece++)
      this.table.post({ matrix: expert * 3 + role, piece, slot } satisfies Read);
  }
}
