// Shared buffers. Where a page is not cross-origin isolated browsers hide the constructor, though not the buffers: they only
// cannot be posted.

let Shared: SharedArrayBufferConstructor | undefined;

/** Shared memory of some bytes, all zero. */
export function sharedBuffer(bytes: number): SharedArrayBuffer {
  Shared ??= globalThis.SharedArrayBuffer ?? hiddenConstructor();
  return new Shared(bytes);
}

const hiddenConstructor = (): SharedArrayBufferConstructor =>
  new WebAssembly.Memory({ initial: 0, maximum: 0, shared: true }).buffer
    .constructor as unknown as SharedArrayBufferConstructor;
