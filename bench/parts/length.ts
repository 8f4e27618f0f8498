// What a token costs at each position of a long sequence, with a rolling window.
import { measure, type Part } from "../part.ts";
import { type Cell, figure, memoryFigure, target } from "../report.ts";
import { shapes } from "../shapes.ts";

export const length: Part = {
  name: "length",
  title: "Cost against length",
  async run(context) {
    const [shape, format, tokens] = context.quick ? (["tiny", "Q4_0", 2] as const) : (["small", "Q4_0", 40] as const);
    const { window } = shapes[shape];
    const at = [1];
    for (let position = 16; position < 131072; position *= 2) at.push(position);
    at.push(131071);
    // The first position once more, so that what the runtime does only once is behind.
    const m = await measure(context, [shape, format], [{ kind: "positions", at: [1, ...at], tokens }]);
    const positions = m.results[0].positions.slice(1);
    const rows = positions.map(({ at: position, ms, private: bytes }): Cell[] => [
      String(position),
      figure(`${shape} ${format} token at position ${position}`, "ms", ms, { more: false }),
      memoryFigure(`${shape} ${format} private memory at position ${position}`, [bytes]),
    ]);
    const time = rows.map((row) => (row[1] as { value: number }).value);
    const rolled = positions.findIndex((each) => each.at >= window);
    const last = positions.length - 1;
    return {
      notes: [
        `${shape} ${format}, ${context.threads} threads, a window of ${window}, ${tokens} tokens at each position. The cache is filled with ${window} tokens and the sequence is then set to each position behind them: a token attends to the same number of keys, at the same addresses, as if all before it had been fed. The times are those of whole forward calls, logits copied out.`,
      ],
      tables: [{ columns: ["position", "a token", "private memory"], rows }],
      charts: [
        {
          title: `Milliseconds a token, window of ${window}`,
          kind: "line",
          x: { name: "position", values: at, log: true },
          y: { name: "ms" },
          series: [{ name: `${shape} ${format}`, values: time }],
        },
      ],
      targets: [
        target(
          "a token at position 131071, against one where the window is just full",
          time[last] / time[rolled],
          { most: 1.1 },
          "×",
        ),
        target(
          "private memory there, against where the window is just full",
          positions[last].private / positions[rolled].private,
          { most: 1.02 },
          "×",
        ),
      ],
    };
  },
};
