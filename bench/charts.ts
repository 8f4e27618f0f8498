// Draws the report's charts to SVG with ECharts, which needs no browser for it.
import { companion } from "./companions.ts";
import type { Chart } from "./report.ts";

const width = 860;
const height = 380;

/** The SVG of each chart, or nothing where ECharts is not installed. */
export function drawCharts(charts: readonly Chart[]): string[] {
  const echarts = companion("echarts");
  if (!echarts) return [];
  return charts.map((chart) => {
    const drawing = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
    drawing.setOption(options(chart));
    const svg: string = drawing.renderToSVGString();
    drawing.dispose();
    return svg;
  });
}

function options({ title, kind, x, y, series }: Chart): object {
  const numeric = x.log === true;
  return {
    animation: false,
    backgroundColor: "#fff",
    title: { text: title, left: "center", textStyle: { fontSize: 15 } },
    legend: { bottom: 0 },
    grid: { left: 70, right: 40, top: 50, bottom: 75 },
    xAxis: {
      name: x.name,
      nameLocation: "middle",
      nameGap: 28,
      ...(numeric ? { type: "log", logBase: 2, min: "dataMin", max: "dataMax" } : { type: "category", data: x.values }),
    },
    yAxis: { name: y.name, type: y.log ? "log" : "value" },
    series: series.map(({ name, values }) => ({
      name,
      type: kind,
      data: numeric ? values.map((value, i) => [x.values[i], value]) : values,
      ...(kind === "bar" && series.length * values.length <= 24
        ? { label: { show: true, position: "top", formatter: ({ value }: { value: number }) => label(value) } }
        : {}),
    })),
  };
}

const label = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(2));
