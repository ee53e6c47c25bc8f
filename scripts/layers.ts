// Holds the rule that imports between the rooms of src/ point downwards only, and that protobuf stays in csi/.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

/** From the top down; a room may import from itself and from the rooms below it. */
const rooms = ["main.ts", "commands", "config", "kubernetes", "csi", "volumes", "pools", "host", "observe"];
/** Their file calls take a turn of a pool's share (host/fs.ts): a disk that does not answer must not take every thread. */
const inShares = ["host", "pools", "volumes"];
const onlyIn: Record<string, string[]> = {
  "@bufbuild/protobuf": ["csi", "commands"],
  "@grpc/grpc-js": ["csi"],
  koffi: ["host"],
  commander: ["commands", "main.ts"],
  pino: ["observe"],
};

export function violations(root: string): string[] {
  const src = join(root, "src");
  const found: string[] = [];
  for (const entry of readdirSync(src, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".ts") || entry.endsWith(".test.ts") || entry.startsWith("csi/gen/")) continue;
    const room = entry.split("/")[0] ?? "";
    if (!rooms.includes(room)) found.push(`src/${entry}: '${room}' is not a room of the design`);
    const text = readFileSync(join(src, entry), "utf8");
    if (inShares.includes(room) && entry !== "host/fs.ts" && /"node:fs\/promises"|\bpromisify\b/.test(text))
      found.push(`src/${entry}: calls on files go through host/fs.ts`);
    for (const match of text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)) {
      const target = match[1] ?? "";
      if (target.startsWith(".")) {
        const to = relative(src, normalize(join(src, dirname(entry), target))).split("/")[0] ?? "";
        if (rooms.indexOf(to) < rooms.indexOf(room)) found.push(`src/${entry}: imports upwards, from ${to}: ${target}`);
      } else {
        const allowed = Object.entries(onlyIn).find(([name]) => target === name || target.startsWith(`${name}/`))?.[1];
        if (allowed && !allowed.includes(room)) found.push(`src/${entry}: ${target} belongs to ${allowed.join(", ")}`);
      }
    }
  }
  return found;
}

if (import.meta.main) {
  const found = violations(join(import.meta.dirname, ".."));
  for (const line of found) console.error(line);
  if (found.length > 0) process.exit(1);
  console.log("layering: imports point downwards");
}
