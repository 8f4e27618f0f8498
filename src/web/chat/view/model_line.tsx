// In one line: which model answers, or how far it is.

import { bytes, progressLine } from "../progress.ts";
import { info, model, modelName } from "../state/model.ts";
import { togglePanel } from "../state/view.ts";

export function ModelLine() {
  const now = model.value;
  if (now.is === "loading") {
    const { progress, cancel } = now;
    const { loaded, total } = progress;
    return (
      <div class="model-line loading">
        <progress
          aria-label={`Loading ${modelName.value}`}
          max={total > 0 ? total : undefined}
          value={total > 0 ? loaded : undefined}
        />
        <span>
          {progress.doing === "download" ? "Fetching" : "Loading"} {modelName.value} {progressLine(progress)}
        </span>
        <button type="button" class="link" onClick={cancel}>
          Cancel
        </button>
      </div>
    );
  }
  const open = () => togglePanel("models");
  if (now.is === "ready")
    return (
      <div class="model-line">
        <button type="button" class="link" onClick={open}>
          {modelName.value}
        </button>
        {info.value && (
          <span>
            {bytes(info.value.private_bytes + info.value.cache_bytes)} of memory, {threads(info.value.threads)}
          </span>
        )}
      </div>
    );
  return (
    <div class="model-line">
      <button type="button" class="link" onClick={open}>
        {now.is === "failed" ? "The model could not be started" : "No model is loaded"}
      </button>
    </div>
  );
}

const threads = (count: number): string => (count === 1 ? "1 thread" : `${count} threads`);
