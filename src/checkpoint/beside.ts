// What stands beside the weights in a folder, and goes along when the weights are written anew: the tokenizer's files, chat
// templates, settings of generation, the licence.
import { saveFile } from "../platform/files.ts";
import type { Files } from "../platform/platform.ts";
import type { Repository } from "./repository.ts";

const beside =
  /^(tokenizer(\.json|_config\.json|\.model(\.v\d\w*)?)|tekken\.json|vocab\.json|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template\.(json|jinja)|generation_config\.json|(licen[cs]e|notice|use_policy)(\.\w+)?)$/i;

/** Whether a file goes along, by its name. */
export const besideWeights = (name: string): boolean => beside.test(name);

/** Bytes that are copied at once. */
const PIECE_BYTES = 1 << 22;

/** The files that go along. Of what stands beside a file that was named none: it may be another model's. */
export async function filesBeside(repository: Repository): Promise<string[]> {
  if (repository.file !== undefined) return [];
  return (await repository.list()).map(({ name }) => name).filter(besideWeights);
}

/** Copies some of a repository's files into a folder. @throws the signal's reason when aborted */
export async function copyBeside(
  files: Pick<Files, "create" | "join">,
  repository: Repository,
  names: readonly string[],
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const name of names) {
    const file = await repository.open(name);
    try {
      await saveFile(files, files.join(folder, name), async (sink) => {
        for (let at = 0; at < file.size; at += PIECE_BYTES) {
          signal?.throwIfAborted();
          const piece = new Uint8Array(Math.min(PIECE_BYTES, file.size - at));
          await file.read(at, piece);
          await sink.write(piece);
        }
      });
    } finally {
      await file.close();
    }
  }
}
