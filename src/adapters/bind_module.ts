// The tensors of one module of an adapter, bound to matrices of the model: every shape and rank is checked here once, and
// what stands for all experts of a layer is cut apart.
import type { TensorRef } from "../checkpoint/checkpoint.ts";
import type { LayerShape, ModelShape } from "../config/shape.ts";
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { AdapterTarget, Factor, LowRank, Place, Replacement } from "./adapter.ts";
import { type AdapterConfig, MOST_RANK } from "./adapter_config.ts";
import { transpose } from "./factor.ts";
import type { Module, Role } from "./keys.ts";

export interface ModuleTensors {
  /** As PEFT knows it. */
  readonly name: string;
  readonly module: Module;
  readonly a?: TensorRef;
  readonly b?: TensorRef;
  readonly weight?: TensorRef;
}

export interface BoundModule {
  readonly low_rank: readonly LowRank[];
  readonly replacements: readonly Replacement[];
}

/** @throws {@link CheckpointError} when the model has no such module, or another shape of it */
export function bindModule(
  tensors: ModuleTensors,
  config: AdapterConfig,
  target: AdapterTarget,
  path: string,
): BoundModule {
  const { name, module, a, b, weight } = tensors;
  const fail = (what: string) => new CheckpointError(`${showName(name)}: ${what} in ${path}${baseOf(config)}`);
  checkModule(module, config, target, fail);
  if (!a !== !b) throw fail(`expected A and B, found ${show((a ?? b)!.name)} alone`);
  const replacements = weight ? replacementOf(module, weight, target, fail) : [];
  if (!a || !b) return { low_rank: [], replacements };
  const low_rank =
    module.role === "experts"
      ? bindExperts(module.layer, a, b, config, target.shape.layers[module.layer], target.shape, fail)
      : [bindMatrix(name, placeOf(module), a, b, config, target, fail)];
  return { low_rank, replacements };
}

type Fail = (what: string) => CheckpointError;

const baseOf = ({ base }: AdapterConfig): string =>
  base === null ? "" : ` (an adapter for ${showName(base)}, as it says)`;

/** Whether the model has the module. */
function checkModule(module: Module, config: AdapterConfig, { shape, head }: AdapterTarget, fail: Fail): void {
  if (module.role === "head" && module.head !== head)
    throw fail(`the model's class has ${head ? `the head ${head}` : "no head"}, found one of ${module.head}`);
  if (!("layer" in module)) return;
  const { layer } = module;
  if (layer >= shape.layers.length) throw fail(`expected a layer below ${shape.layers.length}, which the model has,`);
  if (config.layers && !config.layers.includes(layer))
    throw fail(
      `expected layers [${config.layers.join(", ")}] alone (layers_to_transform), found one of layer ${layer}`,
    );
  const { routed, experts } = shape.layers[layer];
  const dense = "expert" in module && module.expert === "dense";
  const mixed = module.role === "gate" || module.role === "experts" || ("expert" in module && !dense);
  if (routed ? dense : mixed)
    throw fail(
      `the model has ${routed ? `${experts} experts` : "one feed-forward block"} in each layer, found another`,
    );
  if ("expert" in module && module.expert !== "dense" && module.expert >= experts)
    throw fail(`expected an expert below ${experts}, which the model has,`);
}

function placeOf(module: Exclude<Module, { role: "experts" }>): Place {
  const { role } = module;
  const expert = "expert" in module && module.expert !== "dense" ? module.expert : 0;
  return { role, layer: "layer" in module ? module.layer : 0, expert };
}

/** Rows and columns of a matrix of the model. */
export function matrixShape(role: Role, layer: LayerShape, target: AdapterTarget): [rows: number, cols: number] {
  const { hidden, vocab } = target.shape;
  const { heads, kv_heads, head_dim, intermediate, experts } = layer;
  switch (role) {
    case "q_proj":
      return [heads * head_dim, hidden];
    case "k_proj":
    case "v_proj":
      return [kv_heads * head_dim, hidden];
    case "o_proj":
      return [hidden, heads * head_dim];
    case "gate":
      return [experts, hidden];
    case "w1":
    case "w3":
      return [intermediate, hidden];
    case "w2":
      return [hidden, intermediate];
    case "embed_tokens":
      return [vocab, hidden];
    case "head":
      return [target.head_size, hidden];
  }
}

const wholeOf = (tensor: TensorRef): Factor => {
  const [rows, cols] = tensor.shape;
  return { tensor, rows, cols, first_row: 0, first_col: 0, col_step: 1, transposed: false };
};

function replacementOf(module: Module, weight: TensorRef, target: AdapterTarget, fail: Fail): Replacement[] {
  if (module.role !== "embed_tokens" && module.role !== "head")
    throw fail("expected A and B, found a whole matrix, which this version takes for an embedding or a head alone,");
  expectShape(weight, matrixShape(module.role, target.shape.layers[0], target), fail);
  return [{ ...placeOf(module), weight: wholeOf(weight) }];
}

/** A and B of one matrix. An embedding's are A (rank, vocab) and B (hidden, rank): its matrix is their transpose. */
function bindMatrix(
  name: string,
  place: Place,
  a: TensorRef,
  b: TensorRef,
  config: AdapterConfig,
  target: AdapterTarget,
  fail: Fail,
): LowRank {
  const embedding = place.role === "embed_tokens";
  const shape = matrixShape(place.role, target.shape.layers[place.layer], target);
  const [rows, cols] = embedding ? shape.toReversed() : shape;
  const rank = rankOf(a, 1, name, config, fail);
  expectShape(a, [rank, cols], fail);
  expectShape(b, [rows, rank], fail);
  const [left, right] = embedding ? [transpose(wholeOf(a)), transpose(wholeOf(b))] : [wholeOf(b), wholeOf(a)];
  return { ...place, rank, scale: scaleOf(config, name, rank), a: right, b: left };
}

/**
 * All experts of a layer in one pair: rows of A are expert by expert, columns of B rank by rank. Which matrices they are is
 * told by the shapes: w2's, or those of w1 above w3.
 */
function bindExperts(
  layer: number,
  a: TensorRef,
  b: TensorRef,
  config: AdapterConfig,
  { experts, intermediate }: LayerShape,
  { hidden }: ModelShape,
  fail: Fail,
): LowRank[] {
  const down = a.shape[1] === intermediate && b.shape[0] === hidden;
  const name = `model.layers.${layer}.mlp.experts.${down ? "down_proj" : "gate_up_proj"}`;
  const rank = rankOf(a, experts, name, config, fail);
  expectShape(a, [experts * rank, down ? intermediate : hidden], fail);
  expectShape(b, [down ? hidden : 2 * intermediate, experts * rank], fail);
  const scale = scaleOf(config, name, rank);
  const roles = down ? (["w2"] as const) : (["w1", "w3"] as const);
  const rows = down ? hidden : intermediate;
  return Array.from({ length: experts }, (_, expert) =>
    roles.map((role, half) => ({
      role,
      layer,
      expert,
      rank,
      scale,
      a: { ...wholeOf(a), rows: rank, first_row: expert * rank },
      b: { ...wholeOf(b), rows, cols: rank, first_row: half * rows, first_col: expert, col_step: experts },
    })),
  ).flat();
}

/** Parameters that were named as such have `.weight` behind their names. */
const names = (name: string): readonly string[] => [name, `${name}.weight`];

function rankOf(a: TensorRef, parts: number, name: string, config: AdapterConfig, fail: Fail): number {
  const rank = a.shape[0] / parts;
  if (a.shape.length !== 2 || !Number.isInteger(rank) || rank < 1 || rank > MOST_RANK)
    throw fail(`expected A of ${parts > 1 ? `${parts} times ` : ""}1 to ${MOST_RANK} rows, found ${describe(a)}`);
  const expected = names(name).map((each) => config.rank(each));
  if (!expected.includes(rank)) throw fail(`expected rank ${expected[0]} by r and rank_pattern, found ${describe(a)}`);
  return rank;
}

function scaleOf(config: AdapterConfig, name: string, rank: number): number {
  const [plain, parameter] = names(name).map((each) => config.scale(each, rank));
  // What a pattern says of either name differs from what holds for all.
  return plain === config.scale("", rank) ? parameter : plain;
}

const describe = ({ name, format, shape, file }: TensorRef): string =>
  `${showName(name)}, ${format.name} [${shape.join(", ")}], in ${fileName(file.path)},`;

function expectShape(tensor: TensorRef, expected: readonly number[], fail: Fail): void {
  const { shape } = tensor;
  if (shape.length !== expected.length || expected.some((n, i) => n !== shape[i]))
    throw fail(`expected [${expected.join(", ")}] for this model, found ${describe(tensor)}`);
}
