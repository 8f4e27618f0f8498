// The smallest Mixtral with one matrix in bitsandbytes' 4 bits, its scales quantized, and one in its int8: made here, tensor by
// tensor, so that tests can spoil each.
import { safetensorsFile, smallConfig, smallShapes } from "./safetensors.ts";

export interface SmallTensor {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

const moe = "model.layers.0.block_sparse_moe";
/** [3, 4]: twelve codes, in six bytes and a block. */
export const nf4 = `${moe}.experts.0.w1`;
/** [4, 4]. */
export const int8 = "model.layers.0.self_attn.q_proj";

export const bnbConfig = {
  ...smallConfig,
  quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
};

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
export const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const codes = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

export const state = {
  quant_type: "nf4",
  blocksize: 64,
  dtype: "bfloat16",
  shape: [3, 4],
  nested_blocksize: 256,
  nested_dtype: "float32",
  nested_offset: 0.5,
};
export const stateName = `${nf4}.weight.quant_state.bitsandbytes__nf4`;

export function bnbTensors(): Record<string, SmallTensor> {
  const tensors: Record<string, SmallTensor> = {};
  for (const [name, shape] of Object.entries(smallShapes())) {
    const size = shape.reduce((a, b) => a * b);
    const values = Float32Array.from({ length: size }, (_, i) => ((i * 37) % 21) / 10 - 1);
    tensors[name] = { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
  }
  const bytes = text(state);
  return {
    ...tensors,
    [`${nf4}.weight`]: { dtype: "U8", shape: [6, 1], bytes: Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc) },
    [`${nf4}.weight.absmax`]: { dtype: "U8", shape: [1], bytes: Uint8Array.of(200) },
    [`${nf4}.weight.quant_map`]: { dtype: "F32", shape: [16], bytes: floats(...codes) },
    [`${nf4}.weight.nested_absmax`]: { dtype: "F32", shape: [1], bytes: floats(0.25) },
    [`${nf4}.weight.nested_quant_map`]: {
      dtype: "F32",
      shape: [256],
      bytes: floats(...Array.from({ length: 256 }, (_, i) => i / 128 - 1)),
    },
    [stateName]: { dtype: "U8", shape: [bytes.length], bytes },
    [`${int8}.weight`]: { dtype: "I8", shape: [4, 4], bytes: new Uint8Array(16).fill(100) },
    [`${int8}.SCB`]: { dtype: "F32", shape: [4], bytes: floats(1, 2, 0.5, 1) },
    [`${int8}.weight_format`]: { dtype: "U8", shape: [], bytes: Uint8Array.of(0) },
  };
}

export function bnbFile(tensors: Record<string, SmallTensor>): Uint8Array {
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const data = new Uint8Array(at);
  at = 0;
  for (const { bytes } of Object.values(tensors)) {
    data.set(bytes, at);
    at += bytes.length;
  }
  return safetensorsFile(header, data);
}
