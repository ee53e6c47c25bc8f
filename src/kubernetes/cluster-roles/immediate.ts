/** Claims that wait for no pod: nobody selects a node for them, so the controller does, by what the nodes have left. */
import type { Node, PersistentVolumeClaim } from "kubernetes-types/core/v1.js";
import type { StorageClass } from "kubernetes-types/storage/v1.js";
import { isConflict } from "../api/api-error.ts";
import { Later } from "../api/queue.ts";
import { claims } from "../api/resources.ts";
import { explain } from "../outcome.ts";
import { classNameOf, selectedNodeAnnotation, selectedNodeOf, shownClaim } from "../provisioner/names.ts";
import { askedOf, findSource } from "../provisioner/sources.ts";
import { isAllowed } from "../provisioner/topology.ts";
import { bytesOf } from "../quantity.ts";
import type { Roles } from "./context.ts";
import { isReady } from "./lost-nodes.ts";
import { type Candidate, pickNode } from "./pick.ts";

/** How long a promise counts: by then the node has published what it has left. */
const promisedForMs = 30_000;

interface Promised {
  readonly node: string;
  readonly bytes: bigint;
  readonly at: number;
}

class HolderGone extends Error {
  override readonly name = "HolderGone";
}

export class ImmediateClaims {
  readonly #roles: Roles;
  readonly #refusedForMs: number;
  /** By claim: where it was sent last. */
  readonly #picked = new Map<string, string>();
  #promised: Promised[] = [];
  /** By claim: nodes that had no room, and since when. */
  readonly #refused = new Map<string, Map<string, number>>();

  constructor(roles: Roles, refusedForMs: number) {
    this.#roles = roles;
    this.#refusedForMs = refusedForMs;
  }

  forget(uid: string): void {
    this.#picked.delete(uid);
    this.#refused.delete(uid);
  }

  /** Selects a node where the claim needs one. Throws a Later when none fits. */
  async serve(claim: PersistentVolumeClaim): Promise<void> {
    const { classes, driverName } = this.#roles;
    const storageClass = classes.get(classNameOf(claim));
    if (storageClass?.provisioner !== driverName) return;
    if (selectedNodeOf(claim) !== undefined) return this.#tellOfGoneHolder(claim);
    if (storageClass.volumeBindingMode === "WaitForFirstConsumer") return;
    this.#noteRefusal(claim.metadata?.uid ?? "");
    try {
      if (await this.#isLeftToHolder(claim)) return;
      const node = this.#pick(claim, storageClass);
      await this.#select(claim, node);
    } catch (error) {
      if (error instanceof Later) throw error;
      const why = explain(error);
      this.#roles.events.warning(claims, claim, "ProvisioningFailed", why);
      this.#roles.log.warn({ claim: shownClaim(claim), why }, "no node is picked for the claim yet");
      throw new Later(why);
    }
  }

  /** A node was selected, but it is another that must act, and that one can't say that it is gone. */
  async #tellOfGoneHolder(claim: PersistentVolumeClaim): Promise<void> {
    try {
      await this.#isLeftToHolder(claim);
    } catch (error) {
      // Anything else is told by the selected node.
      if (error instanceof HolderGone) this.#roles.events.warning(claims, claim, "ProvisioningFailed", error.message);
    }
  }

  /** A node that was picked and is not selected any more gave it back. */
  #noteRefusal(uid: string): void {
    const last = this.#picked.get(uid);
    if (last === undefined) return;
    this.#picked.delete(uid);
    const refused = this.#refused.get(uid) ?? new Map<string, number>();
    this.#refused.set(uid, refused.set(last, performance.now()));
  }

  /** Whoever holds the snapshot or volume makes the copy, without being selected. */
  async #isLeftToHolder(claim: PersistentVolumeClaim): Promise<boolean> {
    const { api, driverName, nodes } = this.#roles;
    const asked = askedOf(claim);
    if (asked === undefined) return false;
    if (asked.kind === "other") return true;
    // Whether it may change the mode is for the holder to judge.
    const { holder } = await findSource({ api, driver: { name: driverName } }, claim, asked, true);
    if (holder?.node === undefined) return false;
    if (nodes.get(holder.node) === undefined) {
      throw new HolderGone(`the node ${holder.node}, which holds the ${asked.kind} ${asked.name}, is gone`);
    }
    return true;
  }

  #pick(claim: PersistentVolumeClaim, storageClass: StorageClass): string {
    const { capacities } = this.#roles;
    const uid = claim.metadata?.uid ?? "";
    const now = performance.now();
    const refused = new Set<string>();
    for (const [node, at] of this.#refused.get(uid) ?? []) if (now - at < this.#refusedForMs) refused.add(node);
    this.#promised = this.#promised.filter(({ at }) => now - at < promisedForMs);
    const promised = (node: string) =>
      this.#promised.reduce((sum, each) => (each.node === node ? sum + each.bytes : sum), 0n);
    const wish = { bytes: sizeOf(claim), refused, promised };
    const picked = pickNode(
      this.#candidates(storageClass),
      capacities.by("class", storageClass.metadata?.name ?? ""),
      wish,
    );
    if ("none" in picked) throw new Error(picked.none);
    return picked.node;
  }

  /** Nodes that have the driver, where the class allows them, and where pods may go. */
  #candidates({ allowedTopologies }: StorageClass): Candidate[] {
    const { nodes, registered } = this.#roles;
    const candidates: Candidate[] = [];
    for (const { metadata } of registered.all()) {
      const node = nodes.get(metadata?.name ?? "");
      if (node === undefined || !isUsable(node)) continue;
      const labels = node.metadata?.labels ?? {};
      if (isAllowed(allowedTopologies, labels)) candidates.push({ name: node.metadata?.name ?? "", labels });
    }
    return candidates;
  }

  async #select(claim: PersistentVolumeClaim, node: string): Promise<void> {
    const { api, claims: known, log } = this.#roles;
    const { name = "", namespace = "", uid = "", resourceVersion } = claim.metadata ?? {};
    const promise = { node, bytes: sizeOf(claim), at: performance.now() };
    this.#promised.push(promise);
    this.#picked.set(uid, node);
    const patch = { metadata: { uid, resourceVersion, annotations: { [selectedNodeAnnotation]: node } } };
    try {
      known.put(await api.patch(claims, { name, namespace }, patch));
      log.info({ claim: shownClaim(claim), node }, "a node is picked for the claim");
    } catch (error) {
      this.#promised = this.#promised.filter((each) => each !== promise);
      this.#picked.delete(uid);
      if (isConflict(error)) throw new Later("the claim changed meanwhile", 100);
      throw error;
    }
  }
}

const sizeOf = ({ spec }: PersistentVolumeClaim): bigint => bytesOf(spec?.resources?.requests?.["storage"] ?? "0");

/** Ready, and not cordoned. */
const isUsable = (node: Node): boolean => node.spec?.unschedulable !== true && isReady(node);
