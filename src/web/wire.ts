// How values cross between a page and the engine's worker. What can be cloned goes as it is; of the rest the other side makes
// the same again: tensors, configs, errors, functions that are called over there, objects that live on one side.
import { BitsAndBytesConfig } from "../config/bitsandbytes_config.ts";
import { GenerationConfig } from "../config/generation_config.ts";
import { PreTrainedConfig } from "../config/pretrained_config.ts";
import { readConfig } from "../config/read_config.ts";
import * as errors from "../errors.ts";
import { Tensor, type TensorType } from "../tensor.ts";

/** What cannot be cloned, as data: `$` says what it is. */
export interface Tagged {
  readonly $: string;
  readonly [field: string]: unknown;
}

/** What one side makes of values that only it knows, and back. */
export interface Ends {
  /** An object of its own as data; undefined where it is none. */
  encode(value: object, encode: (value: unknown) => unknown): Tagged | undefined;
  /** A function that is to be called over there. @param receiver - what it is a method of */
  function(value: CallableFunction, receiver: unknown): Tagged;
  /** What the other side's `encode` and `function` have made. */
  decode(value: Tagged, decode: (value: unknown) => unknown): unknown;
}

/** What structured clone takes as it is, by its brand. */
const CLONED = [
  ...["ArrayBuffer", "SharedArrayBuffer", "Blob", "File", "FileList", "Date", "RegExp", "Map", "Set", "DataView"],
  ...["FileSystemDirectoryHandle", "FileSystemFileHandle", "WebAssembly.Module", "WebAssembly.Memory"],
];
const brand = (value: object): string => Object.prototype.toString.call(value).slice(8, -1);

/** How deep values may lie in each other. */
const DEEPEST = 200;

export function encodeValue(value: unknown, ends: Ends, depth = 0, receiver?: unknown): unknown {
  if (typeof value === "symbol") return { $: "symbol", text: value.description };
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return value;
  const encode = (inner: unknown) => encodeValue(inner, ends, depth + 1);
  const own = ends.encode(value, encode);
  if (own) return own;
  if (typeof value === "function") return ends.function(value, receiver);
  if (depth > DEEPEST) throw new errors.InputError(`expected data of at most ${DEEPEST} levels, found more`);
  if (Array.isArray(value)) return value.every(isPlain) ? value : Array.from(value, encode);
  if (ArrayBuffer.isView(value) || CLONED.includes(brand(value))) return value;
  const known = encodeKnown(value, encode);
  if (known) return known;
  const prototype = Object.getPrototypeOf(value);
  const fields = Object.entries(value).map(([name, each]) => [name, encodeValue(each, ends, depth + 1, value)]);
  if (prototype === Object.prototype || prototype === null)
    return Object.hasOwn(value, "$") ? { $: "object", fields } : Object.fromEntries(fields);
  return { $: "instance", name: value.constructor?.name ?? "Object", fields: [...fields, ...methodsOf(value, ends)] };
}

const isPlain = (value: unknown): boolean => value === null || !["object", "function", "symbol"].includes(typeof value);

function encodeKnown(value: object, encode: (value: unknown) => unknown): Tagged | undefined {
  if (value instanceof Tensor) return { $: "tensor", type: value.type, dims: [...value.dims], data: value.data };
  if (value instanceof PreTrainedConfig) return { $: "config", values: encode(value.to_dict()) };
  if (value instanceof GenerationConfig) return { $: "generation_config", values: encode(value.to_dict()) };
  if (value instanceof BitsAndBytesConfig) return { $: "bitsandbytes", values: encode({ ...value }) };
  if (value instanceof URL) return { $: "url", href: value.href };
  if (value instanceof Promise) return { $: "promise" };
  if (value instanceof Error) return encodeError(value, encode);
  return undefined;
}

/** The methods of an object of some class, as functions of the other side. */
function methodsOf(value: object, ends: Ends): [string, Tagged][] {
  const found = new Map<string, Tagged>();
  for (let of = value; of && of !== Object.prototype; of = Object.getPrototypeOf(of))
    for (const name of Object.getOwnPropertyNames(of)) {
      const method = Object.getOwnPropertyDescriptor(of, name)!.value;
      if (name !== "constructor" && typeof method === "function" && !found.has(name))
        found.set(name, ends.function(method, value));
    }
  return [...found];
}

const classes = errors as unknown as Readonly<Record<string, { readonly prototype: Error }>>;

function encodeError(error: Error, encode: (value: unknown) => unknown): Tagged {
  const { name, message, stack, cause } = error;
  const hidden = ["name", "message", "stack", "cause"];
  const fields = Object.entries(error).filter(([field]) => !hidden.includes(field));
  const kind = typeof DOMException !== "undefined" && error instanceof DOMException ? "DOMException" : name;
  return {
    $: "error",
    kind,
    ...{ name, message, stack },
    fields: fields.map(([field, value]) => [field, typeof value === "function" ? undefined : encode(value)]),
    // What an engine says of itself may hold what no clone takes.
    ...(cause === undefined ? {} : { cause: cause instanceof Error ? encode(cause) : String(cause) }),
  };
}

function decodeError(value: Tagged, decode: (value: unknown) => unknown): Error {
  const { kind, name, message, stack, fields, cause } = value as unknown as {
    kind: string;
    name: string;
    message: string;
    stack: string | undefined;
    fields: [string, unknown][];
    cause?: unknown;
  };
  if (kind === "DOMException") return new DOMException(message, name);
  const error = new Error(message);
  const own = Object.hasOwn(classes, kind);
  const builtin = (globalThis as unknown as Record<string, { prototype?: unknown } | undefined>)[kind];
  const Class = own ? classes[kind] : builtin;
  if (Class?.prototype instanceof Error) Object.setPrototypeOf(error, Class.prototype);
  const hide = (field: string, content: unknown) =>
    Object.defineProperty(error, field, { value: content, writable: true, configurable: true, enumerable: false });
  if (own) Object.assign(error, { name });
  else if (error.name !== name) hide("name", name);
  if (stack !== undefined) hide("stack", stack);
  if (cause !== undefined) hide("cause", decode(cause));
  for (const [field, content] of fields) Object.assign(error, { [field]: decode(content) });
  return error;
}

export function decodeValue(value: unknown, ends: Ends): unknown {
  if (typeof value !== "object" || value === null) return value;
  const decode = (inner: unknown) => decodeValue(inner, ends);
  if (Array.isArray(value)) return value.every(isPlain) ? value : value.map(decode);
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const decodeFields = (fields: Iterable<readonly [string, unknown]>) =>
    Object.fromEntries(Array.from(fields, ([name, each]) => [name, decode(each)]));
  if (!Object.hasOwn(value, "$")) return decodeFields(Object.entries(value));
  const tagged = value as Tagged;
  const values = () => decode(tagged.values) as Record<string, unknown>;
  switch (tagged.$) {
    case "tensor":
      return new Tensor(tagged.type as TensorType, tagged.data as Float32Array, tagged.dims as number[]);
    case "config":
      return readConfig(values(), "the config");
    case "generation_config":
      return GenerationConfig.from_dict(values());
    case "bitsandbytes":
      return BitsAndBytesConfig.from_dict(values());
    case "url":
      return new URL(tagged.href as string);
    case "promise":
      return new Promise(() => {});
    case "symbol":
      return Symbol(tagged.text as string);
    case "error":
      return decodeError(tagged, decode);
    case "object":
      return decodeFields(tagged.fields as [string, unknown][]);
    case "instance":
      // Named as its class, for messages.
      return Object.assign(
        new { [tagged.name as string]: class {} }[tagged.name as string](),
        decodeFields(tagged.fields as [string, unknown][]),
      );
    default:
      return ends.decode(tagged, decode);
  }
}

/** Whether memory is shared: by its name, as pages that are not isolated have no such class. */
const isShared = (buffer: ArrayBufferLike): boolean => brand(buffer) === "SharedArrayBuffer";

/**
 * Has the values of tensors handed over, not copied, where nobody else has them: those in shared memory are copied first, as
 * are views. What the engine gives back is its caller's.
 * @param value - what `encodeValue` gave; changed in place
 * @returns the memory to be handed over
 */
export function handOver(value: unknown, buffers = new Set<ArrayBuffer>()): Set<ArrayBuffer> {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return buffers;
  if ((value as Tagged).$ === "tensor") {
    const tensor = value as { data: Float32Array };
    const { buffer, byteLength } = tensor.data;
    const whole = !isShared(buffer) && buffer.byteLength === byteLength && !buffers.has(buffer as ArrayBuffer);
    if (!whole) tensor.data = tensor.data.slice();
    buffers.add(tensor.data.buffer as ArrayBuffer);
  } else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
    for (const each of Object.values(value)) handOver(each, buffers);
  return buffers;
}
