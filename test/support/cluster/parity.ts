/** Objects that two helpers left, made comparable: without names, times and UIDs. */

/** Fields that differ between any two objects, and texts, which are each helper's own. */
const dropped = new Set([
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "deletionTimestamp",
  "managedFields",
  "generation",
  "lastPhaseTransitionTime",
  "lastTransitionTime",
  "lastProbeTime",
  "time",
  "message",
]);

/** A deep copy without them; `names` are replaced wherever they stand; conditions are sorted by type. */
export function comparable(object: unknown, names: Readonly<Record<string, string>>): unknown {
  if (typeof object === "string") {
    return Object.entries(names).reduce((text, [name, by]) => text.replaceAll(name, by), object);
  }
  if (Array.isArray(object)) {
    const items: readonly unknown[] = object.map((item) => comparable(item, names));
    return items.every((item) => typeof (item as { type?: unknown } | null)?.type === "string")
      ? items.toSorted((a, b) => (a as { type: string }).type.localeCompare((b as { type: string }).type))
      : items;
  }
  if (typeof object !== "object" || object === null) return object;
  return Object.fromEntries(
    Object.entries(object)
      .filter(([key]) => !dropped.has(key))
      .map(([key, value]) => [comparable(key, names), comparable(value, names)])
      .toSorted(([a], [b]) => String(a).localeCompare(String(b))),
  );
}

/** Repeated calls are no difference, only which calls there were, in which order. */
export function distinct(calls: readonly object[]): string[] {
  const texts = calls.map((call) =>
    JSON.stringify(call, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value)),
  );
  return texts.filter((text, index) => text !== texts[index - 1]);
}
