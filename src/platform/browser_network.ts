// Requests as a page may send them: it is the browser that follows redirects, that undoes compression, and that keeps from the
// page what a server of another site does not show.
import type { Network } from "./platform.ts";

/** Headers that no page may set, or that would have the browser ask each other site first whether it may. */
const UNSENT = ["user-agent", "accept-encoding", "if-range"];

/** How long it is tried whether a server is there at all. */
const PROBE_MS = 5_000;

/** What an answer shows, as it would be seen without a browser between. */
function seenHeaders(response: Response, range: string | undefined): Headers {
  const headers = new Headers(response.headers);
  // The body comes undone; its length is not that of what was sent.
  if (headers.has("content-encoding")) for (const name of ["content-encoding", "content-length"]) headers.delete(name);
  // Servers of other sites seldom show which range it is: it is the one that was asked for, as long as the answer is.
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const length = Number(headers.get("content-length") ?? Number.NaN);
  if (response.status === 206 && first !== undefined && length > 0 && !headers.has("content-range"))
    headers.set(
      "content-range",
      `bytes ${first}-${Number(first) + length - 1}/${last === "" && first === "0" ? length : "*"}`,
    );
  return headers;
}

export const browserNetwork: Network = {
  sees_redirects: false,
  async fetch(url, init) {
    const headers = Object.fromEntries(Object.entries(init.headers).filter(([name]) => !UNSENT.includes(name)));
    // What is kept is kept by the caller, once.
    const response = await fetch(url, { ...init, headers, redirect: "follow", credentials: "omit", cache: "no-store" });
    const { status, url: at, body } = response;
    return { status, url: at || url.href, body, headers: seenHeaders(response, headers["range"]) };
  },
  async explain(url) {
    if (!navigator.onLine) return "the browser is offline";
    const { origin, protocol } = location;
    if (url.origin === origin) return "";
    if (protocol === "https:" && url.protocol === "http:") return "a page that came by https: may ask nothing by http:";
    const there = await fetch(url, {
      method: "HEAD",
      mode: "no-cors",
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_MS),
    }).then(
      () => true,
      () => false,
    );
    const cors = `pages of ${origin} read its answers: it would have to send Access-Control-Allow-Origin (CORS)`;
    return there
      ? `the server is there, but does not let ${cors}`
      : `the server is not there, or does not let ${cors}; or this page's own Content-Security-Policy (connect-src) forbids it`;
  },
};
