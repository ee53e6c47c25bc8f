/** The documents as text. */
const fenced = /^```(\w*)\n(.*?)^```$/gms;

/** The contents of the fenced blocks in a language; absent: of all. */
export function codeBlocks(page: string, language?: string): string[] {
  return [...page.matchAll(fenced)].flatMap(([, name, text]) =>
    language === undefined || name === language ? [text ?? ""] : [],
  );
}
