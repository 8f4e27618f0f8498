// Models: what is loaded and what it takes, what can be loaded, what is downloading, what is stored.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { bytes, progressLine } from "../progress.ts";
import {
  type Download,
  dismissDownload,
  download,
  downloads,
  refreshStored,
  removeStored,
  start,
  stored,
  storedFault,
} from "../state/downloads.ts";
import { info, load, model, modelName, shortName } from "../state/model.ts";
import { notify } from "../state/view.ts";
import { FaultCard } from "./fault.tsx";
import { open, pickFiles } from "./files.tsx";
import { Icon } from "./icons.tsx";
import { Confirm } from "./sidebar.tsx";
import { ModelFault } from "./welcome.tsx";

export function ModelsPanel() {
  useEffect(() => void refreshStored(), []);
  return (
    <>
      <Loaded />
      <Files />
      <Hub />
      <Stored />
    </>
  );
}

function Loaded() {
  const now = model.value;
  const facts = info.value;
  if (now.is === "failed") return <ModelFault />;
  return (
    <section>
      <h3>Loaded</h3>
      {now.is === "ready" ? (
        <>
          <p class="strong">{modelName.value}</p>
          {facts && (
            <dl class="facts">
              <Fact name="Weights" value={`${bytes(facts.weight_bytes)}, ${formatsOf(facts.formats)}`} />
              <Fact name="Memory" value={bytes(facts.private_bytes + facts.cache_bytes)} />
              <Fact name="Caches" value={`${bytes(facts.cache_bytes)} of ${bytes(facts.kv_bytes)}`} />
              <Fact name="Threads" value={`${facts.threads}, ${facts.simd === "relaxed" ? "relaxed SIMD" : "SIMD"}`} />
              {facts.experts && (
                <Fact
                  name="Experts"
                  value={`${bytes(facts.experts.resident_bytes)} of ${bytes(facts.experts.budget_bytes)} resident, ${hitRate(facts.experts)}`}
                />
              )}
              {facts.reason && <Fact name="Note" value={facts.reason} />}
            </dl>
          )}
        </>
      ) : (
        <p class="hint">{now.is === "loading" ? `${modelName.value} is loading.` : "Nothing."}</p>
      )}
      {!(now.is !== "none" && now.source.kind === "demo") && (
        <button type="button" class="button quiet" onClick={() => void load({ kind: "demo" })}>
          Start the demo model
        </button>
      )}
    </section>
  );
}

const Fact = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

/** The formats of most matrices. */
const formatsOf = (formats: Readonly<Record<string, number>>): string =>
  Object.entries(formats)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name]) => name)
    .join(", ");

function hitRate({ hits, misses }: { hits: number; misses: number }): string {
  const all = hits + misses;
  return all === 0 ? "none asked for yet" : `${Math.round((100 * hits) / all)} % there when asked for`;
}

function Files() {
  const folder = async () => {
    const files = await pickFiles({ folder: true });
    if (files.length > 0 && !open(files))
      notify("There is nothing in this folder that could be a model.", { bad: true });
  };
  return (
    <section>
      <h3>From this computer</h3>
      <p class="hint">A GGUF file, or the files of a folder. They are read where they are; nothing is copied.</p>
      <div class="row">
        <button
          type="button"
          class="button quiet"
          onClick={() => document.querySelector<HTMLInputElement>("#model-files")!.click()}
        >
          <Icon name="file" size={18} /> Open files
        </button>
        <button type="button" class="button quiet" onClick={() => void folder()}>
          <Icon name="folder" size={18} /> Open a folder
        </button>
      </div>
    </section>
  );
}

function Hub() {
  const name = useSignal("");
  return (
    <section>
      <h3>From Hugging Face, or a URL</h3>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (name.value.trim() === "") return;
          void download(name.value);
          name.value = "";
        }}
      >
        <label class="field">
          <span>Name or address</span>
          <input
            type="text"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            placeholder="owner/name:Q4_K_M"
            aria-describedby="hub-help"
            value={name.value}
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </label>
        <p class="hint" id="hub-help">
          <code>owner/name</code>, <code>owner/name:Q4_K_M</code>, or the address of a GGUF file. It is stored in this
          browser.
        </p>
        <button type="submit" class="button quiet">
          <Icon name="down" size={18} /> Download
        </button>
      </form>
      {downloads.value.size > 0 && (
        <ul class="downloads" aria-label="Downloads">
          {[...downloads.value.values()].map((one) => (
            <DownloadEntry key={one.name} download={one} />
          ))}
        </ul>
      )}
    </section>
  );
}

function DownloadEntry({ download: { name, progress, fault, cancel } }: { download: Download }) {
  const { loaded, total } = progress;
  if (fault)
    return (
      <li>
        <p class="model-name">{shortName(name)}</p>
        <FaultCard
          fault={fault}
          action={{ label: "Go on", run: () => void download(name) }}
          other={{ label: "Leave it", run: () => dismissDownload(name) }}
        />
      </li>
    );
  return (
    <li>
      <p class="model-name" title={name}>
        {shortName(name)}
      </p>
      <progress
        aria-label={`Downloading ${shortName(name)}`}
        max={total > 0 ? total : undefined}
        value={total > 0 ? loaded : undefined}
      />
      <div class="row spread">
        <span class="hint">{progressLine(progress) || "Asking the hub…"}</span>
        <button type="button" class="link" onClick={cancel}>
          Cancel download
        </button>
      </div>
    </li>
  );
}

function Stored() {
  const removing = useSignal<string | undefined>(undefined);
  const there = stored.value;
  return (
    <section>
      <h3>Stored in this browser</h3>
      {storedFault.value && <p class="hint">{storedFault.value.message}</p>}
      {there && there.models.length === 0 && <p class="hint">No model is stored.</p>}
      {there && there.models.length > 0 && (
        <ul class="stored">
          {there.models.map(({ name, bytes: size, complete }) => (
            <li key={name}>
              <div class="stored-name">
                <p class="model-name" title={name}>
                  {shortName(name)}
                </p>
                <p class="hint">
                  {bytes(size)}
                  {complete ? "" : ", not complete"}
                </p>
              </div>
              {complete ? (
                <button type="button" class="button quiet small" onClick={() => void start(name)}>
                  Load
                </button>
              ) : (
                !downloads.value.has(name) && (
                  <button type="button" class="button quiet small" onClick={() => void download(name)}>
                    Go on
                  </button>
                )
              )}
              <button
                type="button"
                class="button quiet small"
                aria-label={`Remove ${shortName(name)}`}
                onClick={() => {
                  removing.value = name;
                }}
              >
                <Icon name="trash" size={16} />
              </button>
            </li>
          ))}
        </ul>
      )}
      {there && (
        <p class="hint">
          {bytes(there.bytes)} used{there.quota === undefined ? "" : ` of ${bytes(there.quota)} that the browser gives`}
        </p>
      )}
      {removing.value !== undefined && (
        <Confirm
          text={`Remove ${shortName(removing.value)} from this browser?`}
          label="Remove"
          leave={(sure) => {
            const name = removing.value!;
            removing.value = undefined;
            if (sure) void removeStored(name);
          }}
        />
      )}
    </section>
  );
}
