// What stands where nothing was said yet: what this is, how it begins, and what can be asked.
import { send } from "../state/answering.ts";
import { load, model } from "../state/model.ts";
import { panel } from "../state/view.ts";
import { FaultCard } from "./fault.tsx";
import { Icon } from "./icons.tsx";

/** What the demo model knows about. */
const questions = ["What is pesto made of?", "What should I put on tacos?", "What is 4 plus 9?", "Tell me a story."];

export function Welcome() {
  const now = model.value;
  const demo = now.is === "none" || now.source.kind === "demo";
  return (
    <section class="welcome">
      <div class="mark">
        <Icon name="wind" size={44} />
      </div>
      <h2>Mixtral, in this tab</h2>
      <p class="lead">
        A mixture-of-experts model that runs on this computer’s processor. What you write does not leave it.
      </p>
      {now.is === "failed" && <ModelFault />}
      {demo && now.is !== "failed" && (
        <>
          <p class="hint">
            The demo model is small: it knows about condiments and little sums. Ask it something, or bring a real one.
          </p>
          <ul class="questions">
            {questions.map((question) => (
              <li key={question}>
                <button type="button" onClick={() => void send(question)}>
                  {question}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      {now.is !== "failed" && (
        <div class="row centre">
          {now.is === "none" && (
            <button type="button" class="button primary" onClick={() => void load({ kind: "demo" })}>
              Start the demo model
            </button>
          )}
          <button
            type="button"
            class="button quiet"
            onClick={() => {
              panel.value = "models";
            }}
          >
            <Icon name="models" size={18} /> Choose a model
          </button>
        </div>
      )}
    </section>
  );
}

/** Why the model is not there, and how it is started again. */
export function ModelFault() {
  const now = model.value;
  if (now.is !== "failed") return null;
  return (
    <FaultCard
      fault={now.fault}
      action={{ label: "Start again", run: () => void load(now.source) }}
      other={{
        label: "Choose another model",
        run: () => {
          panel.value = "models";
        },
      }}
    />
  );
}
