/** The documents as text: which there are, their links, headings and code blocks. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../..");

/** Every Markdown file that belongs to the project, by its path from the root. */
export function pages(): Map<string, string> {
  const outside = readdirSync(root);
  const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((name) => join("docs", name));
  const names = [...outside, ...docs].filter((name) => name.endsWith(".md")).sort();
  return new Map(names.map((name) => [name, readFileSync(join(root, name), "utf8")]));
}

const fenced = /^```(\w*)\n(.*?)^```$/gms;

/** The contents of the fenced blocks in a language. */
export function codeBlocks(page: string, language: string): string[] {
  return [...page.matchAll(fenced)].flatMap(([, name, text = ""]) => (name === language ? [text] : []));
}

/** What stands between backquotes in the prose. */
export function codeSpans(page: string): string[] {
  return [...page.replaceAll(fenced, "").matchAll(/`([^`\n]+)`/g)].map(([, text = ""]) => text);
}

/** Where the links of a page go, as they are written. */
export function links(page: string): string[] {
  const prose = page.replaceAll(fenced, "").replaceAll(/`[^`\n]*`/g, "code");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

/** The anchors that links to a page may name, made of its headings as GitHub makes them. */
export function anchors(page: string): Set<string> {
  const headings = [...page.replaceAll(fenced, "").matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) => text);
  const anchorOf = (text: string) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-");
  return new Set(headings.map(anchorOf));
}
