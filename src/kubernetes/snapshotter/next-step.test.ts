import assert from "node:assert/strict";
import { test } from "node:test";
import type { VolumeSnapshotContent } from "../api/snapshot-types.ts";
import { beingCreated, beingDeleted, memberOfGroup } from "../snapshots/names.ts";
import { nextStep } from "./next-step.ts";

type Status = VolumeSnapshotContent["status"];
interface Given {
  readonly source?: VolumeSnapshotContent["spec"]["source"];
  readonly marks?: readonly string[];
  readonly deleting?: boolean;
  readonly policy?: "Delete" | "Retain";
  readonly uid?: string;
  readonly status?: Status;
}

function content({ source, marks = [], deleting, policy = "Delete", uid = "u", status }: Given): VolumeSnapshotContent {
  return {
    metadata: {
      name: "c",
      annotations: Object.fromEntries(marks.map((mark) => [mark, "yes"])),
      ...(deleting && { deletionTimestamp: "2026-01-01T00:00:00Z" }),
    },
    spec: {
      driver: "d",
      deletionPolicy: policy,
      source: source ?? { volumeHandle: "v" },
      volumeSnapshotRef: { name: "s", namespace: "n", ...(uid !== "" && { uid }) },
    },
    ...(status && { status }),
  };
}

const ready: Status = { snapshotHandle: "h", readyToUse: true };
const made = { snapshotHandle: "h" };

const table: readonly [what: string, given: Given, step: ReturnType<typeof nextStep>][] = [
  ["a new one is cut", {}, "cut"],
  ["one that failed is cut again", { status: { readyToUse: false, error: { message: "m" } } }, "cut"],
  ["one that is cut and not ready yet is asked for again", { status: { ...made, readyToUse: false } }, "cut"],
  ["a ready one is left alone", { status: ready }, "nothing"],
  ["a ready one with the mark of a create loses it", { status: ready, marks: [beingCreated] }, "settle"],
  ["one that exists is looked at", { source: made }, "look"],
  ["one that exists and is ready is left alone", { source: made, status: ready }, "nothing"],
  ["a member waits for its group", { marks: [memberOfGroup] }, "wait"],
  [
    "a member that its group made is looked at",
    { marks: [memberOfGroup], status: { ...made, volumeGroupSnapshotHandle: "g", readyToUse: false } },
    "look",
  ],
  ["deleted, but its snapshot is not", { deleting: true, status: ready }, "nothing"],
  ["deleted with its snapshot", { deleting: true, marks: [beingDeleted], status: ready }, "delete"],
  ["and retained", { deleting: true, marks: [beingDeleted], status: ready, policy: "Retain" }, "release"],
  ["deleted and gone from the storage", { deleting: true, marks: [beingDeleted], status: {} }, "release"],
  ["deleted before it was cut", { deleting: true, marks: [beingDeleted] }, "release"],
  [
    "deleted while the create has no answer: the create goes on",
    { deleting: true, marks: [beingDeleted, beingCreated], status: { readyToUse: false } },
    "cut",
  ],
  [
    "deleted after the create was answered, the mark still there",
    { deleting: true, marks: [beingDeleted, beingCreated], status: ready },
    "settle",
  ],
  ["one that exists, deleted before it was bound", { source: made, uid: "", deleting: true }, "release"],
  [
    "one that exists, was looked at, and is deleted before it was bound",
    { source: made, uid: "", deleting: true, status: ready },
    "delete",
  ],
  [
    "a member goes with its group",
    { deleting: true, marks: [beingDeleted], status: { ...ready, volumeGroupSnapshotHandle: "g" } },
    "release",
  ],
];

for (const [what, given, step] of table) test(what, () => assert.equal(nextStep(content(given)), step));
