import * as v from "valibot";
import { ConfigError, suggestion } from "./config-error.ts";

type Path = readonly (string | number)[];

/** Checks `input`; throws a ConfigError that names each wrong key as `where` puts it (a file and line, or a flag) with the fix. */
export function check<S extends v.GenericSchema>(
  schema: S,
  input: unknown,
  where: (path: Path) => string,
): v.InferOutput<S> {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  const lines = result.issues.map((issue) => {
    const path = (issue.path ?? []).map((item) => (typeof item.key === "number" ? item.key : String(item.key)));
    const unknownKey = issue.type === "strict_object" && issue.expected === "never";
    return `${where(path)}: ${wording(issue, schema, path, unknownKey)}`.replaceAll(/\p{Cc}/gu, "?");
  });
  throw new ConfigError([...new Set(lines)].join("\n"));
}

function wording(issue: v.BaseIssue<unknown>, schema: v.GenericSchema, path: Path, unknownKey: boolean): string {
  if (unknownKey) return `unknown key${suggestion(String(path.at(-1)), keysAt(schema, path.slice(0, -1)))}`;
  if (issue.type === "strict_object") {
    return issue.received === "undefined" ? "this key is required" : `expected keys and values, not ${issue.received}`;
  }
  const given = issue.kind === "schema" ? `, not ${issue.received}` : "";
  return issue.message.startsWith("Invalid") ? `expected ${issue.expected}${given}` : `${issue.message}${given}`;
}

/** The keys that the schema knows at `path`. */
function keysAt(schema: unknown, path: Path): string[] {
  let here = schema;
  for (const step of ["", ...path]) {
    if (step !== "")
      here = typeof step === "number" ? field(here, "item") : field(field(here, "entries"), String(step));
    while (field(here, "wrapped") !== undefined) here = field(here, "wrapped");
    const pipe = field(here, "pipe");
    if (Array.isArray(pipe)) here = pipe[0];
  }
  return Object.keys(field(here, "entries") ?? {});
}

function field(of: unknown, key: string): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, key) : undefined;
}

/** As `pools[0].size`. */
export function pathName(path: Path): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
}
