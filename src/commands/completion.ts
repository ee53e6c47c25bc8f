import { Argument, type Command, Option } from "commander";

/** Prints a script; what it completes comes from the commands themselves, so it can't fall behind them. */
export function completion(parent: Command): void {
  parent
    .command("completion")
    .summary("print a shell completion script")
    .description('Prints a completion script. For bash: eval "$(holdfast completion bash)" in ~/.bashrc.')
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(shells)))
    .action((shell: keyof typeof shells) => {
      process.stdout.write(shells[shell](wordsOf(parent)));
    });
}

const shells = { bash, zsh, fish };

interface Words {
  /** As `volume create`; empty for holdfast itself. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly text: string }[];
  /** The values of an option, by its name. */
  readonly choices: Readonly<Record<string, readonly string[]>>;
  /** The options that take any value, as a file: the shell completes it by itself. */
  readonly valued: readonly string[];
}

function wordsOf(command: Command, path = ""): Words[] {
  const commands = command.commands.map((child) => ({
    word: child.name(),
    text: child.summary() || child.description(),
  }));
  const options = [...command.options, new Option("--help", "print the help")];
  const values = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const flags = options.flatMap((option) => (option.long ? [{ word: option.long, text: option.description }] : []));
  const choices = Object.fromEntries(
    options.flatMap((option) => (option.long && option.argChoices ? [[option.long, option.argChoices]] : [])),
  );
  const valued = options.flatMap(({ long, required }) => (long && required && !choices[long] ? [long] : []));
  const below = command.commands.flatMap((child) => wordsOf(child, `${path} ${child.name()}`.trim()));
  return [
    { path, words: [...commands, ...values.map((word) => ({ word, text: "" })), ...flags], choices, valued },
    ...below,
  ];
}

function bash(all: readonly Words[]): string {
  const cases = all.flatMap(({ path, choices, valued }) => [
    ...Object.entries(choices).map(([flag, values]) => `    "${path} ${flag}") words="${values.join(" ")}" ;;`),
    ...valued.map((flag) => `    "${path} ${flag}") return ;;`),
  ]);
  const lists = all.map(({ path, words }) => `    "${path}") words="${words.map(({ word }) => word).join(" ")}" ;;`);
  return `# bash completion for holdfast
_holdfast() {
  COMPREPLY=()
  local word path="" words="" current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
${all
  .filter(({ path }) => path !== "")
  .map(({ path }) => `      "${path.includes(" ") ? path : ` ${path}`}") path="${path}" ;;`)
  .join("\n")}
    esac
  done
  case "$path $previous" in
${cases.join("\n")}
  esac
  if [ -z "$words" ]; then case "$path" in
${lists.join("\n")}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _holdfast holdfast
`;
}

function zsh(all: readonly Words[]): string {
  return `#compdef holdfast
autoload -U +X bashcompinit && bashcompinit
${bash(all)}`;
}

function fish(all: readonly Words[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "\\'")}'`;
  const lines = all.flatMap(({ path, words, choices }) => {
    const above = path === "" ? [] : path.split(" ");
    const here = above.map((word) => `__fish_seen_subcommand_from ${word}`);
    const deeper = words.filter(({ word }) => !word.startsWith("-")).map(({ word }) => word);
    if (deeper.length > 0) here.push(`not __fish_seen_subcommand_from ${deeper.join(" ")}`);
    const when = here.length > 0 ? ` -n ${quoted(here.join("; and "))}` : "";
    return words.map(({ word, text }) =>
      word.startsWith("--")
        ? `complete -c holdfast${when} -l ${word.slice(2)} -d ${quoted(text)}${choices[word] ? ` -x -a ${quoted(choices[word].join(" "))}` : ""}`
        : `complete -c holdfast -f${when} -a ${word} -d ${quoted(text)}`,
    );
  });
  return `# fish completion for holdfast\n${lines.join("\n")}\n`;
}
