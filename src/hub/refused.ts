// What a server's refusal means, and what helps.
import { printable, showName } from "../config/show.ts";
import { HubError } from "../errors.ts";
import type { Answer } from "./http.ts";
import type { Settings } from "./settings.ts";

/** What was asked for. */
export interface Wanted {
  readonly id: string;
  readonly revision: string;
  readonly file?: string;
  readonly settings: Settings;
}

/** The hub's refusal in words. Its own are `X-Error-Code` and `X-Error-Message`. */
export function refusedByHub({ id, revision, file, settings }: Wanted, { status, headers }: Answer): HubError {
  const { endpoint, token } = settings;
  const page = `${endpoint}/${id}`;
  const code = headers.get("x-error-code") ?? "";
  const said = headers.get("x-error-message");
  const words = said ? `: ${printable(said, 200)}` : "";
  const error = (what: string) => new HubError(`${id}: ${what} (${endpoint} answered ${status}${words})`, status);
  const get = "a token from your settings there, as the option token, in HF_TOKEN, or by `hf auth login`";
  if (code === "GatedRepo")
    return error(
      token === undefined
        ? `is gated: accept its terms at ${page}, and pass ${get}`
        : `is gated, and the account of this token has no access yet, or the token may not read gated models: accept the terms at ${page}`,
    );
  if (code === "RevisionNotFound")
    return error(`has no revision ${showName(revision)}: its branches and tags are listed at ${page}/tree/main`);
  if (code === "EntryNotFound")
    return error(`has no file ${showName(file ?? "")}; ${page}/tree/${revision} lists them`);
  if (said === "Access to this resource is disabled.") return error("is disabled there");
  if (status === 401 && token !== undefined && code !== "RepoNotFound")
    return error(`the token was refused: it is not valid, or no longer: pass ${get}`);
  if (code === "RepoNotFound" || status === 401 || status === 404)
    return error(
      token === undefined
        ? `no model of this name may be seen: it is misspelt, or it is private, and needs ${get}`
        : "no model of this name may be seen with this token: it is misspelt, or private to others",
    );
  if (status === 403) return error("access is forbidden: the token lacks the right to read it");
  if (status === 429)
    return error(
      `too many requests: try again later${token === undefined ? `, or pass ${get}: it raises the limit` : ""}`,
    );
  if (status >= 500) return error("the server is in trouble: try again later; what has been downloaded is kept");
  return error(`cannot be had from ${endpoint}`);
}

/** The same of a server that is no hub. */
export function refusedByServer(url: string, { status }: Answer): HubError {
  const what =
    status === 404 || status === 410
      ? "nothing is there"
      : status === 401 || status === 403
        ? "access is refused: the address has expired, or it needs a token (the option token)"
        : "cannot be had";
  return new HubError(`${url}: ${what} (the server answered ${status})`, status);
}
