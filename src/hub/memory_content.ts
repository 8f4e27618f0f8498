// Files of the disk in memory: a page's are Blobs in the end, which browsers may put aside; elsewhere they are bytes that threads
// share.
import { blobFile } from "../platform/browser_picked.ts";
import { memoryFile } from "../platform/files.ts";
import type { SourceFile } from "../platform/platform.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";

export interface Content {
  readonly size: number;
  truncate(size: number): void;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Reads as many bytes as there are, `into.length` at most. @returns how many */
  read(offset: number, into: Uint8Array): Promise<number>;
  open(path: string): Promise<SourceFile>;
}

export const newContent = (in_page: boolean): Content => (in_page ? new Pieces() : new Bytes());

class Bytes implements Content {
  size = 0;
  private bytes = new Uint8Array(0);

  truncate(size: number): void {
    if (size > this.bytes.length) {
      // A file whose size is not known grows by what comes.
      const more = this.size === 0 ? size : Math.max(size, 2 * this.bytes.length);
      const bytes = new Uint8Array(sharedBuffer(more)) as unknown as Uint8Array<ArrayBuffer>;
      bytes.set(this.bytes.subarray(0, this.size));
      this.bytes = bytes;
    } else this.bytes.fill(0, size, this.size);
    this.size = size;
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (offset + bytes.length > this.size) this.truncate(offset + bytes.length);
    this.bytes.set(bytes, offset);
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    const part = this.bytes.subarray(offset, Math.min(offset + into.length, this.size));
    into.set(part);
    return part.length;
  }

  async open(path: string): Promise<SourceFile> {
    return memoryFile(path, this.bytes.subarray(0, this.size));
  }
}

/** Bytes of a piece. */
const PIECE_BYTES = 2 ** 24;

/** Pieces of one length, each as bytes until all of it was written, then as a Blob. */
class Pieces implements Content {
  size = 0;
  private pieces: (Uint8Array<ArrayBuffer> | Blob | undefined)[] = [];
  /** Bytes that were written to each. */
  private written: number[] = [];
  private last: Promise<void> = Promise.resolve();

  truncate(size: number): void {
    this.size = size;
    const count = Math.ceil(size / PIECE_BYTES);
    this.pieces.length = Math.min(this.pieces.length, count);
    this.written.length = Math.min(this.written.length, count);
  }

  /** One after the other: two that touch one piece would else write to two copies of it. */
  write(offset: number, bytes: Uint8Array): Promise<void> {
    this.last = this.last.then(() => this.writeNow(offset, bytes));
    return this.last;
  }

  private async writeNow(offset: number, bytes: Uint8Array): Promise<void> {
    this.size = Math.max(this.size, offset + bytes.length);
    for (const [no, at, from, length] of touched(offset, bytes.length)) {
      const piece = await this.bytesOf(no);
      piece.set(bytes.subarray(from, from + length), at);
      this.written[no] = (this.written[no] ?? 0) + length;
      this.pieces[no] = this.written[no] >= PIECE_BYTES ? new Blob([piece]) : piece;
    }
  }

  /** A piece's bytes, to be written to. */
  private async bytesOf(no: number): Promise<Uint8Array<ArrayBuffer>> {
    const piece = this.pieces[no];
    if (piece instanceof Blob) return new Uint8Array(await piece.arrayBuffer());
    this.pieces[no] = piece ?? new Uint8Array(PIECE_BYTES);
    return this.pieces[no] as Uint8Array<ArrayBuffer>;
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    const read = Math.max(0, Math.min(into.length, this.size - offset));
    for (const [no, at, from, length] of touched(offset, read)) {
      const piece = this.pieces[no] ?? new Uint8Array(PIECE_BYTES);
      const bytes =
        piece instanceof Blob
          ? new Uint8Array(await piece.slice(at, at + length).arrayBuffer())
          : piece.subarray(at, at + length);
      into.set(bytes, from);
    }
    return read;
  }

  async open(path: string): Promise<SourceFile> {
    const count = Math.ceil(this.size / PIECE_BYTES);
    for (let no = 0; no < count; no++)
      if (!(this.pieces[no] instanceof Blob)) this.pieces[no] = new Blob([await this.bytesOf(no)]);
    return blobFile(path, new Blob(this.pieces.slice(0, count) as Blob[]).slice(0, this.size));
  }
}

/** The pieces that a range touches: number, where in it, where in the range, length. */
function* touched(offset: number, length: number): Generator<[no: number, at: number, from: number, length: number]> {
  for (let done = 0; done < length; ) {
    const at = (offset + done) % PIECE_BYTES;
    const part = Math.min(length - done, PIECE_BYTES - at);
    yield [Math.floor((offset + done) / PIECE_BYTES), at, done, part];
    done += part;
  }
}
