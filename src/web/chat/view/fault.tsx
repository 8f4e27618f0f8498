// What went wrong, in words, with what can be done.
import type { Fault } from "../state/faults.ts";
import { Icon } from "./icons.tsx";

interface Action {
  readonly label: string;
  readonly run: () => void;
}

export function FaultCard({ fault, action, other }: { fault: Fault; action?: Action; other?: Action }) {
  return (
    <div class="fault" role="alert">
      <Icon name="alert" />
      <div>
        <p class="fault-title">{fault.title}</p>
        <p class="fault-message">{fault.message}</p>
        <p>{fault.advice}</p>
        {(action || other) && (
          <div class="row">
            {action && (
              <button type="button" class="button primary" onClick={action.run}>
                {action.label}
              </button>
            )}
            {other && (
              <button type="button" class="button quiet" onClick={other.run}>
                {other.label}
              </button>
            )}
          </div>
        )}
      </div>
    </div>
  );
}
