/** Sizes as the Kubernetes API writes them (k8s.io/apimachinery, pkg/api/resource: Quantity). */

const binary: Readonly<Record<string, bigint>> = {
  Ki: 1024n,
  Mi: 1024n ** 2n,
  Gi: 1024n ** 3n,
  Ti: 1024n ** 4n,
  Pi: 1024n ** 5n,
  Ei: 1024n ** 6n,
};
const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

/** Whole bytes, rounded up. Throws for what is not a quantity. */
export function bytesOf(quantity: string): bigint {
  const [, sign, whole = "", fraction = "", suffix = ""] =
    /^([+-]?)(\d*)(?:\.(\d*))?((?:[KMGTPE]i)|[numkMGTPE]|(?:[eE][+-]?\d+)|)$/.exec(quantity) ?? [];
  if (whole === "" && fraction === "") throw new Error(`${JSON.stringify(quantity)} is not a size`);
  const digits = BigInt(whole + fraction);
  const multiplier = binary[suffix];
  const power = (multiplier === undefined ? (decimal[suffix] ?? Number(suffix.slice(1))) : 0) - fraction.length;
  const scaled = digits * (multiplier ?? 1n);
  const bytes = power >= 0 ? scaled * 10n ** BigInt(power) : roundUp(scaled, 10n ** BigInt(-power));
  return sign === "-" ? -bytes : bytes;
}

const roundUp = (value: bigint, by: bigint): bigint => (value + by - 1n) / by;

/** As upstream writes sizes that a driver told: the largest binary unit without a rest, `1Gi`, `1500`. */
export function quantityOf(bytes: bigint): string {
  let unit = "";
  let value = bytes;
  for (const name of Object.keys(binary)) {
    if (value === 0n || value % 1024n !== 0n) break;
    value /= 1024n;
    unit = name;
  }
  return `${value}${unit}`;
}
