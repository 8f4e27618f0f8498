// The site: VitePress over the pages that build.mjs makes. No server but the site's own is asked, neither by it nor to build it.
import { defineConfig } from "vitepress";
import { readSidebars } from "../pages.mjs";

/** Headings have the anchors that GitHub gives them, so that a link holds in both places. */
const slugify = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

export default defineConfig({
  title: "Tramontane",
  description: "Mixtral in WebAssembly on the CPU",
  srcDir: "pages",
  outDir: "../build/site",
  vite: { build: { chunkSizeWarningLimit: 4000 } }, // the index of the search is one piece, fetched when somebody searches
  markdown: { anchor: { slugify } },
  themeConfig: {
    nav: [
      { text: "Guides", link: "/contents.md" },
      { text: "API", link: "/reference.md" },
      { text: "Examples", link: "/examples/index.md" },
    ],
    sidebar: readSidebars(),
    outline: [2, 3],
    search: { provider: "local" },
  },
});
