/** Whether the API server has VolumeAttributesClasses: in v1 from Kubernetes 1.34 on, unless they are switched off. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../observe/log.ts";
import type { ApiClient } from "../api/client.ts";
import { volumeAttributesClasses as classes } from "../api/resources.ts";
import { explain } from "../outcome.ts";

const askAgainMs = 5_000;

/** Asks until the API server answers. False when `signal` ends it. */
export async function servesClasses(api: ApiClient, log: Log, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      const path = `/apis/${classes.group}/${classes.version}`;
      const { resources = [] } = (await api.send({ method: "GET", path, signal })) as {
        resources?: { name: string }[];
      };
      const served = resources.some(({ name }) => name === classes.plural);
      if (!served) log.info({ path }, "the API server has no VolumeAttributesClasses: volumes are not changed");
      return served;
    } catch (error) {
      if (!signal.aborted) log.warn({ error: explain(error) }, "the API server can't be asked for its kinds");
      await sleep(askAgainMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return false;
}
