// A button that is an icon, with its name for those who do not see it, and as a tip.
import type { Ref } from "preact";
import { Icon, type IconName } from "./icons.tsx";

export interface IconButtonProps {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: () => void;
  readonly size?: number | undefined;
  readonly kind?: string | undefined;
  readonly expanded?: boolean | undefined;
  readonly pressed?: boolean | undefined;
  readonly disabled?: boolean | undefined;
  readonly buttonRef?: Ref<HTMLButtonElement> | undefined;
}

export const IconButton = (props: IconButtonProps) => (
  <button
    type="button"
    class={`icon-button ${props.kind ?? ""}`}
    aria-label={props.label}
    title={props.label}
    aria-expanded={props.expanded}
    aria-pressed={props.pressed}
    disabled={props.disabled}
    onClick={props.onClick}
    ref={props.buttonRef}
  >
    <Icon name={props.icon} size={props.size ?? 20} />
  </button>
);
