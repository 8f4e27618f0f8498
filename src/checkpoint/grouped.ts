// Checkpoints of GPTQ, AWQ and compressed-tensors: of each quantized matrix its codes, and of each group of a row's inputs a
// scale and a zero: value = scale · (code − zero). Which matrices are quantized, the tensors say; how, config.json.
// Source: GPTQModel, AutoAWQ, compressed-tensors; fixtures/gptq_awq has their formulae.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type CodeGroups, Entries, MOST_COLS, Orders, packedMatrix, typeOf } from "./grouped_matrix.ts";
import type { PackedMatrix } from "./packed.ts";
import type { SafetensorsEntry } from "./safetensors.ts";

type Settings = Readonly<Record<string, unknown>>;

/** Reads the quantized matrices of a checkpoint, by the names that they would have. */
export type PackedReader = (entries: ReadonlyMap<string, SafetensorsEntry>) => Promise<Map<string, PackedMatrix>>;

const fail = (where: string, name: string, expected: string, found: unknown) =>
  new CheckpointError(`${where}: quantization_config.${name}: expected ${expected}, found ${show(found)}`);

/** Settings of one value that this version reads. */
function only(settings: Settings, where: string, expected: Readonly<Record<string, readonly unknown[]>>): void {
  for (const [name, values] of Object.entries(expected))
    if (settings[name] != null && !values.includes(settings[name]))
      throw fail(where, name, values.map((value) => JSON.stringify(value)).join(" or "), settings[name]);
}

/**
 * @param where - the file that the settings are in, for messages
 * @throws {@link CheckpointError} when a setting is one that this version does not know
 */
export function gptqReader(settings: Settings, where: string): PackedReader {
  const { bits, desc_act = false, dynamic, group_size } = settings;
  const version = settings.checkpoint_format ?? settings.format ?? "gptq";
  if (typeof bits !== "number" || ![2, 3, 4, 8].includes(bits)) throw fail(where, "bits", "2, 3, 4 or 8", bits);
  if (version !== "gptq" && version !== "gptq_v2")
    throw fail(where, "checkpoint_format", '"gptq" or "gptq_v2"', version);
  only(settings, where, { is_marlin_format: [false], pack_dtype: ["int32"], lm_head: [false] });
  if (dynamic && Object.keys(dynamic).length) throw fail(where, "dynamic", "one setting for all modules", dynamic);
  const size = groupSize(group_size, where);
  return readAll(where, ".qweight", async (entries, module) => {
    const codes = entries.need(`${module}.qweight`, "I32", [null, null]);
    const [words, out] = codes.shape;
    const cols = (words * 32) / bits;
    if (!Number.isInteger(cols) || (out * bits) % 32 !== 0)
      throw new CheckpointError(
        `${showName(codes.name)}: expected whole words of ${bits} bits for all inputs and outputs, found ${typeOf(codes)} in ${fileName(codes.file.path)}`,
      );
    const scales = entries.scales(`${module}.scales`, [null, out]);
    const [groups] = scales.shape;
    const zeros = entries.need(`${module}.qzeros`, "I32", [groups, (out * bits) / 32]);
    return {
      codes,
      shape: [out, cols],
      layout: "gptq",
      bits,
      groups,
      group_size: size,
      scales,
      zeros,
      add: version === "gptq" ? 1 : 0,
      index: entries.optional(`${module}.g_idx`, "I32", [cols]),
      in_order: !desc_act,
    };
  });
}

/** @throws {@link CheckpointError} as above */
export function awqReader(settings: Settings, where: string): PackedReader {
  const bits = settings.bits ?? settings.w_bit;
  const version = settings.version ?? settings.checkpoint_format ?? settings.format ?? "gemm";
  if (bits !== 4) throw fail(where, "bits", "4", bits);
  if (String(version).toLowerCase() !== "gemm") throw fail(where, "version", '"gemm"', version);
  const group_size = groupSize(settings.group_size ?? settings.q_group_size, where);
  return readAll(where, ".qweight", async (entries, module) => {
    const codes = entries.need(`${module}.qweight`, "I32", [null, null]);
    const [cols, words] = codes.shape;
    const scales = entries.scales(`${module}.scales`, [null, words * 8]);
    const [groups] = scales.shape;
    const zeros = entries.need(`${module}.qzeros`, "I32", [groups, words]);
    return { codes, shape: [words * 8, cols], layout: "awq", bits, groups, group_size, scales, zeros, add: 0 };
  });
}

/** How some of the modules' weights are quantized. */
interface Scheme {
  readonly num_bits: number;
  readonly group_size: number;
  readonly symmetric: boolean;
  readonly reordered: boolean;
}

/** @throws {@link CheckpointError} as above */
export function compressedReader(settings: Settings, where: string): PackedReader {
  const { format, transform_config, sparsity_config } = settings;
  if (format !== "pack-quantized" && format !== "int-quantized")
    throw fail(where, "format", '"pack-quantized" or "int-quantized"', format);
  if (transform_config && Object.keys(transform_config).length)
    throw fail(where, "transform_config", "none, for weights that stand for themselves", transform_config);
  const sparsity = (sparsity_config as Settings | undefined)?.format ?? "dense";
  if (sparsity !== "dense") throw fail(where, "sparsity_config.format", '"dense"', sparsity);
  const schemes = schemesOf(settings, format, where);
  const fitting = (groups: CodeGroups, bits: number): CodeGroups => {
    const [, cols] = groups.shape;
    const fits = schemes.some(
      ({ num_bits, group_size, symmetric, reordered }) =>
        num_bits === bits &&
        (group_size === -1 ? groups.groups === 1 : groups.groups === Math.ceil(cols / group_size)) &&
        symmetric === !groups.zeros &&
        (groups.index !== undefined || !reordered),
    );
    if (fits) return groups;
    const found = `${bits} bits, ${groups.groups} groups, ${groups.zeros ? "zeros" : "no zeros"}${groups.index ? ", an index" : ""}`;
    throw new CheckpointError(
      `${showName(groups.codes.name)}: expected what quantization_config.config_groups of ${where} tell (${show(schemes)}), found ${found} in ${fileName(groups.codes.file.path)}`,
    );
  };
  return format === "int-quantized"
    ? readAll(where, ".weight_scale", async (entries, module) => fitting(int8(entries, module), 8))
    : readAll(where, ".weight_packed", async (entries, module) => {
        const groups = await packedRows(entries, module);
        return fitting(groups, groups.bits);
      });
}

function schemesOf({ config_groups }: Settings, format: string, where: string): Scheme[] {
  const groups = Object.entries((config_groups as object | null | undefined) ?? {});
  if (groups.length === 0) throw fail(where, "config_groups", "at least one group", config_groups);
  return groups.map(([name, group]: [string, Settings | null]): Scheme => {
    const at = `config_groups.${name}`;
    const weights = group?.weights as Settings | null | undefined;
    if (weights == null || typeof weights !== "object") throw fail(where, `${at}.weights`, "settings", weights);
    if ((group!.format ?? format) !== format) throw fail(where, `${at}.format`, JSON.stringify(format), group!.format);
    const { num_bits, type = "int", strategy, group_size, symmetric = true, actorder } = weights;
    const widths = format === "int-quantized" ? [8] : [2, 4, 8];
    if (type !== "int") throw fail(where, `${at}.weights.type`, '"int"', type);
    if (!widths.includes(num_bits as number))
      throw fail(where, `${at}.weights.num_bits`, widths.join(" or "), num_bits);
    if (strategy !== "group" && strategy !== "channel")
      throw fail(where, `${at}.weights.strategy`, '"group" or "channel"', strategy);
    const size = strategy === "group" ? groupSize(group_size, where, `${at}.weights.group_size`) : -1;
    if (size === undefined) throw fail(where, `${at}.weights.group_size`, "a number of inputs", group_size);
    return { num_bits: num_bits as number, group_size: size, symmetric: !!symmetric, reordered: actorder === "group" };
  });
}

async function packedRows(entries: Entries, module: string): Promise<CodeGroups> {
  const codes = entries.need(`${module}.weight_packed`, "I32", [null, null]);
  const [out, words] = codes.shape;
  const size = entries.need(`${module}.weight_shape`, "I64", [2]);
  const [rows, n] = new BigInt64Array((await entries.read(size)).buffer);
  const cols = Number(n);
  const bits = (words * 32) / cols;
  if (Number(rows) !== out || ![2, 4, 8].includes(bits))
    throw new CheckpointError(
      `${showName(size.name)}: expected [${out}, inputs] with 2, 4 or 8 bits each, found [${rows}, ${n}] beside ${typeOf(codes)} in ${fileName(size.file.path)}`,
    );
  const scales = entries.scales(`${module}.weight_scale`, [out, null]);
  const [, groups] = scales.shape;
  const zeros = entries.optional(`${module}.weight_zero_point`, "I32", [Math.ceil((out * bits) / 32), groups]);
  return {
    codes,
    shape: [out, cols],
    layout: "rows",
    bits,
    groups,
    scales,
    zeros,
    // Codes and zeros are both stored without the sign: what that takes from the one it takes from the other.
    add: zeros ? 0 : 2 ** (bits - 1),
    index: entries.optional(`${module}.weight_g_idx`, "I32", [cols]),
  };
}

/** int8 as it is. */
function int8(entries: Entries, module: string): CodeGroups {
  const codes = entries.need(`${module}.weight`, "I8", [null, null]);
  const [out, cols] = codes.shape;
  const scales = entries.scales(`${module}.weight_scale`, [out, null]);
  if (entries.all.has(`${module}.weight_zero_point`))
    throw new CheckpointError(`${showName(module)}.weight_zero_point: expected symmetric codes, which have none`);
  return { codes, shape: [out, cols], layout: "int8", bits: 8, groups: scales.shape[1], scales, add: 128 };
}

function readAll(
  where: string,
  suffix: string,
  read: (entries: Entries, module: string) => Promise<CodeGroups>,
): PackedReader {
  return async (all) => {
    const entries = new Entries(all);
    const orders = new Orders(entries);
    const found = new Map<string, PackedMatrix>();
    for (const [name, { file }] of all) {
      if (!name.endsWith(suffix)) continue;
      const module = name.slice(0, -suffix.length);
      const matrix = `${module}.weight`;
      if (/^(lm_head|score|qa_outputs|(model\.)?embed_tokens)$/.test(module))
        throw new CheckpointError(
          `${showName(matrix)}: expected F32, F16 or BF16 of an embedding or a head, found codes (${name}) in ${fileName(file.path)}`,
        );
      const groups = await read(entries, module);
      if (all.has(matrix) && all.get(matrix) !== groups.codes)
        throw new CheckpointError(
          `${showName(matrix)}: expected it plain or as ${name}, found both in ${fileName(file.path)}`,
        );
      await entries.zeroBias(module);
      found.set(matrix, await packedMatrix(matrix, groups, orders));
    }
    if (found.size === 0)
      throw new CheckpointError(
        `${where}: quantization_config: expected quantized matrices, found no tensor …${suffix}`,
      );
    return found;
  };
}

/** -1: one for a whole row; undefined where it is not told. */
function groupSize(size: unknown, where: string, name = "group_size"): number | undefined {
  if (size == null) return undefined;
  if (typeof size === "number" && (size === -1 || (Number.isInteger(size) && size >= 8 && size <= MOST_COLS)))
    return size;
  throw fail(where, name, "-1 or a number of inputs", size);
}
