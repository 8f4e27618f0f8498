// What can be given in the place of a path: the id of a model on a hub, or the URL of a file, of a folder or of a model's
// page.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";

/** A model on a hub; or files at a URL, of which `url` is the folder. */
export type Remote = HubModel | URLFolder;

export interface HubModel {
  readonly id: string;
  readonly revision?: string;
  readonly file?: string;
}

export interface URLFolder {
  readonly url: URL;
  readonly file?: string;
}

/** The name of a model of the Python client's rules, and behind a colon a file, or the type of one. */
const hubId = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?::(.+))?$/s;
/** What names files of this machine rather than models. */
const fileLike = /\.(gguf|safetensors|json|bin|pth?|git)$/;

/** The model that a text names, where it is one, of the form `owner/name`, `owner/name:FILE` or `owner/name:TYPE`. */
export function parseId(text: unknown): { id: string; file?: string } | undefined {
  const [, id, file] = (typeof text === "string" && hubId.exec(text)) || [];
  if (id === undefined || id.length > 96 || /--|\.\.|[.-](?:\/|$)/.test(id) || fileLike.test(id)) return undefined;
  return file === undefined ? { id } : { id, file };
}

/**
 * What a URL means: on the hub's own host a model's page, or a file of it; elsewhere a file, or with a slash at its end a folder.
 * @throws {@link InputError} when it is none that can be fetched
 */
export function parseURL(url: URL, endpoint: string): Remote {
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new InputError(`${show(url.href)}: expected an https:, http: or file: URL, or owner/name of a hub`);
  if (url.username !== "" || url.password !== "")
    throw new InputError("a URL: expected none with a password in it: pass a token as the option token");
  if (url.href.startsWith(`${endpoint}/`)) {
    const [owner, name, kind, revision, ...path] = url.href
      .slice(endpoint.length + 1)
      .replace(/[?#].*$/s, "")
      .split("/")
      .map(decoded);
    const named = parseId(`${owner}/${name}`);
    if (named && (!kind || (["tree", "blob", "resolve"].includes(kind) && revision)))
      return { id: named.id, revision: revision || undefined, file: path.join("/") || undefined };
  }
  const folder = new URL(url.href);
  folder.hash = "";
  const file = decoded(folder.pathname.slice(folder.pathname.lastIndexOf("/") + 1));
  if (file === "") return { url: folder };
  folder.pathname = folder.pathname.slice(0, folder.pathname.lastIndexOf("/") + 1);
  return { url: folder, file };
}

/** The URL of a file in a URL's folder; a query (a signature, say) goes along. */
export function urlOf(folder: URL, file: string): URL {
  const url = new URL(folder.href);
  url.pathname += file.split("/").map(encodeURIComponent).join("/");
  return url;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new InputError(`a URL: expected percent signs before two hexadecimal digits, found ${show(part)}`);
  }
}
