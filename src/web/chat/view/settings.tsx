// The system prompt and how tokens are chosen.
import { useSignal } from "@preact/signals";
import { current, setSystem } from "../state/conversations.ts";
import { type Field, fields, resetSampling, sampling, setSampling, settingFaults } from "../state/settings.ts";

export const SettingsPanel = () => (
  <>
    <section>
      <SystemPrompt key={current.value.id} />
    </section>
    <section>
      <h3>Sampling</h3>
      <p class="hint">What is empty is as the model’s files say.</p>
      <div class="fields">
        {fields.map((field) => (
          <SamplingField key={field.name} field={field} />
        ))}
      </div>
      <button type="button" class="button quiet" onClick={resetSampling}>
        Empty all
      </button>
    </section>
  </>
);

function SystemPrompt() {
  const text = useSignal(current.value.system);
  return (
    <>
      <label class="field">
        <span>System prompt</span>
        <textarea
          rows={4}
          value={text.value}
          aria-describedby="system-help"
          onInput={(event) => {
            text.value = event.currentTarget.value;
            void setSystem(text.value);
          }}
        />
      </label>
      <p class="hint" id="system-help">
        What the model is told before this chat, and before those that begin later.
      </p>
    </>
  );
}

function SamplingField({ field: { name, label, help, step, empty } }: { field: Field }) {
  const fault = settingFaults.value.get(name);
  const value = sampling.value[name];
  const id = `setting-${name}`;
  return (
    <div class="field setting">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="number"
        step="any"
        inputMode={step === 1 ? "numeric" : "decimal"}
        placeholder={empty}
        value={value ?? ""}
        aria-invalid={fault !== undefined}
        aria-describedby={`${id}-help`}
        onInput={({ currentTarget }) => setSampling(name, currentTarget.value)}
        onKeyDown={(event) => {
          // The field's own steps are of 1.
          if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
          event.preventDefault();
          const by = (event.key === "ArrowUp" ? 1 : -1) * step;
          setSampling(name, String(Math.max(0, Number(((value ?? 0) + by).toFixed(4)))));
        }}
      />
      <p class={fault ? "hint bad" : "hint"} id={`${id}-help`} role={fault ? "alert" : undefined}>
        {fault ?? help}
      </p>
    </div>
  );
}
