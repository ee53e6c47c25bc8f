/** `9808` or `127.0.0.1:9808`; without an address it is all of the machine's. Throws an `Error` that says what was expected. */
export function parseHealthPort(text: string): { readonly host?: string; readonly port: number } {
  const match = /^(?:([0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\]):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new Error(`'${text}' is not a port: write a number up to 65535, as 9808, or 127.0.0.1:9808`);
  }
  const host = match[1]?.replace(/^\[|\]$/g, "");
  return { port, ...(host === undefined ? {} : { host }) };
}
