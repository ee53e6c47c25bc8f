// Writes docs/reference/configuration.schema.json from the schema that checks the configuration file.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { configSchema, defaults } from "../src/config/schema.ts";

export const schemaFile = join(import.meta.dirname, "../docs/reference/configuration.schema.json");

type Json = Record<string, unknown>;

/** The published text. */
export function publishedSchema(): string {
  const schema = convert(configSchema);
  const properties = schema["properties"] as Record<string, Json>;
  for (const [key, value] of Object.entries(defaults)) Object.assign(properties[key] ?? {}, { default: value });
  const head = { $schema: "http://json-schema.org/draft-07/schema#", title: "Configuration of holdfast serve" };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
}

/** JSON schema of what a valibot schema takes. Knows the kinds that src/config/schema.ts uses, and throws on any other. */
function convert(schema: unknown): Json {
  const get = (key: string): unknown => Reflect.get(Object(schema), key);
  const pipe = get("pipe");
  if (Array.isArray(pipe)) return Object.assign(plain(pipe[0]), ...pipe.slice(1).map(action));
  return plain(schema);
}

function plain(schema: unknown): Json {
  const get = (key: string): unknown => Reflect.get(Object(schema), key);
  switch (get("type")) {
    case "strict_object": {
      const entries = Object.entries(Object(get("entries")) as Record<string, { type: string }>);
      return {
        type: "object",
        properties: Object.fromEntries(entries.map(([key, value]) => [key, convert(value)])),
        required: entries.filter(([, value]) => value.type !== "exact_optional").map(([key]) => key),
        additionalProperties: false,
      };
    }
    case "exact_optional": {
      const fallback = get("default");
      return { ...convert(get("wrapped")), ...(fallback === undefined ? {} : { default: fallback }) };
    }
    case "array":
      return { type: "array", items: convert(get("item")) };
    case "record":
      return { type: "object", additionalProperties: convert(get("value")) };
    case "picklist":
      return { enum: get("options") };
    case "union":
      return { type: (get("options") as unknown[]).map((option) => convert(option)["type"]) };
    case "string":
    case "number":
    case "boolean":
      return { type: get("type") };
    default:
      throw new Error(`no JSON schema is known for ${String(get("type"))}`);
  }
}

function action(step: unknown): Json {
  const get = (key: string): unknown => Reflect.get(Object(step), key);
  const requirement = get("requirement");
  switch (get("type")) {
    case "description":
      return { description: get("description") };
    case "regex":
      return { pattern: (requirement as RegExp).source };
    case "min_length":
      return { minLength: requirement, minItems: requirement };
    case "starts_with":
      return { pattern: `^${String(requirement)}` };
    case "gt_value":
      return { exclusiveMinimum: requirement };
    case "min_value":
      return { minimum: requirement };
    case "max_value":
      return { maximum: requirement };
    case "integer":
      return { type: "integer" };
    case "raw_transform":
      return {};
    default:
      throw new Error(`no JSON schema is known for ${String(get("type"))}`);
  }
}

if (import.meta.main) {
  writeFileSync(schemaFile, publishedSchema());
}
