/**
 * Ephemeral inline volumes: a pod's own volume, made by its publish under the ID that the kubelet gives it, and gone with
 * its unpublish. There is no other call: no create, no stage, no delete (Kubernetes documentation, "Ephemeral Volumes",
 * CSI ephemeral volumes). It is found again by a hash of the kubelet's ID, so that a publish that was cut short is
 * finished by its repeat, and an unpublish removes what a publish began.
 */
import { closeSync, existsSync } from "node:fs";
import { dirname } from "node:path";
import { readdir } from "../host/fs.ts";
import { makeTargetDirectory } from "../host/paths.ts";
import { keyOf, newNonce, parseId } from "../pools/ids.ts";
import type { NewVolume, Pool, Volume } from "../pools/pool.ts";
import { Problem, type ProblemKind } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";
import type { Call, CreateVolumeRequest, PublishRequest } from "./api.ts";
import type { Context } from "./context.ts";
import { explain } from "./explain.ts";
import { refuseInUse } from "./in-use.ts";
import { readInline } from "./inline-attributes.ts";
import type { Operation } from "./ledger.ts";
import { look } from "./mounted.ts";
import { shown } from "./pool-set.ts";
import { removeEmpty } from "./publishing.ts";
import { badPath, type StageRules } from "./staging.ts";
import { difference, sizeFor, understand } from "./wish.ts";

/** After these the kubelet calls again, or unpublishes; after any other it takes nothing to be there (isFinalError of pkg/volume/csi). */
const unfinished: ReadonlySet<ProblemKind> = new Set(["busy", "cancelled", "timedOut", "unavailable", "outOfSpace"]);

export class EphemeralRules {
  readonly #context: Context;
  readonly #staging: StageRules;

  constructor(context: Context, staging: StageRules) {
    this.#context = context;
    this.#staging = staging;
  }

  /** Makes, formats and mounts it. The same call again finishes it, and finds it done. */
  async publish(request: PublishRequest, call: Call): Promise<void> {
    const { pools } = this.#context;
    if (pools.shared)
      throw new Problem("FEATURE_ABSENT", "shared pools make no ephemeral volumes: they are a node's own");
    if (parseId(request.id))
      throw new Problem("FIELD_INVALID", `volume_id ${shown(request.id)} is of a volume that CreateVolume made`);
    const inline = readInline(request.context);
    const wanted: CreateVolumeRequest = {
      name: request.id,
      capacity: inline.size === undefined ? {} : { required: inline.size },
      capabilities: [request.capability],
      parameters: inline.parameters,
    };
    const wish = await understand(pools, wanted);
    if (wish.access !== "mount") throw new Problem("CAPABILITY_UNSUPPORTED", "an ephemeral volume is mounted, not raw");
    const { pool } = wish;
    const made: NewVolume = {
      key: keyOf("ephemeral", pool.uuid, request.id),
      nonce: newNonce(),
      name: request.id,
      size: sizeFor(wanted.capacity, wish, undefined),
      access: wish.access,
      fsType: wish.fsType,
      mkfsOptions: wish.mkfsOptions,
      parameters: wish.parameters,
      ephemeral: { targetPath: request.targetPath, pod: inline.pod },
    };
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, made),
      call,
      JSON.stringify([request.id, request.targetPath, inline, request.capability, request.readonly]),
      async (operation) => {
        const there = await pool.find(made.key);
        if (there) refuseOther(there, request, (volume) => difference(pool, volume, wanted, wish));
        const volume = there ?? (await create(pool, made, operation));
        try {
          await this.#mount(pool, volume, request, operation);
        } catch (error) {
          const problem = explain(error, operation.signal);
          const final = !unfinished.has(problem.kind);
          if (final && (!there || (await neverUsed(pool, volume)))) await this.#takeBack(pool, volume, operation);
          throw problem;
        }
      },
    );
  }

  /** Unmounts and removes it whole. False: there is no ephemeral volume of this ID. */
  async unpublish(asked: { readonly id: string; readonly targetPath: string }, call: Call): Promise<boolean> {
    const found = await this.#context.pools.ephemeral(asked.id);
    if (!found) return false;
    const { pool, volume } = found;
    await this.#context.ledger.run(
      this.#context.volumeSubject(pool, volume),
      call,
      JSON.stringify(asked),
      async (operation) => {
        const current = await pool.find(volume.key);
        // At another path it was never published: what stands there is not this volume's.
        if (current?.nonce === volume.nonce && current.ephemeral?.targetPath === asked.targetPath) {
          await this.#remove(pool, current, operation);
        }
        await removeEmpty(asked.targetPath);
      },
    );
    return true;
  }

  /** Says which ones no kubelet will ask for again. Only a person removes them: what is gone may come back. */
  async tellOrphans(pool: Pool): Promise<void> {
    let after: string | undefined;
    do {
      const { entries, next } = await pool.list(after, 500);
      for (const volume of entries) {
        const { ephemeral } = volume;
        // The folder of the pod's volume, which the kubelet removes last.
        if (!ephemeral || existsSync(dirname(ephemeral.targetPath))) continue;
        this.#context.log.warn(
          { pool: pool.name, volume: volume.name, pod: ephemeral.pod, path: ephemeral.targetPath },
          "the pod of an ephemeral volume is gone; holdfast volume delete removes it",
        );
      }
      after = next;
    } while (after !== undefined);
  }

  async #mount(pool: Pool, volume: Volume, request: PublishRequest, operation: Operation): Promise<void> {
    const { targetPath, capability, readonly } = request;
    const record = await this.#context.records(pool).read(volume.key);
    const there = await look(pool, volume, record, targetPath);
    if (there.what === "ours" && there.mount?.readonly !== readonly) {
      throw new Problem(
        "PUBLISHED_DIFFERENTLY",
        `the volume ${shown(volume.name)} is published at ${targetPath} otherwise`,
      );
    }
    await makeTargetDirectory(targetPath).then(closeSync, (error: unknown) => {
      if (hasCode(error, "ENOENT", "ELOOP", "ENOTDIR", "EEXIST")) throw badPath("target_path", targetPath, error);
      throw error;
    });
    const stage = { id: request.id, stagingPath: targetPath, capability, context: {}, publishContext: {} };
    await this.#staging.stageHeld(pool, volume, stage, readonly, operation);
  }

  async #remove(pool: Pool, volume: Volume, operation: Operation): Promise<void> {
    const path = volume.ephemeral?.targetPath ?? "";
    const there = await look(pool, volume, await this.#context.records(pool).read(volume.key), path);
    if (there.what === "other") {
      throw new Problem(
        "VOLUME_IN_USE",
        `something else (${there.mount?.fsType}) is mounted at the target path ${path}`,
        {
          advice: "whoever mounted it must take it away",
        },
      );
    }
    await this.#staging.unstageHeld(pool, volume, path, operation);
    await refuseInUse(this.#context, pool, volume);
    operation.step("deleting");
    await pool.remove(volume);
  }

  /** The kubelet takes nothing to be there, and will not ask for it to be removed. */
  async #takeBack(pool: Pool, volume: Volume, operation: Operation): Promise<void> {
    const path = volume.ephemeral?.targetPath ?? "";
    try {
      await this.#remove(pool, volume, { ...operation, signal: AbortSignal.timeout(10_000) });
      await removeEmpty(path);
    } catch (error) {
      this.#context.log.warn(
        { volume: volume.name, path, error },
        "a failed ephemeral volume could not be removed at once",
      );
    }
  }
}

/** A publish that was cut short left it, before any pod could see it. Nothing is lost with it, and nobody would unpublish it. */
async function neverUsed(pool: Pool, volume: Volume): Promise<boolean> {
  const place = await pool.opened(volume);
  if (place?.gives === "directory") return (await readdir(place.path)).length === 0;
  const { state } = await pool.latch(volume);
  return state === "blank" || state === "formatting";
}

/** Making it goes on without the caller: a repeat finds it, an unpublish removes it. */
function create(pool: Pool, made: NewVolume, operation: Operation): Promise<Volume> {
  operation.step("making the volume");
  return operation.lasting(() =>
    pool.create(made, { ...operation, finish: async (_device, latch) => latch, hold: (_maxMs, cut) => cut("idle") }),
  );
}

function refuseOther(volume: Volume, request: PublishRequest, differs: (volume: Volume) => string | undefined): void {
  const path = volume.ephemeral?.targetPath;
  const why = path === request.targetPath ? differs(volume) : `it is published at ${path}`;
  if (why !== undefined) {
    throw new Problem(
      "PUBLISHED_DIFFERENTLY",
      `the ephemeral volume ${shown(volume.name)} is made by another request: ${why}`,
    );
  }
}
