// A page's requests: the browser follows redirects itself, and takes the token from those that lead to another host; it keeps
// answers back from pages that the server does not name, and of other answers most headers; and it sends whatever makes it ask
// the server first (a preflight) only where the server allows that. So nothing is sent that is not needed.

/** What holds for all of them: no cookies, and nothing kept a second time in the browser's cache. */
export const pageRequest = {
  redirect: "follow",
  credentials: "omit",
  cache: "no-store",
} as const satisfies RequestInit;

/**
 * Why a page's request has had no answer, as far as that can be known.
 * @param url - what was asked for
 * @param origin - the page's
 */
export async function whyNoAnswer(url: URL, origin: string): Promise<string> {
  if (url.origin === origin) return "";
  if (url.protocol === "http:" && origin.startsWith("https:") && !/^(localhost|127\..*|\[::1\])$/.test(url.hostname))
    return `: a page of https: may ask no server by http:`;
  if (await answersOthers(url))
    return `: the server answers, but lets no page of ${origin} read it: it, and where it redirects to, must send the header Access-Control-Allow-Origin (CORS)`;
  return `: the network or the server is down; or it lets no page of ${origin} read it (CORS); or the page's own Content-Security-Policy (connect-src) does not name ${url.host}`;
}

/** Whether a server answers where nothing of the answer may be read. */
async function answersOthers(url: URL): Promise<boolean> {
  try {
    await fetch(url, { ...pageRequest, mode: "no-cors", method: "HEAD", signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    return false;
  }
}
