// A report as Markdown. Charts are links to the SVG files beside it.
import { type Cell, percent, type Report, round, type Section, type Table } from "./report.ts";

/** @param charts - the names of the SVG files of each section's charts, empty where none were drawn */
export function toMarkdown(report: Report, charts: readonly (readonly string[])[]): string {
  const { machine, sections } = report;
  const targets = sections.flatMap((section) => section.targets);
  return [
    "# Tramontane: bench",
    "",
    ...describe(report).map((line) => `- ${line}`),
    "",
    ...(targets.length
      ? [
          "## Targets",
          "",
          `${targets.filter(({ met }) => met).length} of ${targets.length} met.`,
          "",
          ...rows({
            columns: ["what", "target", "measured", ""],
            rows: targets.map((t) => [t.what, t.target, t.measured, t.met ? "met" : "**missed**"]),
          }),
          "",
        ]
      : []),
    ...sections.flatMap((section, i) => sectionLines(section, charts[i])),
    `Measured ${machine.date} in ${(report.seconds / 60).toFixed(1)} minutes.`,
    "",
  ].join("\n");
}

/** The lines that every figure of the report is to be read with. */
export const describe = ({ machine, command }: Report): string[] => [
  `Command: \`${command}\`, commit ${machine.commit}`,
  `Machine: ${machine.cpu}, ${machine.cores} cores (${machine.features.join(", ")}), ${round(machine.memory_bytes / 2 ** 30)} GiB, ${machine.system}; load at the start ${machine.load.toFixed(2)}`,
  `Runtime: ${machine.runtime}`,
  "Figures are medians of several runs; what stands behind ± is half the distance between the slowest and the fastest run, where there was more than one. Shares are of what the same machine could do in the same run.",
];

const sectionLines = (section: Section, charts: readonly string[]): string[] => [
  `## ${section.title}`,
  "",
  `\`${section.command}\``,
  "",
  ...section.notes.flatMap((note) => [note, ""]),
  ...section.tables.flatMap((table) => [...rows(table), ""]),
  ...charts.flatMap((file, i) => [`![${section.charts[i].title}](${file})`, ""]),
];

const rows = ({ columns, rows }: Table): string[] => [
  `| ${columns.join(" | ")} |`,
  `|${columns.map(() => "---|").join("")}`,
  ...rows.map((row) => `| ${row.map(showCell).join(" | ")} |`),
];

export function showCell(cell: Cell): string {
  if (cell === null) return "–";
  if (typeof cell === "string") return cell;
  const { value, low, high, unit, of, runs } = cell;
  const spread = runs > 1 ? ` ± ${percent((high - low) / 2 / value)}` : "";
  return `${round(value)} ${unit}${spread}${of ? ` (${percent(of.share)} of ${of.what})` : ""}`;
}
