/** The same growths and changes of class through the upstream resizer and through ours: the same objects are left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ControllerExpandVolumeRequest, ControllerModifyVolumeRequest } from "../../src/csi/gen/csi_pb.ts";
import { Problem } from "../../src/pools/problem.ts";
import { type Claim, makeClass, makeSpace, type Space, type Volume } from "../support/cluster/claims.ts";
import { type ControlPlane, startControlPlane } from "../support/cluster/control-plane.ts";
import { startHelper } from "../support/cluster/helper.ts";
import { comparable, distinct } from "../support/cluster/parity.ts";
import { type ScriptedDriver, startScripted } from "../support/cluster/scripted-driver.ts";
import { type StaticOptions, staticVolume } from "../support/cluster/static-volume.ts";
import { startUpstream } from "../support/cluster/upstream.ts";
import { scratchFor } from "../support/scratch.ts";

const mib = (count: number) => BigInt(count) << 20n;

/** One of the two, with a claim `c` in its namespace. */
interface Side {
  readonly space: Space;
  readonly plane: ControlPlane;
  readonly driver: ScriptedDriver;
  claim(): Promise<Claim>;
  /** Waits until the claim is so. */
  until(what: string, is: (claim: Claim) => boolean): Promise<void>;
  /** Merges into the claim's status. */
  status(status: object): Promise<void>;
  /** What the driver was asked for this claim's volume. */
  calls(): object[];
}

interface Case {
  readonly name: string;
  readonly driver?: "nodeOnly";
  readonly volume?: Partial<StaticOptions>;
  readonly expand?: (request: ControllerExpandVolumeRequest, count: number) => { bytes: bigint; onNode?: boolean };
  readonly modify?: (request: ControllerModifyVolumeRequest, count: number) => void;
  /** What happens, until all is quiet. */
  readonly story: (side: Side) => Promise<void>;
  /** Of the claim that ours left. */
  readonly expect: (claim: Claim, volume: Volume) => void;
}

const growth = (claim: Claim) => claim.status.allocatedResourceStatuses?.["storage"];
const conditions = (claim: Claim) => (claim.status.conditions ?? []).map(({ type }) => type).sort();
const has = (claim: Claim, type: string) => conditions(claim).includes(type);
const size = (claim: Claim) => claim.status.capacity?.storage;
const asked = ({ capacityRange }: ControllerExpandVolumeRequest) => capacityRange?.requiredBytes ?? 0n;
const grown = (side: Side, to: string) => side.until(`has ${to}`, (claim) => size(claim) === to);
const refuse = (
  code: "SIZE_OUT_OF_RANGE" | "INTERNAL" | "OPERATION_RUNNING" | "VOLUME_IN_USE" | "VOLUME_NOT_FOUND",
) => {
  throw new Problem(code, "as the test says");
};

const growths: readonly Case[] = [
  {
    name: "without a node's part",
    expand: (request) => ({ bytes: asked(request) }),
    async story(side) {
      await side.space.resize("c", "128Mi");
      await grown(side, "128Mi");
    },
    expect(claim, volume) {
      assert.equal(volume.spec.capacity.storage, "128Mi");
      assert.equal(claim.metadata.annotations?.["volume.kubernetes.io/node-expansion-not-required"], "true");
      assert.deepEqual(conditions(claim), []);
    },
  },
  {
    name: "with a node's part, block, more than asked for",
    volume: { block: true },
    expand: () => ({ bytes: mib(160), onNode: true }),
    async story(side) {
      await side.space.resize("c", "100M");
      await side.until("waits for its node", (claim) => growth(claim) === "NodeResizePending");
    },
    expect(claim, volume) {
      assert.equal(volume.spec.capacity.storage, "160Mi");
      assert.deepEqual(conditions(claim), ["FileSystemResizePending", "Resizing"]);
    },
  },
  {
    name: "twice, with a kubelet between",
    expand: (request) => ({ bytes: asked(request), onNode: true }),
    async story(side) {
      await side.space.resize("c", "128Mi");
      await side.until("waits for its node", (claim) => growth(claim) === "NodeResizePending");
      // More is wanted before the node has done its part: nothing is asked of the driver yet.
      await side.space.resize("c", "256Mi");
      await side.status({
        capacity: { storage: "128Mi" },
        allocatedResourceStatuses: { storage: null },
        conditions: [],
      });
      await side.until("waits for its node again", (claim) => growth(claim) === "NodeResizePending");
    },
    expect: (_, volume) => assert.equal(volume.spec.capacity.storage, "256Mi"),
  },
  {
    name: "an impossible size, then a possible one",
    expand: (request) => (asked(request) > mib(500) ? refuse("SIZE_OUT_OF_RANGE") : { bytes: asked(request) }),
    async story(side) {
      await side.space.resize("c", "1Gi");
      await side.until("says that it can't be", (claim) => growth(claim) === "ControllerResizeInfeasible");
      await side.space.resize("c", "128Mi");
      await grown(side, "128Mi");
    },
    expect: (claim, volume) => {
      assert.equal(volume.spec.capacity.storage, "128Mi");
      assert.deepEqual(conditions(claim), []);
    },
  },
  {
    name: "an impossible size, left",
    expand: () => refuse("VOLUME_NOT_FOUND"),
    async story(side) {
      await side.space.resize("c", "1Gi");
      await side.until("says that it can't be", (claim) => growth(claim) === "ControllerResizeInfeasible");
    },
    expect: (claim) => assert.deepEqual(conditions(claim), ["ControllerResizeError", "Resizing"]),
  },
  {
    name: "a final error that is not of the size, then a smaller wish",
    expand: (request) => (asked(request) > mib(500) ? refuse("INTERNAL") : { bytes: asked(request), onNode: true }),
    async story(side) {
      await side.space.resize("c", "1Gi");
      await side.until("has an error", (claim) => has(claim, "ControllerResizeError"));
      await side.space.resize("c", "128Mi");
      await side.until("waits for its node", (claim) => growth(claim) === "NodeResizePending");
    },
    expect: (_, volume) => assert.equal(volume.spec.capacity.storage, "128Mi"),
  },
  {
    name: "nobody knows how far it came: the smaller wish waits",
    expand: (request, count) => (count < 3 ? refuse("OPERATION_RUNNING") : { bytes: asked(request) }),
    async story(side) {
      await side.space.resize("c", "1Gi");
      await side.until("is under way", (claim) => growth(claim) === "ControllerResizeInProgress");
      await side.space.resize("c", "128Mi");
      await grown(side, "1Gi");
    },
    expect: (_, volume) => assert.equal(volume.spec.capacity.storage, "1Gi"),
  },
  {
    name: "the kubelet could not, then it may try again",
    expand: (request) => ({ bytes: asked(request), onNode: true }),
    async story(side) {
      await side.space.resize("c", "128Mi");
      await side.until("waits for its node", (claim) => growth(claim) === "NodeResizePending");
      await side.status({ allocatedResourceStatuses: { storage: "NodeResizeInfeasible" } });
      await side.until("waits for its node again", (claim) => growth(claim) === "NodeResizePending");
    },
    expect: (claim) => assert.deepEqual(conditions(claim), ["FileSystemResizePending", "Resizing"]),
  },
  {
    name: "not while it is used",
    expand: (request, count) => (count === 0 ? refuse("VOLUME_IN_USE") : { bytes: asked(request) }),
    async story(side) {
      await side.space.pod("user", { claims: { "/data": "c" }, node: "none" });
      await side.space.resize("c", "128Mi");
      await side.until("has an error", (claim) => has(claim, "ControllerResizeError"));
      await side.plane.until("somebody says why", async () =>
        (await side.space.events()).some((event) => /in.use/.test(event)) ? true : undefined,
      );
      assert.equal(side.calls().length, 1);
      await side.space.removePod("user");
      await grown(side, "128Mi");
    },
    expect: (claim) => assert.deepEqual(conditions(claim), []),
  },
  {
    name: "a driver that grows volumes on nodes only",
    driver: "nodeOnly",
    async story(side) {
      await side.space.resize("c", "100M");
      await side.until("waits for its node", (claim) => growth(claim) === "NodeResizePending");
    },
    expect: (_, volume) => assert.equal(volume.spec.capacity.storage, "100M"),
  },
];

/** A class belongs to a driver. */
const classOf = ({ driver }: Side, name: string) => `${name}-${driver.name.split(".")[0]}`;
const wants = (side: Side, name: string) =>
  side.space.api.merge(`/api/v1/namespaces/${side.space.name}/persistentvolumeclaims/c`, {
    spec: { volumeAttributesClassName: classOf(side, name) },
  });
const hasClass = (side: Side, name: string) =>
  side.until(`has class ${name}`, ({ status }) => status.currentVolumeAttributesClassName === classOf(side, name));
const modifying = (claim: Claim) => claim.status.modifyVolumeStatus?.status;

const changes: readonly Case[] = [
  {
    name: "to another class",
    modify: () => undefined,
    async story(side) {
      await wants(side, "gold");
      await hasClass(side, "gold");
    },
    expect: (claim, volume) => {
      assert.equal(volume.spec.volumeAttributesClassName, "gold-ours");
      assert.deepEqual(conditions(claim), []);
    },
  },
  {
    name: "to one that is not there yet",
    modify: () => undefined,
    async story(side) {
      await wants(side, "missing");
      await side.until("waits", (claim) => modifying(claim) === "Pending");
    },
    expect: (claim) => assert.deepEqual(conditions(claim), []),
  },
  {
    name: "to an impossible one",
    modify: () => {
      throw new Problem("PARAMETER_UNKNOWN", "as the test says");
    },
    async story(side) {
      await wants(side, "gold");
      await side.until("can't be", (claim) => modifying(claim) === "Infeasible" && has(claim, "ModifyVolumeError"));
    },
    expect: (claim) => assert.deepEqual(conditions(claim), ["ModifyVolumeError", "ModifyingVolume"]),
  },
  {
    name: "to an impossible one, then to a possible one",
    modify: ({ mutableParameters }) => {
      if (mutableParameters["grade"] === "gold") throw new Problem("PARAMETER_UNKNOWN", "as the test says");
    },
    async story(side) {
      await wants(side, "gold");
      await side.until("can't be", (claim) => modifying(claim) === "Infeasible");
      await wants(side, "silver");
      await hasClass(side, "silver");
    },
    expect: (claim) => assert.deepEqual(conditions(claim), []),
  },
  {
    name: "nobody knows how far it came: the other class waits for its turn",
    modify: (_, count) => (count < 3 ? refuse("OPERATION_RUNNING") : undefined),
    async story(side) {
      await wants(side, "gold");
      await side.until("has an error", (claim) => has(claim, "ModifyVolumeError"));
      await wants(side, "silver");
      await hasClass(side, "silver");
    },
    expect: (claim) => assert.equal(modifying(claim), undefined),
  },
  {
    name: "it fails for good: the other class takes its place",
    modify: ({ mutableParameters }) => (mutableParameters["grade"] === "gold" ? refuse("INTERNAL") : undefined),
    async story(side) {
      await wants(side, "gold");
      await side.until("has an error", (claim) => has(claim, "ModifyVolumeError"));
      await wants(side, "silver");
      await hasClass(side, "silver");
    },
    expect: (claim) => assert.deepEqual(conditions(claim), []),
  },
];

test("the upstream resizer and ours leave the same objects", { timeout: 170_000 }, async (t) => {
  const scratch = scratchFor(t);
  const plane = await startControlPlane(scratch);
  await makeClass(plane, "c", { driver: "any" });
  for (const [name, driverName] of ["ours", "theirs"].flatMap((side) => [
    [`gold-${side}`, `${side}.example`],
    [`silver-${side}`, `${side}.example`],
  ])) {
    await plane.api.create("/apis/storage.k8s.io/v1/volumeattributesclasses", {
      metadata: { name },
      driverName,
      parameters: { grade: name?.replace(/-.*/, "") },
    });
  }
  const cases = [...growths, ...changes];
  const sides = await Promise.all(
    (["ours", "theirs"] as const).map(async (who) => {
      const full = await startScripted(scratch, {
        name: `${who}.example`,
        controller: ["EXPAND_VOLUME", "MODIFY_VOLUME"],
        node: ["EXPAND_VOLUME"],
      });
      const nodeOnly = await startScripted(scratch, { name: `${who}.node.example`, node: ["EXPAND_VOLUME"] });
      const counts = new Map<string, number>();
      const caseOf = (volumeId: string) => {
        const found = cases[Number(volumeId.split("-").at(-1))];
        assert.ok(found, volumeId);
        const count = counts.get(volumeId) ?? 0;
        counts.set(volumeId, count + 1);
        return { found, count };
      };
      full.answers = {
        controllerExpandVolume: (request) => {
          const { found, count } = caseOf(request.volumeId);
          const { bytes = 0n, onNode = false } = found.expand?.(request, count) ?? {};
          return Promise.resolve({ capacityBytes: bytes, nodeExpansionRequired: onNode });
        },
        controllerModifyVolume: (request) => {
          const { found, count } = caseOf(request.volumeId);
          found.modify?.(request, count);
          return Promise.resolve({});
        },
      };
      for (const { socket, name } of [full, nodeOnly]) {
        if (who === "ours") {
          const options = { firstWaitMs: 200, inUseMs: 300 };
          startHelper(plane, "resizer", { socket, name: `resizer-${name}`, options });
        } else {
          const resizer = ["--retry-interval-start=200ms", "--kube-api-qps=100", "--kube-api-burst=100"];
          await startUpstream(plane, { socket, sidecars: { resizer }, prefix: `${name}-` });
        }
      }
      return { who, full, nodeOnly };
    }),
  );

  const play = async ({ who, full, nodeOnly }: (typeof sides)[number], one: Case) => {
    const driver = one.driver === "nodeOnly" ? nodeOnly : full;
    const space = await makeSpace(plane, `${who}-${cases.indexOf(one)}`);
    const handle = `volume-${cases.indexOf(one)}`;
    await staticVolume(space, "c", { driver: driver.name, class: "c", handle, ...one.volume });
    const path = `/api/v1/namespaces/${space.name}/persistentvolumeclaims/c`;
    const side: Side = {
      space,
      plane,
      driver,
      claim: () => space.getClaim("c"),
      until: async (what, is) => {
        await plane.until(
          `${one.name}, ${who}: ${what}`,
          async () => (is(await space.getClaim("c")) ? true : undefined),
          {
            hint: async () => JSON.stringify((await space.getClaim("c")).status),
          },
        );
      },
      status: async (status) => {
        await plane.api.merge(`${path}/status`, { status });
      },
      calls: () =>
        driver.calls
          .map(({ request }) => request)
          .filter((request) => "volumeId" in request && request.volumeId === handle),
    };
    await one.story(side);
    const [claim, volume] = [await space.getClaim("c"), await space.bound("c")];
    const names = { [`${who}.`]: "", [`${who}-`]: "", [`-${who}`]: "" };
    return { claim, volume, same: comparable({ claim, volume }, names), said: distinct(side.calls()) };
  };

  for (const one of cases) {
    await t.test(one.name, async () => {
      const [ours, theirs] = await Promise.all(sides.map((side) => play(side, one)));
      assert.ok(ours && theirs);
      one.expect(ours.claim, ours.volume);
      assert.deepEqual(ours.same, theirs.same);
      assert.deepEqual(ours.said, theirs.said);
    });
  }
});
