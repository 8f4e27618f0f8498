// Files that are dropped anywhere on the page.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { notify } from "../state/view.ts";
import { droppedFiles, open } from "./files.tsx";
import { Icon } from "./icons.tsx";

const hasFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes("Files") ?? false;

export function Drop() {
  const over = useSignal(false);
  useEffect(() => {
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over.value = true;
    };
    const leave = ({ relatedTarget }: DragEvent) => {
      if (relatedTarget === null) over.value = false;
    };
    const drop = async (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over.value = false;
      const files = await droppedFiles(event.dataTransfer!).catch(() => []);
      if (!open(files)) notify("There is nothing in what was dropped that could be a model.", { bad: true });
    };
    document.addEventListener("dragenter", enter);
    document.addEventListener("dragover", enter);
    document.addEventListener("dragleave", leave);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragenter", enter);
      document.removeEventListener("dragover", enter);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("drop", drop);
    };
  }, []);
  return over.value ? (
    <div class="drop" aria-hidden="true">
      <div>
        <Icon name="file" size={40} />
        <p>Drop a GGUF file, or a model’s folder</p>
      </div>
    </div>
  ) : null;
}
