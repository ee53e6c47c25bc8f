/** One line of the log as people read it: time, level, text, then `key=value`. */

const paint: Record<string, string> = { debug: "\x1b[2m", info: "\x1b[32m", warn: "\x1b[33m", error: "\x1b[31m" };

/** The line with its newline. Values cannot break it: control characters are escaped. An error's stack follows, indented. */
export function prettyLine(record: Record<string, unknown>, color: boolean): string {
  const { level, time, msg, error, ...fields } = record;
  const name = String(level);
  const [start, dim, end] = color ? [paint[name] ?? "", "\x1b[2m", "\x1b[0m"] : ["", "", ""];
  const clock = String(time).slice(11, 23);
  const pairs = Object.entries(fields).map(([key, value]) => ` ${dim}${key}=${end}${shown(value)}`);
  const stack = stackOf(error);
  return `${dim}${clock}${end} ${start}${name.padEnd(5)}${end} ${printable(String(msg))}${pairs.join("")}\n${stack}`;
}

function shown(value: unknown): string {
  if (typeof value === "string") return /^[\w./:@+-]+$/.test(value) ? value : printable(JSON.stringify(value));
  return printable(JSON.stringify(value) ?? String(value));
}

function stackOf(error: unknown): string {
  if (error === undefined || error === null) return "";
  return wordsOf(error)
    .split("\n")
    .map((line) => `    ${printable(line)}\n`)
    .join("");
}

function wordsOf(error: unknown): string {
  if (typeof error === "object" && error !== null) {
    if ("stack" in error) return String(error.stack);
    if ("message" in error) return String(error.message);
  }
  return JSON.stringify(error);
}

/** A name in a request must not be able to move the cursor of whoever reads the log. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
