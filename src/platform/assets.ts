// Where the files are that the engine loads as it runs: the .wasm binaries, and the script of the team's threads.
// They lie beside the code; a bundle that leaves them behind is told with `configure` where they are, or given their bytes.
import { givenOptions } from "../arguments.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";

/** Where the binaries and the threads' script are, for `configure`. */
export interface AssetLocations {
  /**
   * The folder of `kernels-simd.wasm`, `kernels-relaxed.wasm`, `logits.wasm` and `convert.wasm`.
   * @default the package's `dist/wasm`
   */
  wasm_url?: string | URL | undefined;
  /**
   * The threads' script: `tramontane/worker`, bundled on its own; in browsers the engine's, `engine.js`.
   * @default the package's
   */
  worker_url?: string | URL | undefined;
  /** Bytes of the binaries, by their names: they are not looked for then. @default none */
  wasm?: Readonly<Record<string, Uint8Array>> | undefined;
}

const known = namesOf<AssetLocations>({ wasm_url: true, worker_url: true, wasm: true });

/** What can be given in `wasm`. */
const BINARIES = ["kernels-simd.wasm", "kernels-relaxed.wasm", "logits.wasm", "convert.wasm"];

let wasm_url: URL | undefined;
let worker_url: URL | undefined;
const given_bytes = new Map<string, Uint8Array>();

/**
 * Says where the .wasm files and the threads' script are. Needed only in a bundle that runs where the package is not
 * installed, and to be called before the first model is loaded.
 * @throws {@link InputError} when a location is no absolute URL, or bytes are no WebAssembly, or of no binary's name
 * @example
 * configure({
 *   wasm_url: new URL("./wasm/", import.meta.url),
 *   worker_url: new URL("./tramontane-worker.js", import.meta.url),
 * });
 */
export function configure(given: AssetLocations): void {
  const locations = givenOptions(given, "configure", known);
  if (locations.wasm_url !== undefined) wasm_url = absolute("wasm_url", locations.wasm_url, true);
  if (locations.worker_url !== undefined) worker_url = absolute("worker_url", locations.worker_url, false);
  for (const [name, bytes] of Object.entries(locations.wasm ?? {})) given_bytes.set(name, checkBytes(name, bytes));
}

function checkBytes(name: string, bytes: unknown): Uint8Array {
  if (!BINARIES.includes(name))
    throw new InputError(`configure: wasm: expected some of ${BINARIES.join(", ")}, found ${show(name)}`);
  const is_wasm = bytes instanceof Uint8Array && [0, 0x61, 0x73, 0x6d].every((byte, i) => bytes[i] === byte);
  if (!is_wasm) throw new InputError(`configure: wasm: ${name}: expected the file's bytes, found ${show(bytes)}`);
  return bytes;
}

function absolute(name: string, location: string | URL, folder: boolean): URL {
  try {
    const url = new URL(location);
    if (folder && !url.pathname.endsWith("/")) url.pathname += "/";
    return url;
  } catch (cause) {
    throw new InputError(`configure: ${name}: expected an absolute URL, found ${show(location)}`, {
      cause,
    });
  }
}

/** Where `configure` says that a file of `wasm/` is, if it does. */
export const configuredWasm = (name: string): URL | undefined => wasm_url && new URL(name, wasm_url);

/** Where `configure` says that the threads' script is, if it does. */
export const configuredWorker = (): URL | undefined => worker_url;

/** The bytes of a file of `wasm/` that `configure` was given, if any. */
export const configuredBytes = (name: string): Uint8Array | undefined => given_bytes.get(name);

/** All that `configure` was told, as it can be told to another thread. */
export const configured = (): AssetLocations => ({
  wasm_url: wasm_url?.href,
  worker_url: worker_url?.href,
  wasm: Object.fromEntries(given_bytes),
});
