// Writes docs/reference/errors.md from the catalogue of problems and the statuses that csi/ gives them.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { codeNames } from "../src/csi/status.ts";
import { problems } from "../src/pools/problem.ts";

export const pageFile = join(import.meta.dirname, "../docs/reference/errors.md");

const head = `# Errors

Every error that the driver answers ends with its name in brackets, as in \`... [POOL_FULL]\`, and says what happened and
what to do. The name is stable and is the one to look for in logs (\`problem\`) and in alerts; the words before it are
not. The gRPC status is what orchestrators act on: [csi.proto](../../proto/csi.proto) has the calls, and the CSI
specification says for each status what a caller does next. \`details\` of a status stay empty.

In short: \`ABORTED\`, \`UNAVAILABLE\`, \`CANCELLED\` and \`DEADLINE_EXCEEDED\` mean that the same call may be sent again as it is;
\`FAILED_PRECONDITION\` and \`RESOURCE_EXHAUSTED\` that something else has to happen first; \`INVALID_ARGUMENT\`, \`OUT_OF_RANGE\`,
\`ALREADY_EXISTS\`, \`NOT_FOUND\` and \`UNIMPLEMENTED\` that the call itself has to change; \`DATA_LOSS\` and \`INTERNAL\` that somebody
should look.

What nobody expected is \`INTERNAL\` with a request ID: the driver's log line with that \`requestId\` has the rest. A request
that is longer than 4 MiB is refused with \`RESOURCE_EXHAUSTED\` before the driver reads it, without a name.

| Name | Status | What happened | What to do |
|---|---|---|---|
`;

/** The published text. */
export function errorsPage(): string {
  const rows = Object.entries(problems).map(
    ([name, { kind, meaning, advice }]) =>
      `| \`${name}\` | ${codeNames[kind]} | ${cell(meaning)} | ${cell(sentence(advice))} |\n`,
  );
  return head + rows.join("");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

if (import.meta.main) writeFileSync(pageFile, errorsPage());
