/** Puts the rules together over the configured pools. */
import type { Log } from "../observe/log.ts";
import { eachApart } from "../pools/each-apart.ts";
import type { KeyedPage, Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { makeFolder } from "../pools/shelf.ts";
import { checkTogether, loadBackend, type PoolConfig, PoolSlot } from "../pools/slots.ts";
import { Answering } from "./answering.ts";
import type { Call, ControllerRules, Features, NodeRules, PublishRequest, Readiness, StageRequest } from "./api.ts";
import { Asking } from "./asking.ts";
import { AttachRules } from "./attaching.ts";
import { Context } from "./context.ts";
import { VolumeRules } from "./controller.ts";
import { CreateRules } from "./creating.ts";
import { EphemeralRules } from "./ephemeral.ts";
import { explain } from "./explain.ts";
import { forceDetach } from "./force-detach.ts";
import { isEphemeral } from "./inline-attributes.ts";
import { Ledger } from "./ledger.ts";
import { OwnPlaces } from "./own-places.ts";
import { PoolSet } from "./pool-set.ts";
import { PublishRules } from "./publishing.ts";
import { SnapshotRules } from "./snapshots.ts";
import { StageRules } from "./staging.ts";
import { paged } from "./tokens.ts";
import { UseRules } from "./using.ts";
import { viewOf } from "./view.ts";

export interface DriverOptions {
  readonly driverName: string;
  readonly nodeId: string;
  /** At least one; all local or all shared. */
  readonly pools: readonly PoolConfig[];
  /** Makes folders without a marker pools first: for scratch use, for an unmounted disk would become a new pool. */
  readonly initPools: boolean;
  /** How many volumes the node takes; 0: not limited. */
  readonly maxVolumes: number;
  /** false: volumes grow by the node's call alone. Absent: true. */
  readonly controllerExpansion?: boolean;
  readonly log: Log;
  /** For an operator's command on the pools: this machine does not become a node of them. */
  readonly visitor?: boolean;
  /** false: another process of this node stages its volumes. Absent: this one does. */
  readonly opensVolumes?: boolean;
}

export interface Driver {
  readonly controller: ControllerRules;
  readonly node: NodeRules;
  readonly readiness: Readiness;
  /** Begins what a crash left to do: thawing, deletions, half-made things. Calls are served meanwhile. Never throws. */
  start(): void;
  /** `unfenced`: also where nothing can stop the old node from writing on (directories). Answers the nodes that had it. */
  forceDetach(id: string, call: Call, options?: { readonly unfenced?: boolean }): Promise<readonly string[]>;
  /** No new operations; running ones get `graceMs` milliseconds. */
  stop(graceMs: number): Promise<void>;
}

/** Milliseconds that the answers to controllers elsewhere get when the work is over. */
const answerMs = 1_000;

/** Throws PoolConfigError for what the configuration has wrong; a pool whose disk is missing is no error here. */
export async function openDriver(options: DriverOptions): Promise<Driver> {
  if (options.initPools) for (const pool of options.pools) await makeFolder(pool.path);
  await checkTogether(options.pools);
  const slots: PoolSlot[] = [];
  for (const config of options.pools) {
    const slot = new PoolSlot(config, await loadBackend(config), options.nodeId, options.maxVolumes, options.visitor);
    if (options.initPools) await slot.init();
    slots.push(slot);
  }
  const pools = new PoolSet(slots, options.nodeId, options.driverName);
  for (const slot of slots) {
    await slot.pool().catch((error: unknown) => {
      options.log.error({ pool: slot.config.name, error }, "the pool can't be used; its calls fail until it can");
    });
  }
  const context = new Context(pools, new Ledger(), options.log, options.opensVolumes);
  const answering = new Answering(context, new CreateRules(context), new SnapshotRules(context));
  const watch = options.opensVolumes === false ? () => undefined : (pool: Pool) => answering.watch(pool);
  return {
    controller: controllerRules(context, slots, options),
    node: nodeRules(context, slots, options),
    readiness: { ready: () => readiness(slots) },
    start: () => recover(context, slots, watch),
    forceDetach: (id, call, how = {}) => forceDetach(context, id, call, how.unfenced ?? false),
    stop: async (graceMs) => {
      answering.stop();
      await context.ledger.stop(graceMs);
      await answering.ended(answerMs);
      for (const slot of slots) await slot.current?.stop();
    },
  };
}

function controllerRules(context: Context, slots: readonly PoolSlot[], options: DriverOptions): ControllerRules {
  const asking = new Asking(context);
  const creating = new CreateRules(context, asking);
  const volumes = new VolumeRules(context);
  const snapshots = new SnapshotRules(context, asking);
  const attaching = new AttachRules(context);
  return {
    features: { ...featuresOf(slots, context.pools.shared), expandsOnNode: options.controllerExpansion === false },
    create: (request, call) => explained(creating.create(request, call), call),
    remove: (id, call) => explained(volumes.remove(id, call), call),
    get: (id, call) => explained(volumes.get(id), call),
    list: (page, call) => {
      const read = async () =>
        paged(
          await context.pools.all(),
          page,
          (pool, after, max) => withoutEphemeral(pool.list(after, max)),
          (pool, volume) => viewOf(context.pools, pool, volume),
        );
      return explained(read(), call);
    },
    validate: (id, asked, call) => explained(volumes.validate(id, asked), call),
    capacity: (asked, call) => explained(volumes.capacity(asked), call),
    attach: (asked, call) => explained(attaching.attach(asked, call), call),
    detach: (asked, call) => explained(attaching.detach(asked, call), call),
    expand: (asked, call) => explained(volumes.expand(asked, call), call),
    createSnapshot: (asked, call) => explained(snapshots.create(asked, call), call),
    removeSnapshot: (id, call) => explained(snapshots.remove(id, call), call),
    getSnapshot: (id, call) => explained(snapshots.get(id), call),
    listSnapshots: (asked, call) => explained(snapshots.list(asked), call),
  };
}

function nodeRules(context: Context, slots: readonly PoolSlot[], options: DriverOptions): NodeRules {
  const places = new OwnPlaces(slots.map((slot) => slot.config.path));
  const staging = new StageRules(context);
  const publishing = new PublishRules(context);
  const using = new UseRules(context, options.controllerExpansion === false);
  const ephemeral = new EphemeralRules(context, staging);
  const stage = async (request: StageRequest, call: Call) => {
    places.refuse("staging_target_path", request.stagingPath);
    await staging.stage(request, call);
  };
  const unstage = async (asked: { readonly id: string; readonly stagingPath: string }, call: Call) => {
    places.refuse("staging_target_path", asked.stagingPath);
    await staging.unstage(asked, call);
  };
  const publish = async (request: PublishRequest, call: Call) => {
    places.refuse("target_path", request.targetPath);
    await (isEphemeral(request.context) ? ephemeral : publishing).publish(request, call);
  };
  const unpublish = async (asked: { readonly id: string; readonly targetPath: string }, call: Call) => {
    places.refuse("target_path", asked.targetPath);
    if (!(await ephemeral.unpublish(asked, call))) await publishing.unpublish(asked, call);
  };
  return {
    stage: (request, call) => explained(stage(request, call), call),
    unstage: (asked, call) => explained(unstage(asked, call), call),
    publish: (request, call) => explained(publish(request, call), call),
    unpublish: (asked, call) => explained(unpublish(asked, call), call),
    stats: (asked, call) => explained(using.stats(asked), call),
    expand: (asked, call) => explained(using.expand(asked, call), call),
    info: () => {
      const topology = context.pools.segments();
      return { nodeId: options.nodeId, maxVolumes: options.maxVolumes, ...(topology ? { topology } : {}) };
    },
  };
}

/** Nothing is declared that the configured pools can't do. Of a pool that is missing, its backend tells. */
function featuresOf(slots: readonly PoolSlot[], shared: boolean): Features {
  const features = slots.flatMap((slot) => slot.offers ?? []);
  return {
    snapshots: features.some((each) => each.snapshots),
    clones: features.some((each) => each.clones),
    expand: features.some((each) => each.expand),
    attach: shared,
    topology: !shared,
  };
}

async function readiness(slots: readonly PoolSlot[]): Promise<string | undefined> {
  const reasons: string[] = [];
  for (const slot of slots) {
    try {
      const reason = await (await slot.pool()).unavailable();
      if (reason === undefined) return undefined;
      reasons.push(reason);
    } catch (error) {
      reasons.push(Problem.from(error).message);
    }
  }
  return reasons.join("; ");
}

/** Also of a pool whose disk comes later. */
function recover(context: Context, slots: readonly PoolSlot[], watch: (pool: Pool) => void): void {
  for (const slot of slots) slot.whenOpened((pool) => void recoverPool(context, pool, watch));
}

async function recoverPool(context: Context, pool: Pool, watch: (pool: Pool) => void): Promise<void> {
  const staging = new StageRules(context);
  const steps: (() => Promise<unknown>)[] = [
    // What is frozen on request from now on is not to be thawed.
    () => context.hold.thawRecorded(pool).finally(() => watch(pool)),
    () => pool.recover(),
    ...(pool.shared ? [() => context.requests(pool).collect()] : []),
    () => forgetEarlierBoots(context, pool),
    () => staging.closeHalfOpened(pool),
    ...(pool.shared ? [] : [() => new EphemeralRules(context, staging).tellOrphans(pool)]),
  ];
  // A file that is damaged, wherever it stops one step, has nothing to do with the others.
  for (const step of steps) {
    await step().catch((error: unknown) => {
      context.log.error({ pool: pool.name, error }, "what a crash left in the pool could not be finished");
    });
  }
}

/** Records of an earlier boot: their mounts went with it, and other nodes of a shared pool wait for their removal. */
async function forgetEarlierBoots(context: Context, pool: Pool): Promise<void> {
  const records = context.records(pool);
  await eachApart(await records.keys(), async (key) => {
    if ((await records.read(key)) === undefined) await records.remove(key);
  });
}

/** A page without the pods' own volumes, which are nobody else's to see: it may be shorter than was asked for. */
async function withoutEphemeral(page: Promise<KeyedPage<Volume>>): Promise<KeyedPage<Volume>> {
  const { entries, ...rest } = await page;
  return { entries: entries.filter((volume) => !volume.ephemeral), ...rest };
}

/** Whatever is thrown leaves as a problem of the catalogue. */
async function explained<T>(work: Promise<T>, call: Call): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw explain(error, call.signal);
  }
}
