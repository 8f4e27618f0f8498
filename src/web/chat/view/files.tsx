// Files of the user's: picked, of a folder, dropped; and files for the user.
import { load } from "../state/model.ts";
import { panel } from "../state/view.ts";

/** What a model may be made of. */
export const MODEL_FILES = ".gguf,.safetensors,.json,.model,.jinja,.v3";

/** Files that belong to a checkpoint, of what a folder holds. */
const belongs = ({ name }: File): boolean => /\.(gguf|safetensors|json|model|jinja|v\d+)$/i.test(name);

/** Loads what was picked or dropped. @returns whether there was something */
export function open(files: readonly File[]): boolean {
  const all = files.length > 1 ? files.filter(belongs) : files;
  if (all.length === 0) return false;
  panel.value = undefined;
  void load({ kind: "files", files: all });
  return true;
}

/** The input that the labels “Open files” stand for. */
export const FileInput = () => (
  <input
    id="model-files"
    class="unseen"
    type="file"
    multiple
    tabIndex={-1}
    accept={MODEL_FILES}
    aria-label="Model files"
    onChange={({ currentTarget }) => {
      open([...(currentTarget.files ?? [])]);
      currentTarget.value = "";
    }}
  />
);

/** Asks for files. @returns none where the user thinks better of it */
export function pickFiles({ accept = "", folder = false }: { accept?: string; folder?: boolean }): Promise<File[]> {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", accept, webkitdirectory: folder, multiple: folder });
  return new Promise((resolve) => {
    input.addEventListener("change", () => resolve([...(input.files ?? [])]));
    input.addEventListener("cancel", () => resolve([]));
    input.click();
  });
}

export function saveText(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** All files of what was dropped, folders' among them. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  // Entries are there only until the event is over, so they are all taken first.
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) return [...transfer.files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile)
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  // It gives at most a hundred at once.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return files;
    for (const one of some) if (one.isFile) files.push(...(await filesIn(one)));
  }
}
