/** Puts the rules together over the configured pools. */
import { inShare } from "../host/share.ts";
import { silent, within } from "../host/within.ts";
import type { Log } from "../observe/log.ts";
import type { KeyedPage, Pool, Volume } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { unlessUnreadable } from "../pools/record.ts";
import { makeFolder } from "../pools/shelf.ts";
import { checkTogether, loadBackend, type PoolConfig, PoolSlot } from "../pools/slots.ts";
import { Answering } from "./answering.ts";
import { Bystanders } from "./answers.ts";
import type {
  Call,
  ControllerRules,
  CreateVolumeRequest,
  Features,
  NodeRules,
  Page,
  PublishRequest,
  Readiness,
  StageRequest,
} from "./api.ts";
import { Asking } from "./asking.ts";
import { AttachRules } from "./attaching.ts";
import { Context } from "./context.ts";
import { VolumeRules } from "./controller.ts";
import { CreateRules } from "./creating.ts";
import { forgetEarlierBoots } from "./earlier-boots.ts";
import { EphemeralRules } from "./ephemeral.ts";
import { forceDetach } from "./force-detach.ts";
import { isEphemeral } from "./inline-attributes.ts";
import { Ledger } from "./ledger.ts";
import { Membership } from "./membership.ts";
import { OwnPlaces } from "./own-places.ts";
import { PoolSet } from "./pool-set.ts";
import { PublishRules } from "./publishing.ts";
import { serve } from "./serving.ts";
import { SnapshotRules } from "./snapshots.ts";
import { idOfSource } from "./sources.ts";
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

/** Milliseconds that a pool gets to open before the start goes on without it, and to say whether it can be used. */
const openWithinMs = 5_000;
const readyWithinMs = 2_500;

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
  for (const slot of slots) await opened(slot, options.log);
  const ready = new Bystanders(readyWithinMs, options.log);
  const context = new Context(pools, new Ledger(), options.log, options.opensVolumes);
  const answering = new Answering(context, new CreateRules(context), new SnapshotRules(context));
  const membership = new Membership(options.log);
  const watch = (pool: Pool) => {
    if (options.opensVolumes === false) return;
    answering.watch(pool);
    membership.watch(pool);
  };
  return {
    controller: controllerRules(context, slots, options),
    node: nodeRules(context, slots, options),
    readiness: { ready: () => readiness(slots, ready) },
    start: () => recover(context, slots, watch),
    forceDetach: (id, call, how = {}) => forceDetach(context, id, call, how.unfenced ?? false),
    stop: async (graceMs) => {
      answering.stop();
      await context.ledger.stop(graceMs);
      await answering.ended(answerMs);
      await membership.stop();
      await Promise.all(slots.map((slot) => inShare(slot.share, async () => slot.current?.stop())));
    },
  };
}

/** Or not in time: its disk may not answer, and the others are not to wait for that. */
async function opened(slot: PoolSlot, log: Log): Promise<void> {
  const { name } = slot.config;
  try {
    if ((await within(openWithinMs, slot.pool())) !== silent) return;
    throw new Problem("POOL_UNAVAILABLE", `the pool '${name}' did not open within ${openWithinMs} ms`);
  } catch (error) {
    log.error({ pool: name, error }, "the pool can't be used; its calls fail until it can");
  }
}

function controllerRules(context: Context, slots: readonly PoolSlot[], options: DriverOptions): ControllerRules {
  const { pools } = context;
  const asking = new Asking(context);
  const creating = new CreateRules(context, asking);
  const volumes = new VolumeRules(context);
  const snapshots = new SnapshotRules(context, asking);
  const attaching = new AttachRules(context);
  const of = (id: string) => pools.shareOf(id);
  const forNew = ({ parameters, source }: CreateVolumeRequest) =>
    parameters["pool"] === undefined && source ? of(idOfSource(source)) : pools.shareNamed(parameters["pool"]);
  const listed = async (page: Page, call: Call) =>
    paged(
      await pools.all(call),
      page,
      (pool, after, max) => pools.ask(pool, call, () => withoutEphemeral(pool.list(after, max))),
      (pool, volume) => viewOf(pools, pool, volume).catch(unlessUnreadable),
    );
  // Those that ask several pools ask each in its own share.
  return {
    features: { ...featuresOf(slots, pools.shared), expandsOnNode: options.controllerExpansion === false },
    create: (request, call) => serve(forNew(request), call, () => creating.create(request, call)),
    remove: (id, call) => serve(of(id), call, () => volumes.remove(id, call)),
    get: (id, call) => serve(of(id), call, () => volumes.get(id)),
    list: (page, call) => serve(undefined, call, () => listed(page, call)),
    validate: (id, asked, call) => serve(of(id), call, () => volumes.validate(id, asked)),
    capacity: (asked, call) => serve(undefined, call, () => volumes.capacity(asked, call)),
    attach: (asked, call) => serve(of(asked.id), call, () => attaching.attach(asked, call)),
    detach: (asked, call) => serve(of(asked.id), call, () => attaching.detach(asked, call)),
    expand: (asked, call) => serve(of(asked.id), call, () => volumes.expand(asked, call)),
    createSnapshot: (asked, call) => serve(of(asked.sourceVolumeId), call, () => snapshots.create(asked, call)),
    removeSnapshot: (id, call) => serve(of(id), call, () => snapshots.remove(id, call)),
    getSnapshot: (id, call) => serve(of(id), call, () => snapshots.get(id)),
    listSnapshots: (asked, call) => serve(of(asked.snapshotId ?? ""), call, () => snapshots.list(asked, call)),
  };
}

function nodeRules(context: Context, slots: readonly PoolSlot[], options: DriverOptions): NodeRules {
  const { pools } = context;
  const places = new OwnPlaces(slots.map((slot) => slot.config.path));
  const staging = new StageRules(context);
  const publishing = new PublishRules(context);
  const using = new UseRules(context, options.controllerExpansion === false);
  const ephemeral = new EphemeralRules(context, staging);
  const of = (id: string) => pools.shareOf(id);
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
  const toPublish = ({ id, context }: PublishRequest) =>
    isEphemeral(context) ? pools.shareNamed(context["pool"]) : of(id);
  const unpublish = async (asked: { readonly id: string; readonly targetPath: string }, call: Call) => {
    places.refuse("target_path", asked.targetPath);
    if (!(await ephemeral.unpublish(asked, call))) await publishing.unpublish(asked, call);
  };
  return {
    stage: (request, call) => serve(of(request.id), call, () => stage(request, call)),
    unstage: (asked, call) => serve(of(asked.id), call, () => unstage(asked, call)),
    publish: (request, call) => serve(toPublish(request), call, () => publish(request, call)),
    unpublish: (asked, call) => serve(of(asked.id), call, () => unpublish(asked, call)),
    stats: (asked, call) => serve(of(asked.id), call, () => using.stats(asked)),
    expand: (asked, call) => serve(of(asked.id), call, () => using.expand(asked, call)),
    info: () => {
      const topology = pools.segments();
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

/** Ready where one pool can be used, whether the others answer or not. */
function readiness(slots: readonly PoolSlot[], bystanders: Bystanders): Promise<string | undefined> {
  const reasons: string[] = [];
  return new Promise((resolve) => {
    for (const slot of slots) {
      void reasonOf(slot, bystanders).then((reason) => {
        if (reason === undefined) resolve(undefined);
        else if (reasons.push(reason) === slots.length) resolve(reasons.join("; "));
      });
    }
  });
}

/** Undefined: the pool can be used. */
async function reasonOf(slot: PoolSlot, bystanders: Bystanders): Promise<string | undefined> {
  try {
    const answer = await bystanders.ask(slot, async (pool) => ({ reason: await pool.unavailable() }));
    return answer ? answer.reason : `the pool '${slot.config.name}' does not answer`;
  } catch (error) {
    return Problem.from(error).message;
  }
}

/** Also of a pool whose disk comes later. */
function recover(context: Context, slots: readonly PoolSlot[], watch: (pool: Pool) => void): void {
  for (const slot of slots)
    slot.whenOpened((pool) => void inShare(slot.share, () => recoverPool(context, pool, watch)));
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

/** A page without the pods' own volumes, which are nobody else's to see: it may be shorter than was asked for. */
async function withoutEphemeral(page: Promise<KeyedPage<Volume>>): Promise<KeyedPage<Volume>> {
  const { entries, ...rest } = await page;
  return { entries: entries.filter((volume) => !volume.ephemeral), ...rest };
}
