/**
 * Sizes as people write them: `10Gi`, `1.5G`, `512MiB`, plain bytes. Ki, Mi, Gi, Ti, Pi and Ei count in 1024s; k, M, G,
 * T, P and E in 1000s; a trailing B changes nothing.
 */

const powers = "kmgtpe";

/** Bytes; a fraction of a byte is rounded up. Throws an `Error` whose message says what was expected. */
export function parseSize(text: string): number {
  const match = /^(\d{1,20})(?:\.(\d{1,18}))?(?:([kKMGTPE])(i?))?B?$/.exec(text.trim());
  if (match === null) throw new Error(`'${text}' is not a size: write bytes, or a number with a unit, as 10Gi or 500M`);
  const [, whole = "", fraction = "", letter = "", binary = ""] = match;
  const unit = letter === "" ? 1n : (binary === "" ? 1000n : 1024n) ** BigInt(powers.indexOf(letter.toLowerCase()) + 1);
  const scale = 10n ** BigInt(fraction.length);
  const bytes = (BigInt(whole + fraction) * unit + scale - 1n) / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`'${text}' is too large: the limit is just below 8Pi`);
  return Number(bytes);
}

/** As `10Gi` or `1.5Gi`, at most two decimals, which are cut and not rounded: it never claims more than there is. */
export function formatSize(bytes: number): string {
  let value = Math.abs(bytes);
  let power = 0;
  while (value >= 1024 && power < powers.length) {
    value /= 1024;
    power += 1;
  }
  const unit = power === 0 ? "" : `${(powers[power - 1] ?? "").toUpperCase()}i`;
  const shown = Math.trunc(value * 100) / 100;
  return `${bytes < 0 ? "-" : ""}${shown}${unit}`;
}
