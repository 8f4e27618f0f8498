// A Mixtral's weights by role. `bind` (bind.ts) makes it from a checkpoint, checking every shape and format once;
// after that the code holds these and no names.
import type { SourceFile } from "../platform/platform.ts";
import type { BlockFormat, FileFormat } from "../quant/formats.ts";
import type { Recipe } from "./recipe.ts";

interface Matrix {
  /** The tensor's name in the checkpoint, for messages and profiles. */
  readonly name: string;
  /** That products know it by. */
  readonly format: BlockFormat;
  readonly rows: number;
  readonly cols: number;
  /** Of whole rows of the format. */
  readonly bytes: number;
}

/** A matrix (rows, cols) as it stands in a file: row r begins at offset + r · rowBytes(format, cols). */
export interface StoredMatrix extends Matrix {
  readonly format: FileFormat;
  readonly file: SourceFile;
  readonly offset: number;
  readonly recipe?: undefined;
  readonly order?: undefined;
}

/** A matrix that is made while it loads. */
export interface MadeMatrix extends Matrix {
  readonly recipe: Recipe;
  /** (cols) where its blocks have the columns in another order: column c of them is column order[c]. */
  readonly order?: Uint32Array;
}

export type MatrixRef = StoredMatrix | MadeMatrix;

export interface ExpertWeights {
  readonly w1: MatrixRef; // (intermediate, hidden)  gate
  readonly w3: MatrixRef; // (intermediate, hidden)  up
  readonly w2: MatrixRef; // (hidden, intermediate)  down
}

export interface LayerWeights {
  readonly input_layernorm: MatrixRef; // (1, hidden)
  readonly q_proj: MatrixRef; // (heads · head_dim, hidden)
  readonly k_proj: MatrixRef; // (kv_heads · head_dim, hidden)
  readonly v_proj: MatrixRef; // (kv_heads · head_dim, hidden)
  readonly o_proj: MatrixRef; // (hidden, heads · head_dim)
  readonly post_attention_layernorm: MatrixRef; // (1, hidden)
  /** Null where there is one feed-forward block, the only expert. */
  readonly router: MatrixRef | null; // (experts, hidden)
  readonly experts: readonly ExpertWeights[];
}

/** What stands on a model's hidden states, by its weights' name. */
export type HeadName = "lm_head" | "score" | "qa_outputs";

export interface HeadWeights {
  readonly name: HeadName;
  /** The same ref as `embed_tokens` where the two are tied. */
  readonly weight: MatrixRef; // (outputs, hidden)
  readonly bias: MatrixRef | null; // (1, outputs)
}

export interface MixtralWeights {
  readonly embed_tokens: MatrixRef; // (vocab, hidden)
  readonly layers: readonly LayerWeights[];
  readonly norm: MatrixRef; // (1, hidden)
  /** Null where the class has none (MixtralModel). */
  readonly head: HeadWeights | null;
  /** q and k rows are stored for rotating adjacent pairs: output row 2i+h of a head is Hugging Face's h·D/2+i. */
  readonly qk_interleaved: boolean;
}

/** Those of all layers: w1, w3, w2 of each expert. */
export const expertMatrices = ({ layers }: MixtralWeights): MatrixRef[] =>
  layers.flatMap(({ experts }) => experts.flatMap(({ w1, w3, w2 }) => [w1, w3, w2]));

export const bytesOf = (matrices: Iterable<MatrixRef>): number => {
  let sum = 0;
  for (const { bytes } of matrices) sum += bytes;
  return sum;
};
