// What tensors of adapters are called. Every name stands here and nowhere else.
// Sources: PEFT 0.21 with transformers 5 (all experts of a layer in one pair), and with transformers 4 (a pair for each).
import type { HeadName } from "../weights/weights.ts";

/** Matrices of a layer, and of the model. */
export type Role = "q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate" | "w1" | "w2" | "w3" | "embed_tokens" | "head";

/** A matrix that an adapter changes; `experts` are all of a layer, and which of their matrices is told by shapes. */
export type Module =
  | { readonly role: "q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate"; readonly layer: number }
  | { readonly role: "experts"; readonly layer: number }
  | { readonly role: "w1" | "w2" | "w3"; readonly layer: number; readonly expert: number }
  /** Of a model that has one feed-forward block. */
  | { readonly role: "w1" | "w2" | "w3"; readonly layer: number; readonly expert: "dense" }
  | { readonly role: "embed_tokens" }
  | { readonly role: "head"; readonly head: HeadName };

export interface Key {
  /** The module's name, as PEFT knows it. */
  readonly name: string;
  /** A, B, or a whole matrix in place of the base's. */
  readonly part: "a" | "b" | "weight";
  readonly module: Module;
}

/** Names of parts; PEFT leaves the adapter's own name out where it saves. */
const parts: readonly (readonly [pattern: RegExp, part: Key["part"]])[] = [
  [/^(.+)\.lora_(?:embedding_)?A(?:\.\w+)?(?:\.weight)?$/, "a"],
  [/^(.+)\.lora_(?:embedding_)?B(?:\.\w+)?(?:\.weight)?$/, "b"],
  [/^(.+?)(?:\.base_layer|\.modules_to_save(?:\.\w+)?)?\.weight$/, "weight"],
];

const experts = /^(?:block_sparse_moe|mlp)\.experts\.(\d{1,6})\.(\w+)$/;
const fused = /^(?:block_sparse_moe|mlp)\.experts(?:\.base_layer)*$/;
const feedForward: Readonly<Record<string, "w1" | "w2" | "w3">> = {
  w1: "w1",
  w2: "w2",
  w3: "w3",
  gate_proj: "w1",
  down_proj: "w2",
  up_proj: "w3",
};

/** What a tensor is, by its name; undefined where it is nothing that this version knows. */
export function parseKey(tensor: string): Key | undefined {
  const key = tensor.replace(/^base_model\.model\./, "");
  for (const [pattern, part] of parts) {
    const name = pattern.exec(key)?.[1];
    const module = name === undefined ? undefined : moduleOf(name.replace(/^model\./, ""));
    if (module) return { name: name!, part, module };
  }
  return undefined;
}

function moduleOf(name: string): Module | undefined {
  if (name === "embed_tokens") return { role: "embed_tokens" };
  if (name === "lm_head" || name === "score" || name === "qa_outputs") return { role: "head", head: name };
  const found = /^layers\.(\d{1,6})\.(.+)$/.exec(name);
  if (!found) return undefined;
  const [layer, rest] = [Number(found[1]), found[2]];
  const attention = /^self_attn\.([qkvo]_proj)$/.exec(rest);
  if (attention) return { role: attention[1] as "q_proj", layer };
  if (/^(?:block_sparse_moe|mlp)\.gate$/.test(rest)) return { role: "gate", layer };
  if (fused.test(rest)) return { role: "experts", layer };
  const [, number, matrix] = experts.exec(rest) ?? [];
  if (number !== undefined && Object.hasOwn(feedForward, matrix))
    return { role: feedForward[matrix], layer, expert: Number(number) };
  const dense = /^mlp\.(gate_proj|up_proj|down_proj)$/.exec(rest);
  return dense ? { role: feedForward[dense[1]], layer, expert: "dense" } : undefined;
}
