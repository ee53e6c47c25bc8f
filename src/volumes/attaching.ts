/** Which node may open a volume of a shared pool. */
import type { Holder, Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Call, Capability } from "./api.ts";
import { isMultiNode, unsupported } from "./capabilities.ts";
import type { Context } from "./context.ts";
import { mismatch } from "./matching.ts";
import { shown, stillThere } from "./pool-set.ts";

export interface AttachRequest {
  readonly id: string;
  readonly nodeId: string;
  readonly capability: Capability;
  readonly readonly: boolean;
}

export class AttachRules {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async attach(asked: AttachRequest, call: Call): Promise<Readonly<Record<string, string>>> {
    const { pool, volume } = await this.#context.pools.theVolume(asked.id);
    const attachments = facet(pool);
    const limit = await attachments.limitOf(asked.nodeId);
    if (limit === undefined) {
      throw new Problem("NODE_NOT_FOUND", `no node ${shown(asked.nodeId)} serves the pool '${pool.name}'`);
    }
    const reason = unsupported(pool, asked.capability) ?? mismatch(volume, asked.capability);
    if (reason !== undefined) throw new Problem("CAPABILITY_UNSUPPORTED", reason);
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(asked),
      async (progress) => {
        const current = await stillThere(pool, volume);
        const holders = await attachments.holders(current);
        const next = withHolder(current, holders, asked);
        if (next === holders) return;
        if (limit > 0 && (await attachments.count(asked.nodeId)) >= limit) {
          throw new Problem("NODE_FULL", `the node '${asked.nodeId}' has ${limit} volumes, as many as it takes`);
        }
        progress.step("recording the attachment");
        await attachments.setHolders(current, next);
      },
      { goesOn: true },
    );
    return {};
  }

  /** Not attached, or no such volume: fine. A node that still has it open keeps it. */
  async detach(asked: { readonly id: string; readonly nodeId: string }, call: Call): Promise<void> {
    const found = await this.#context.pools.volume(asked.id);
    if (!found) return;
    const { pool, volume } = found;
    const attachments = facet(pool);
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(asked),
      async (progress) => {
        const holders = await attachments.holders(volume);
        const leaving = holders.filter((holder) => asked.nodeId === "" || holder.node === asked.nodeId);
        if (leaving.length === 0) return;
        const open = await this.#context.records(pool).nodesWith(volume);
        const stays = leaving.find((holder) => open.includes(holder.node));
        if (stays) {
          throw new Problem(
            "VOLUME_IN_USE",
            `the node '${stays.node}' has not recorded that it closed the volume '${volume.name}'`,
            {
              advice: "unpublish and unstage it there; if that node is gone for ever, holdfast volume detach --force",
            },
          );
        }
        progress.step("removing the attachment");
        await attachments.setHolders(
          volume,
          holders.filter((holder) => !leaving.includes(holder)),
        );
      },
      { goesOn: true },
    );
  }
}

/** The holders with one more; the same list where it is there already. */
function withHolder(volume: Volume, holders: readonly Holder[], asked: AttachRequest): readonly Holder[] {
  const { mode, access } = asked.capability;
  const mine = holders.find((holder) => holder.node === asked.nodeId);
  if (mine) {
    if (mine.mode === mode && mine.access === access && mine.readonly === asked.readonly) return holders;
    throw new Problem(
      "ATTACHED_DIFFERENTLY",
      `the volume '${volume.name}' is attached to '${mine.node}' with ${mine.mode}, ${mine.readonly ? "read-only" : "writable"}`,
    );
  }
  const [other] = holders;
  if (other && !(isMultiNode(mode) && isMultiNode(other.mode))) {
    const since = new Date(other.since).toISOString();
    throw new Problem(
      "ATTACHED_ELSEWHERE",
      `the volume '${volume.name}' is attached to the node '${other.node}' since ${since}`,
    );
  }
  return [...holders, { node: asked.nodeId, mode, access, readonly: asked.readonly, since: Date.now() }];
}

export function facet(pool: Pool): NonNullable<Pool["attachments"]> {
  if (pool.attachments) return pool.attachments;
  throw new Problem("FEATURE_ABSENT", `the volumes of the local pool '${pool.name}' are not attached`);
}
