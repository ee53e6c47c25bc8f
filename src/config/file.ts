import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { ConfigError } from "./config-error.ts";
import { check, pathName } from "./issues.ts";
import { configSchema, type Layer } from "./schema.ts";

/** Reads and checks a configuration file; relative paths in it start at its folder. Throws ConfigError. */
export function readConfigFile(file: string): Layer {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const why = code === "ENOENT" ? "there is no such file" : error instanceof Error ? error.message : String(error);
    throw new ConfigError(`--config ${file}: ${why}; name a readable YAML file`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken !== undefined)
    throw new ConfigError(`${file}:${lines.linePos(broken.pos[0]).line}: not valid YAML: ${broken.message}`);

  const input: unknown = document.toJS() ?? {};
  if (Array.isArray(input)) throw new ConfigError(`${file}:1: expected keys and values, not a list`);
  const values = check(
    configSchema,
    input,
    (path) => `${file}${lineOf(path)}${path.length > 0 ? `: ${pathName(path)}` : ""}`,
  );
  if (values.pools === undefined) return values;
  const folder = dirname(resolve(file));
  const pools = values.pools.map((pool) => ({
    ...pool,
    path: resolve(folder, pool.path),
    backend: pool.backend.startsWith(".") ? resolve(folder, pool.backend) : pool.backend,
  }));
  return { ...values, pools };

  /** The line of the nearest thing on the path that the file has, as `:7`. */
  function lineOf(path: readonly (string | number)[]): string {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
      if (Array.isArray(range) && typeof range[0] === "number") return `:${lines.linePos(range[0]).line}`;
    }
    return "";
  }
}
