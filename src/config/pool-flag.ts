import { isAbsolute, resolve } from "node:path";
import type { InferOutput } from "valibot";
import { ConfigError, suggestion } from "./config-error.ts";
import { check } from "./issues.ts";
import { poolSchema } from "./schema.ts";

const numbers = new Set(["overcommit"]);
const booleans = new Set(["thick", "shared"]);
const builtIn = new Set(["image", "directory"]);
const known = ["size", "overcommit", "reserve", "thick", "shared", "maxFreeze"];

/** `fast=image:/srv/fast,size=10Gi,thick`: the value of one `--pool`. A path with a comma in it needs the configuration file. */
export function parsePoolFlag(text: string): InferOutput<typeof poolSchema> {
  const flag = `--pool ${text}`;
  const match = /^([^=,:]+)=([^:,]+):([^,]+)(?:,(.*))?$/s.exec(text);
  if (match === null)
    throw new ConfigError(
      `${flag}: write it as NAME=BACKEND:PATH[,option=value...], as fast=image:/srv/fast,size=10Gi`,
    );
  const [, name = "", backend = "", path = "", rest = ""] = match;
  const input: Record<string, unknown> = {
    name,
    backend: backend.startsWith(".") ? resolve(backend) : backend,
    path: resolve(path),
  };
  const options: Record<string, string> = {};
  for (const part of rest === "" ? [] : rest.split(",")) {
    const at = part.indexOf("=");
    const key = at < 0 ? part : part.slice(0, at);
    const value = at < 0 ? "true" : part.slice(at + 1);
    if (key in input || key in options) throw new ConfigError(`${flag}: '${key}' is given twice; give it once`);
    if (numbers.has(key)) input[key] = value.trim() === "" ? Number.NaN : Number(value);
    else if (booleans.has(key)) input[key] = value === "true" ? true : value === "false" ? false : value;
    else if (known.includes(key)) input[key] = value;
    else if (builtIn.has(backend) || !isModulePath(backend))
      throw new ConfigError(`${flag}: unknown option '${key}'${suggestion(key, known)}`);
    else options[key] = value;
  }
  return check(poolSchema, { ...input, options }, (where) => `${flag}: ${where.join(".")}`);
}

/** Whether a backend's name is the path of a module and not one of ours. */
export function isModulePath(backend: string): boolean {
  return isAbsolute(backend) || backend.startsWith("./") || backend.startsWith("../");
}
