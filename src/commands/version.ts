import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The version of package.json: what `--version` prints and GetPluginInfo answers. */
export function version(): string {
  const file: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  return typeof file === "object" && file !== null && "version" in file ? String(file.version) : "0.0.0";
}
