// tramontane completion SHELL: a script that completes commands and flags, made from what the program knows.
import { Argument, Command, type Option } from "commander";
import { write } from "./io.ts";

const shells = { bash, zsh, fish };

export function completionCommand(program: Command): Command {
  return new Command("completion")
    .description("print a script by which a shell completes commands and flags")
    .addArgument(new Argument("<shell>", "whose script").choices(Object.keys(shells)))
    .addHelpText(
      "after",
      `
  bash   source <(tramontane completion bash)      in ~/.bashrc
  zsh    source <(tramontane completion zsh)       in ~/.zshrc, behind compinit
  fish   tramontane completion fish | source       in ~/.config/fish/config.fish`,
    )
    .action((shell: keyof typeof shells) => write(shells[shell](program)));
}

/** The flags of a command that can be written, without help's. */
const flagsOf = (command: Command): string[] =>
  optionsOf(command).flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined));

const optionsOf = (command: Command): readonly Option[] => command.options.filter(({ hidden }) => !hidden);

/** Flags with a few known values. */
const choices = (command: Command): readonly Option[] => optionsOf(command).filter(({ argChoices }) => argChoices);

function bash(program: Command): string {
  const cases = program.commands.map((command) => {
    const values = choices(command).map(
      ({ short, long, argChoices }) =>
        `      ${[short, long].filter(Boolean).join("|")}) COMPREPLY=($(compgen -W "${argChoices!.join(" ")}" -- "$word")); return ;;\n`,
    );
    const before = values.length > 0 ? `      case "$before" in\n  ${values.join("  ")}      esac\n` : "";
    return `    ${command.name()})\n${before}      flags="${flagsOf(command).join(" ")} --help" ;;\n`;
  });
  const names = program.commands.map((command) => command.name()).join(" ");
  return `_tramontane() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names} --help --version" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("")}  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) compopt -o default 2>/dev/null; COMPREPLY=() ;;
  esac
}
complete -F _tramontane tramontane
`;
}

/** Text within single quotes, for zsh and fish. */
const quoted = (text: string): string => text.replaceAll("'", "'\\''");

function zsh(program: Command): string {
  const cases = program.commands.map((command) => {
    const lines = optionsOf(command).flatMap((option) => {
      const { short, long, required, optional, description, argChoices } = option;
      const text = quoted(description.replace(/[[\]:\\]/g, "\\$&"));
      const value = argChoices ? `:value:(${argChoices.join(" ")})` : required || optional ? ":value:_files" : "";
      return [short, long].filter((flag) => flag !== undefined).map((flag) => `'*${flag}[${text}]${value}'`);
    });
    return `    ${command.name()}) _arguments ${[...lines, "'*:file:_files'"].join(" \\\n      ")} ;;\n`;
  });
  const names = program.commands.map(
    (command) => `'${command.name()}:${quoted(command.description().replaceAll(":", "\\:"))}'`,
  );
  return `#compdef tramontane
_tramontane() {
  local -a commands=(${names.join("\n    ")})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join("")}  esac
}
compdef _tramontane tramontane
`;
}

function fish(program: Command): string {
  const names = program.commands.map((command) => command.name());
  const lines = ["complete -c tramontane -n __fish_use_subcommand -f"];
  for (const command of program.commands) {
    lines.push(
      `complete -c tramontane -n __fish_use_subcommand -a ${command.name()} -d '${quoted(command.description())}'`,
    );
    for (const { short, long, required, description, argChoices } of optionsOf(command)) {
      const flags = [short, long]
        .filter((flag) => flag !== undefined)
        .map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
      const value = argChoices ? ` -x -a '${argChoices.join(" ")}'` : required ? " -r" : "";
      lines.push(
        `complete -c tramontane -n '__fish_seen_subcommand_from ${command.name()}' ${flags.join(" ")}${value} -d '${quoted(description)}'`,
      );
    }
  }
  return `# Commands: ${names.join(" ")}\n${lines.join("\n")}\n`;
}
