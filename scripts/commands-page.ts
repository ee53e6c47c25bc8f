// Writes docs/reference/commands.md from the commands themselves.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, Option } from "commander";
import { program } from "../src/commands/program.ts";

export const commandsPage = join(import.meta.dirname, "../docs/reference/commands.md");

const head = `# Commands

Written by \`npm run generate\` from the commands; \`--help\` after any of them says the same.

\`bin/holdfast\` runs from any working directory and needs Node 24 or newer: the one that \`HOLDFAST_NODE\` names, else the
one that the npm packages brought, else the one on \`PATH\`.

| Exit code | |
|---|---|
| 0 | done |
| 1 | it failed: the driver's answer, a check of \`doctor\` or \`validate\`, or an error |
| 2 | a mistake on the command line or in the configuration; nothing was done |

Sizes are written as \`10Gi\`, \`1.5Gi\`, \`500M\` or plain bytes (Ki to Ei count in 1024s, k to E in 1000s), durations as
\`500ms\`, \`10s\`, \`2m\` or plain seconds. Errors go to stderr, with the gRPC code and what to do; with \`--output json\` as
\`{"error": {"rpc", "code", "message", "exit"}}\`.

\`volume\`, \`snapshot\`, \`info\` and \`probe\` speak to any CSI driver that listens at \`--csi-address\` (or \`CSI_ENDPOINT\`).
`;

/** The published text. */
export function commandsText(): string {
  return `${head}${sections(program(), "holdfast").join("")}`;
}

function sections(command: Command, path: string): string[] {
  const below = command.commands.flatMap((child) => sections(child, `${path} ${child.name()}`));
  if (command.commands.length > 0) return below;
  const words = command.registeredArguments.map((argument) => ` <${argument.name()}>`).join("");
  const rows = [
    ...command.registeredArguments.map(
      (argument) => `| \`<${argument.name()}>\` | ${cell(choice(argument.description, argument.argChoices))} |`,
    ),
    ...command.options.map((option) => `| \`${option.flags.replaceAll("|", "\\|")}\` | ${cell(described(option))} |`),
  ];
  const table = rows.length === 0 ? "" : `\n| | |\n|---|---|\n${rows.join("\n")}\n`;
  return [`\n## ${path}\n\n\`${path}${words}\`\n\n${command.description()}\n${table}`];
}

function described(option: Option): string {
  const parts = [choice(option.description, option.argChoices)];
  if (option.envVar) parts.push(`absent: ${option.envVar}`);
  const value: unknown = option.defaultValueDescription ?? option.defaultValue;
  if (typeof value === "string") parts.push(`default ${value}`);
  if (option.mandatory) parts.push("needed");
  return parts.join("; ");
}

function choice(description: string, choices: readonly string[] | undefined): string {
  return choices ? `${description}; one of ${choices.join(", ")}` : description;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) writeFileSync(commandsPage, commandsText());
