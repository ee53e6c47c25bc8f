/** The secrets that a volume names for a call of the driver. They go into the request and nowhere else. */
import type { ApiClient, CallLimits } from "./api/client.ts";
import { secrets } from "./api/resources.ts";

export interface SecretRef {
  readonly name?: string;
  readonly namespace?: string;
}

/** Absent `ref`: none. Throws an ApiError when the secret can't be read. */
export async function secretValues(
  api: ApiClient,
  ref: SecretRef | undefined,
  limits?: CallLimits,
): Promise<Record<string, string>> {
  if (ref?.name === undefined) return {};
  const secret = await api.get(secrets, { name: ref.name, namespace: ref.namespace ?? "default" }, limits);
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
  );
}
