// A report as one HTML page that needs nothing else: styles and charts are in it.
import { describe, showCell } from "./markdown.ts";
import type { Report, Table } from "./report.ts";

const style = `
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem; text-align: left; font-variant-numeric: tabular-nums; }
code { background: #8882; padding: .1rem .3rem; border-radius: .2rem; }
figure { margin: 1rem 0; background: white; }
svg { width: 100%; height: auto; }
.missed { color: #c33; font-weight: 600; }
`;

/** @param charts - the SVG of each section's charts */
export function toPage(report: Report, charts: readonly (readonly string[])[]): string {
  const targets = report.sections.flatMap((section) => section.targets);
  const met = targets.filter((t) => t.met).length;
  const verdict = (t: (typeof targets)[number]) =>
    `<td class="${t.met ? "met" : "missed"}">${t.met ? "met" : "missed"}</td>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tramontane: bench</title>
<style>${style}</style>
<h1>Tramontane: bench</h1>
<ul>
${describe(report)
  .map((line) => `<li>${text(line)}</li>`)
  .join("\n")}
</ul>
<h2>Targets</h2>
<p>${met} of ${targets.length} met.</p>
<table>
<tr><th>what</th><th>target</th><th>measured</th><th></th></tr>
${targets.map((t) => `<tr>${[t.what, t.target, t.measured].map((cell) => `<td>${text(cell)}</td>`).join("")}${verdict(t)}</tr>`).join("\n")}
</table>
${report.sections
  .map(
    (section, i) => `<section id="${section.name}">
<h2>${text(section.title)}</h2>
<p><code>${text(section.command)}</code></p>
${section.notes.map((note) => `<p>${text(note)}</p>`).join("\n")}
${section.tables.map(table).join("\n")}
${charts[i].map((svg) => `<figure>${svg}</figure>`).join("\n")}
</section>`,
  )
  .join("\n")}
</html>
`;
}

const table = ({ columns, rows }: Table): string => `<table>
<tr>${columns.map((name) => `<th>${text(name)}</th>`).join("")}</tr>
${rows.map((row) => `<tr>${row.map((cell) => `<td>${text(showCell(cell))}</td>`).join("")}</tr>`).join("\n")}
</table>`;

/** Text as HTML; what stands between backticks is code. */
const text = (value: string): string =>
  value
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replace(/`([^`]*)`/g, "<code>$1</code>");
