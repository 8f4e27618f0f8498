// What drafting brings: answers that repeat their prompt, and answers that do not, where it must not cost.
import { measure, type Part } from "../part.ts";
import { type Cell, figure, target } from "../report.ts";
import { synthesize } from "../synth.ts";

export const assisted: Part = {
  name: "assisted",
  title: "Assisted decoding",
  async run(context) {
    const [shape, draft_shape, prompt, tokens, rounds] = context.quick
      ? (["tiny", "tiny", 64, 16, 1] as const)
      : (["mid", "small", 256, 128, 5] as const);
    const assistant = await synthesize(draft_shape, "Q4_0");
    const task = { kind: "assisted", prompt, tokens, rounds } as const;
    const m = await measure(
      context,
      [shape, "Q4_0"],
      [{ kind: "generate", prompt: 64, tokens: 8 }, task, { ...task, assistant }],
    );
    const rows: Cell[][] = [];
    const targets = [];
    for (const [i, how] of ["lookup in the prompt", `another model (${draft_shape})`].entries()) {
      for (const { text, plain, drafted } of m.results[i + 1].assisted!) {
        // A model of random weights drafts what it likes, which is not the text.
        if (i === 1 && text === "copied") continue;
        // Of each the best round: whatever else the machine does only slows them down.
        const gain = Math.max(...drafted) / Math.max(...plain);
        const what = `${shape}, ${how}, ${text} text`;
        rows.push([
          how,
          text,
          figure(`${what}: without drafts`, "tok/s", plain),
          figure(`${what}: with drafts`, "tok/s", drafted),
          figure(`${what}: gain`, "×", [gain]),
        ]);
        targets.push(target(`${what}: gain`, gain, { least: text === "copied" ? 1.5 : 0.95 }, "×"));
      }
    }
    return {
      notes: [
        `${shape}, Q4_0, ${context.threads} threads: ${tokens} tokens after a prompt of ${prompt}, ${rounds} times by turns with and without drafts, of which the best are compared. The text is given: tokens as frequent as those of a language, copied from the prompt or not. Routing is that of random weights, so each drafted row has experts of its own: the dearest case.`,
      ],
      tables: [{ columns: ["drafts", "text", "without", "with", "gain"], rows }],
      charts: [],
      targets,
    };
  },
};
