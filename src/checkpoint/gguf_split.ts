// A GGUF checkpoint: one file, or a split set NAME-00001-of-00003.gguf, … whose first part has the model's metadata.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { TensorRef } from "./checkpoint.ts";
import { type GGUFHeader, readGGUF } from "./gguf.ts";
import { hasFile, type Opener, type Repository } from "./repository.ts";

const partName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;
/** Every part is an open file. */
const mostParts = 1000;

/** The metadata of the first part, and the tensors of all. */
export interface GGUFSet {
  readonly header: GGUFHeader;
  readonly tensors: ReadonlyMap<string, TensorRef>;
}

/** The names that can be opened as a GGUF checkpoint: single files and first parts. */
export const ggufCheckpoints = (names: readonly string[]): string[] =>
  names.filter((name) => name.endsWith(".gguf") && Number(partName.exec(name)?.[2] ?? 1) === 1);

/** The name of a split set's first part, by any part's; other names as they are. */
export const firstPart = (name: string): string => name.replace(partName, "$1-00001-of-$3.gguf");

/** The names of all parts of a split set, by any part's; of another file its own. */
export function allParts(name: string): string[] {
  const [, stem, , count] = partName.exec(name) ?? [];
  if (count === undefined || Number(count) < 1 || Number(count) > mostParts) return [name];
  return Array.from(
    { length: Number(count) },
    (_, no) => `${stem}-${String(no + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
}

/**
 * Opens a GGUF file, and with any part of a split set all its parts.
 * @param open - opens a file, which the caller closes if this throws
 * @throws {@link CheckpointError} when a part is missing, or says other than its name or the other parts
 */
export async function readGGUFSet(repository: Repository, name: string, open: Opener): Promise<GGUFSet> {
  const named = partName.exec(name);
  const count = named ? Number(named[3]) : 1;
  if (count < 1 || count > mostParts || (named && !(Number(named[2]) >= 1 && Number(named[2]) <= count)))
    throw new CheckpointError(
      `${repository.where(name)}: expected a part of 1 to at most ${mostParts} in the name of a split file`,
    );
  const tensors = new Map<string, TensorRef>();
  const headers: GGUFHeader[] = [];
  for (const [no, part] of allParts(name).entries()) {
    const path = repository.where(part);
    if (part !== name && !(await hasFile(repository, part)))
      throw new CheckpointError(`${path}: missing; expected ${count} parts beside ${name}`);
    const header = await readGGUF(await open(part));
    checkPart(header, no, count, path);
    for (const tensor of header.tensors) {
      const other = tensors.get(tensor.name);
      if (other)
        throw new CheckpointError(
          `${showName(tensor.name)} stands twice: in ${fileName(other.file.path)} and in ${part}`,
        );
      tensors.set(tensor.name, tensor);
    }
    headers.push(header);
  }
  headers.forEach((header, no) => {
    const promised = header.metadata.get("split.tensors.count") ?? tensors.size;
    if (promised !== tensors.size)
      throw new CheckpointError(
        `split.tensors.count: expected the ${tensors.size} tensors that ${count} parts have, found ${show(promised)} in part ${no + 1} of ${name}`,
      );
  });
  return { header: headers[0], tensors };
}

function checkPart({ metadata }: GGUFHeader, no: number, count: number, path: string): void {
  const check = (key: string, expected: number) => {
    // A set of one file need not say that it is one.
    const found = metadata.get(key) ?? (count === 1 ? expected : undefined);
    if (found !== expected)
      throw new CheckpointError(`${key}: expected ${expected} by the file's name, found ${show(found)} in ${path}`);
  };
  check("split.count", count);
  check("split.no", no);
}
