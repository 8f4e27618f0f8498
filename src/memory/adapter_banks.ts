// The memories of adapters: banks that are made when adapters come and given back when the last one in them goes. Several
// share one, because every memory takes gigabytes of addresses, and an instance of the kernels in every thread.
import { MemoryError } from "../errors.ts";
import type { Platform } from "../platform/platform.ts";
import { alignUp, createBank, MAX_BANK_BYTES, WASM_PAGE } from "./bank.ts";
import { emptyBanks } from "./load.ts";
import { Regions } from "./regions.ts";

/** Bytes that a bank has for adapters at least: touched as far as they are used. */
const LEAST_BYTES = 2 ** 28;

interface Bank {
  readonly memory: WebAssembly.Memory;
  readonly regions: Regions;
  adapters: number;
}

/** A range of a bank. */
export interface AdapterRoom {
  readonly bank: number;
  readonly memory: WebAssembly.Memory;
  readonly address: number;
  readonly bytes: number;
}

export class AdapterBanks {
  private readonly platform: Platform;
  private readonly banks = new Map<number, Bank>();
  /** The first byte of adapters in each bank. */
  private readonly start: number;
  private next = 0;

  constructor(platform: Platform, start: number) {
    this.platform = platform;
    this.start = start;
  }

  /** @throws {@link MemoryError} when no memory can be had */
  take(bytes: number, what: string): AdapterRoom {
    for (const [number, bank] of this.banks) {
      const address = bank.regions.take(bytes);
      if (address !== undefined) return this.room(number, bank, address, bytes);
    }
    const [number, bank] = this.add(bytes, what);
    return this.room(number, bank, bank.regions.take(bytes)!, bytes);
  }

  private room(number: number, bank: Bank, address: number, bytes: number): AdapterRoom {
    bank.adapters++;
    return { bank: number, memory: bank.memory, address, bytes: alignUp(bytes, WASM_PAGE) };
  }

  private add(bytes: number, what: string): [number, Bank] {
    const most = MAX_BANK_BYTES - this.start;
    if (bytes > most)
      throw new MemoryError(`${what}: needs ${bytes} bytes in one memory, which has ${most} for adapters`, bytes, most);
    const end = this.start + Math.min(most, alignUp(Math.max(bytes, LEAST_BYTES), WASM_PAGE));
    const bank = { memory: createBank(end, what), regions: new Regions(this.start, end, WASM_PAGE), adapters: 0 };
    this.banks.set(this.next, bank);
    return [this.next++, bank];
  }

  /**
   * Gives a range back, whose pages are the system's again where it can be told so; with the last one, the bank.
   * @param told - is told before its memory is anybody's: which bank is gone, if it is
   */
  async give(
    { bank: number, memory, address, bytes }: AdapterRoom,
    told: (gone_bank: number | undefined) => void,
  ): Promise<void> {
    const bank = this.banks.get(number);
    if (!bank) return; // all were disposed of
    const gone = --bank.adapters === 0;
    if (gone) this.banks.delete(number);
    told(gone ? number : undefined);
    if (gone) return emptyBanks(this.platform, [memory], true);
    const mapper = await this.platform.mapper();
    if (!("reason" in mapper)) mapper.unmap(memory, address, bytes);
    bank.regions.give(address, bytes);
  }

  /** Gives all memories back. @param unused - as of `emptyBanks` */
  async dispose(unused: boolean): Promise<void> {
    const memories = [...this.banks.values()].map(({ memory }) => memory);
    this.banks.clear();
    await emptyBanks(this.platform, memories, unused);
  }
}
