/**
 * One at a time, by a Lease (coordination.k8s.io/v1), with the times that the upstream helpers have: it lasts 15 seconds,
 * is renewed every 5, and who could not renew it for 10 stops before another may begin. A clock that another process wrote is
 * never compared with ours: what counts is how long we have seen the same record.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Lease } from "kubernetes-types/coordination/v1.js";
import type { Log } from "../../observe/log.ts";
import { isAlreadyExists, isConflict } from "./api-error.ts";
import type { ApiClient } from "./client.ts";
import { leases } from "./resources.ts";

export interface LeaderOptions {
  readonly namespace: string;
  /** The Lease's name. */
  readonly name: string;
  /** Who we are: differs for each process, as host name and a random part. */
  readonly identity: string;
  /** In milliseconds. Absent: 15,000, 10,000, 5,000. */
  readonly lastsMs?: number;
  readonly renewWithinMs?: number;
  readonly retryMs?: number;
}

/**
 * Waits for the Lease, runs `lead` while it is held, and waits again; until `signal`. `lead` is told by its own signal that
 * the Lease was lost and must then end; it is given back at the end when it is still ours.
 */
export async function leadWhileHeld(
  client: ApiClient,
  options: LeaderOptions,
  log: Log,
  signal: AbortSignal,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { namespace, name, identity } = options;
  const lastsMs = options.lastsMs ?? 15_000;
  const renewWithinMs = options.renewWithinMs ?? 10_000;
  const retryMs = options.retryMs ?? 5_000;
  const told = { lease: `${namespace}/${name}`, identity };
  let seen: { readonly version: string; readonly at: number } | undefined;
  let heldBy: string | undefined;

  /** Takes or renews the Lease; false: another has it. */
  const hold = async (withinMs: number): Promise<boolean> => {
    // For all of it: a server that asks for patience must not make us late.
    const limits = {
      signal: AbortSignal.any([signal, AbortSignal.timeout(withinMs)]),
      timeoutMs: Math.ceil(renewWithinMs / 2),
    };
    const now = new Date().toISOString().replace("Z", "000Z");
    const mine = { holderIdentity: identity, leaseDurationSeconds: Math.round(lastsMs / 1000), renewTime: now };
    const lease = await client.find(leases, { namespace, name }, limits);
    try {
      if (lease === undefined) {
        await client.create(
          leases,
          { metadata: { namespace, name }, spec: { ...mine, acquireTime: now, leaseTransitions: 0 } },
          limits,
        );
        return true;
      }
      const version = lease.metadata?.resourceVersion ?? "";
      if (seen?.version !== version) seen = { version, at: performance.now() };
      const holder = lease.spec?.holderIdentity ?? "";
      if (holder !== identity && holder !== "" && performance.now() - seen.at < durationOf(lease, lastsMs)) {
        if (heldBy !== holder) log.info({ ...told, holder }, "another leads");
        heldBy = holder;
        return false;
      }
      const spec = { ...lease.spec, ...mine };
      if (holder !== identity) {
        spec.acquireTime = now;
        spec.leaseTransitions = (lease.spec?.leaseTransitions ?? 0) + 1;
      }
      const written = await client.replace(leases, { ...lease, spec }, limits);
      seen = { version: written.metadata?.resourceVersion ?? "", at: performance.now() };
      return true;
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error)) return false;
      throw error;
    }
  };

  const tryToHold = async (withinMs = renewWithinMs): Promise<boolean> => {
    try {
      return await hold(Math.max(1, Math.ceil(withinMs)));
    } catch (error) {
      if (!signal.aborted) log.warn({ ...told, error: String(error) }, "the Lease could not be read or written");
      return false;
    }
  };

  while (!signal.aborted) {
    // Measured from before the request: the server's answer may be late, its record is not younger than this.
    let renewedAt = performance.now();
    if (!(await tryToHold())) {
      await sleep(retryMs * (0.8 + Math.random() * 0.4), undefined, { signal }).catch(() => undefined);
      continue;
    }
    heldBy = undefined;
    log.info(told, "leading");
    const lost = new AbortController();
    const work = lead(AbortSignal.any([signal, lost.signal]));
    let over = false;
    const ended = work.finally(() => {
      over = true;
      lost.abort();
    });
    ended.catch(() => undefined);
    while (!over && !signal.aborted) {
      await sleep(Math.min(retryMs, renewWithinMs / 3), undefined, {
        signal: AbortSignal.any([signal, lost.signal]),
      }).catch(() => undefined);
      if (over || signal.aborted) break;
      const asked = performance.now();
      if (await tryToHold(renewedAt + renewWithinMs - asked)) renewedAt = asked;
      else if (heldBy !== undefined || performance.now() - renewedAt >= renewWithinMs) {
        log.warn({ ...told, ...(heldBy !== undefined && { holder: heldBy }) }, "the Lease is lost: stopping this work");
        lost.abort();
        break;
      }
    }
    await ended;
    if (signal.aborted) await release(client, options);
  }
}

/** Another need not wait for the end of a Lease that we no longer want. */
async function release(client: ApiClient, { namespace, name, identity }: LeaderOptions): Promise<void> {
  try {
    const lease = await client.find(leases, { namespace, name }, { timeoutMs: 2000 });
    if (lease?.spec?.holderIdentity !== identity) return;
    await client.replace(
      leases,
      { ...lease, spec: { ...lease.spec, holderIdentity: "", leaseDurationSeconds: 1 } },
      { timeoutMs: 2000 },
    );
  } catch {
    // It ends by itself.
  }
}

const durationOf = (lease: Lease, absent: number): number => (lease.spec?.leaseDurationSeconds ?? absent / 1000) * 1000;
