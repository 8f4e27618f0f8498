// The links of the built site: each leads to a page of it, and an anchor to a place on that page.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

/** @returns a line for each link that leads nowhere */
export function deadLinks(folder) {
  const pages = new Map(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => name.replaceAll("\\", "/"))
      .filter((name) => name.endsWith(".html"))
      .map((name) => [name, readFileSync(join(folder, name), "utf8")]),
  );
  const anchors = new Map(
    [...pages].map(([name, html]) => [name, new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => text(id)))]),
  );
  const dead = new Set();
  for (const [name, html] of pages)
    for (const [, href] of html.matchAll(/<a [^>]*?href="([^"]*)"/g)) {
      if (/^[a-z]+:/.test(href)) continue;
      const [path, anchor] = text(href).split("#");
      const target = path === "" ? name : resolve(folder, name, path);
      if (!existsSync(join(folder, target))) dead.add(`${name}: ${href}: no such page`);
      else if (anchor && !anchors.get(target)?.has(decodeURIComponent(anchor)))
        dead.add(`${name}: ${href}: no such anchor`);
    }
  return [...dead];
}

/** The file that a path names from a page. */
function resolve(folder, page, path) {
  const target = path.startsWith("/") ? path.slice(1) : posix.join(posix.dirname(page), path);
  if (target === "" || target.endsWith("/")) return `${target}index.html`;
  return posix.extname(target) || !existsSync(join(folder, `${target}.html`)) ? target : `${target}.html`;
}

const text = (html) => html.replaceAll("&amp;", "&").replaceAll("&quot;", '"').replaceAll("&#39;", "'");
