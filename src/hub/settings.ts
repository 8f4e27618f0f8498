// The options of whatever comes from a hub, and the environment where they are absent: the variables are those of the Python
// client, with the same meaning.
import { givenArguments, textArgument } from "../arguments.ts";
import { show } from "../config/show.ts";
import { HubError, InputError } from "../errors.ts";
import type { Files, Platform, Surroundings } from "../platform/platform.ts";

/** What `from_pretrained` may be told about a model that is on a hub. */
export interface HubOptions {
  /** A branch, a tag or a commit. @default "main" */
  revision?: string | undefined;
  /** One file of the repository, e.g. `model.Q8_0.gguf`, or the type of its GGUF, e.g. `Q8_0`. @default the one that is best */
  file?: string | undefined;
  /** An access token; `false` sends none. @default that of `HF_TOKEN`, or of `hf auth login` */
  token?: string | boolean | undefined;
  /** Where downloads are kept. @default the Python client's own cache: `~/.cache/huggingface/hub`, or what `HF_HOME` and `HF_HUB_CACHE` say */
  cache_dir?: string | undefined;
  /** Uses what is in the cache, and asks no server. `HF_HUB_OFFLINE` does the same for all. @default false */
  local_files_only?: boolean | undefined;
  /** The hub's address. @default that of `HF_ENDPOINT`, or `https://huggingface.co` */
  endpoint?: string | undefined;
  /** `false` keeps nothing on the disk: what is fetched is in memory, as long as the model. @default true */
  cache?: boolean | undefined;
}

/** What holds for every call that does not say otherwise, by transformers.js's names. Absent: what the environment says. */
export interface HubEnvironment {
  /** The hub's address. */
  remoteHost?: string | undefined;
  /** Where downloads are kept. */
  cacheDir?: string | undefined;
  /** Whether servers may be asked at all. */
  allowRemoteModels: boolean;
}

/** See {@link HubEnvironment}. */
export const env: HubEnvironment = { allowRemoteModels: true };

/** Options and environment put together. */
export interface Settings {
  readonly revision: string;
  readonly file?: string;
  readonly endpoint: string;
  readonly cache: string;
  /** Why no server may be asked, where none may. */
  readonly offline?: string;
  /** Whom it is for: the endpoint, unless the caller gave it for the URL at hand. */
  readonly token?: string;
  readonly token_given: boolean;
  /** Whether no links are to be made in the cache. */
  readonly linkless: boolean;
  /** How long a server may take to answer, and to send the next bytes, in milliseconds. */
  readonly answer_ms: number;
  readonly stall_ms: number;
}

/** The folder of the cache that is in memory (memory_disk.ts). */
export const MEMORY_CACHE = "memory:/";

export const hubOptions = ["revision", "file", "token", "cache_dir", "local_files_only", "endpoint", "cache"] as const;

/** The options of this module among those of a call, checked. @throws {@link InputError} */
export function readHubOptions(given: HubOptions | null | undefined): HubOptions {
  const options = givenArguments<HubOptions>(given, "the options");
  for (const name of ["revision", "file", "cache_dir", "endpoint"] as const)
    if (options[name] !== undefined) textArgument(options[name], name);
  const { token, local_files_only, endpoint } = options;
  if (token !== undefined && typeof token !== "boolean" && !isToken(token))
    throw new InputError("token: expected an access token of printable characters, true or false, found another value");
  if (local_files_only !== undefined && typeof local_files_only !== "boolean")
    throw new InputError(`local_files_only: expected true or false, found ${show(local_files_only)}`);
  if (endpoint !== undefined) checkEndpoint(endpoint, "endpoint");
  if (options.cache !== undefined && typeof options.cache !== "boolean")
    throw new InputError(`cache: expected true or false, found ${show(options.cache)}; a folder is cache_dir`);
  return Object.fromEntries(
    hubOptions.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}

/** @throws what {@link readHubOptions} does; HubError when a token is wanted and there is none */
export async function readSettings(platform: Platform, given: HubOptions): Promise<Settings> {
  const options = readHubOptions(given);
  const home = hubHome(platform);
  const offline = options.local_files_only
    ? "local_files_only is set"
    : !env.allowRemoteModels
      ? "env.allowRemoteModels is false"
      : ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
          .filter((name) => isTrue(platform.environment(name)))
          .map((name) => `${name} is set`)[0];
  return {
    revision: options.revision ?? "main",
    file: options.file,
    endpoint: hubEndpoint(platform, options),
    cache: options.cache === false ? MEMORY_CACHE : cacheFolder(platform, options.cache_dir),
    offline,
    token: offline === undefined ? await findToken(platform, options.token, home) : undefined,
    token_given: typeof options.token === "string",
    linkless: isTrue(platform.environment("HF_HUB_DISABLE_SYMLINKS")),
    answer_ms: seconds(platform, "HF_HUB_ETAG_TIMEOUT"),
    stall_ms: seconds(platform, "HF_HUB_DOWNLOAD_TIMEOUT"),
  };
}

/** The hub's address, without a slash at its end. @throws {@link InputError} when it is none */
export function hubEndpoint(platform: Surroundings, { endpoint }: HubOptions): string {
  if (endpoint !== undefined) return checkEndpoint(endpoint, "endpoint");
  if (env.remoteHost) return checkEndpoint(env.remoteHost, "env.remoteHost");
  return checkEndpoint(platform.environment("HF_ENDPOINT") || "https://huggingface.co", "HF_ENDPOINT");
}

/** The folder of the cache, as the Python client finds it. */
export function cacheFolder(platform: Files & Surroundings, given?: string): string {
  const variable = (name: string) => platform.environment(name) || undefined;
  const folder = given ?? env.cacheDir ?? variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE");
  return folder === undefined ? platform.join(hubHome(platform), "hub") : expanded(platform, folder);
}

function hubHome(platform: Files & Surroundings): string {
  const home = platform.environment("HF_HOME");
  if (home) return expanded(platform, home);
  const caches = platform.environment("XDG_CACHE_HOME") || platform.join(platform.home_folder(), ".cache");
  return platform.join(caches, "huggingface");
}

/** A path with the user's folder for `~`, and variables for `$NAME`. */
const expanded = (platform: Files & Surroundings, path: string): string =>
  path
    .replace(/^~(?=$|[/\\])/, () => platform.home_folder())
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, plain, braced) => platform.environment(plain ?? braced) ?? whole);

function checkEndpoint(endpoint: string, source: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || !["http:", "https:"].includes(url.protocol) || url.username !== "" || url.search !== "")
    throw new InputError(`${source}: expected the https: URL of a hub, found ${show(endpoint)}`);
  return url.href.replace(/\/+$/, "");
}

/** What can stand in a header. */
const isToken = (token: unknown): token is string => typeof token === "string" && /^[\x21-\x7e]+$/.test(token);

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");

const seconds = (platform: Surroundings, name: string): number =>
  1000 * (Math.min(3600, Number(platform.environment(name))) || 10);

async function findToken(
  platform: Platform,
  given: string | boolean | undefined,
  home: string,
): Promise<string | undefined> {
  if (typeof given === "string") return given;
  if (given === false || (given === undefined && isTrue(platform.environment("HF_HUB_DISABLE_IMPLICIT_TOKEN")))) return;
  const named = platform.environment("HF_TOKEN") || platform.environment("HUGGING_FACE_HUB_TOKEN");
  const path = platform.environment("HF_TOKEN_PATH") ?? platform.join(home, "token");
  const token = (named ?? (await readSmall(platform, expanded(platform, path))) ?? "").trim();
  if (given && !token) throw new HubError(`token: expected one in HF_TOKEN or in ${path}, found none`);
  if (token && !isToken(token))
    throw new InputError(`${named ? "HF_TOKEN" : path}: expected an access token of printable characters`);
  return token || undefined;
}

/** A small text file, where there is one that can be read. */
export async function readSmall(files: Files, path: string, limit = 4096): Promise<string | undefined> {
  try {
    const file = await files.open(path);
    try {
      if (file.size > limit) return undefined;
      const bytes = new Uint8Array(file.size);
      await file.read(0, bytes);
      return new TextDecoder().decode(bytes);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
