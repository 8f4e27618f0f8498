// What ends a turn of a conversation, beside what the checkpoint says.
import { endsByText } from "../checkpoint/gguf_special_tokens.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/**
 * What ends a turn: beside the model's ends, the tokenizer's end of sequence and what ends turns in the formats of chats,
 * by its text, as in llama.cpp. Fine-tunes change the template and leave generation_config.json as it was.
 */
export function turnEnds({ config, generation_config }: PreTrainedModel, tokenizer: Tokenizer): number[] {
  const ends = [generation_config.eos_token_id ?? config.eos_token_id ?? []].flat();
  const idOf = (text: string): number | undefined => {
    const id = tokenizer.convert_tokens_to_ids(text);
    return id !== undefined && tokenizer.convert_ids_to_tokens(id) === text ? id : undefined;
  };
  return [...new Set([...ends, ...endsByText(idOf, tokenizer.eos_token_id)])];
}
