import assert from "node:assert/strict";
import { test } from "node:test";
import { CsiError } from "../../csi/client.ts";
import { type ModifyStatus, markModifyFailed } from "./modify-marks.ts";
import { nextModify } from "./next-modify.ts";

interface Case {
  readonly wants?: string;
  readonly has?: string;
  readonly status?: ModifyStatus;
  readonly target?: string;
  readonly says?: boolean;
  readonly failedFinally?: boolean;
  readonly phase?: string;
}

const claimOf = (one: Case) => ({
  spec: { ...(one.wants !== undefined && { volumeAttributesClassName: one.wants }) },
  status: {
    phase: one.phase ?? "Bound",
    conditions: one.says ? [{ type: "ModifyingVolume", status: "True" }] : [],
    ...(one.has !== undefined && { currentVolumeAttributesClassName: one.has }),
    ...(one.status !== undefined && {
      modifyVolumeStatus: { status: one.status, targetVolumeAttributesClassName: one.target ?? "" },
    }),
  },
});

const decide = (one: Case): string => {
  const next = nextModify(claimOf(one), one.failedFinally ?? false);
  return next.act === "modify" ? `${next.target}${next.begun ? " again" : ""}` : next.act;
};

test("a claim that has what it wants, or is not bound, asks for nothing", () => {
  assert.equal(decide({}), "nothing");
  assert.equal(decide({ wants: "a", has: "a" }), "nothing");
  assert.equal(decide({ wants: "a", phase: "Pending" }), "nothing");
});

test("another class is asked for, and what is under way is ended first", () => {
  assert.equal(decide({ wants: "b", has: "a" }), "b");
  assert.equal(decide({ wants: "b", has: "a", status: "Pending" }), "b");
  assert.equal(decide({ wants: "b", has: "a", status: "InProgress", target: "b" }), "b again");
  assert.equal(decide({ wants: "c", has: "a", status: "InProgress", target: "b" }), "b again");
  assert.equal(decide({ wants: "a", has: "a", status: "InProgress", target: "b" }), "b again", "the way back too");
  assert.equal(decide({ wants: "c", has: "a", status: "InProgress", target: "b", failedFinally: true }), "c");
  assert.equal(decide({ wants: "c", has: "a", status: "Infeasible", target: "b" }), "c");
  assert.equal(decide({ wants: "a", has: "a", status: "Infeasible", target: "b" }), "a");
});

test("a wish that was taken back", () => {
  assert.equal(decide({ status: "Infeasible", target: "b", says: true }), "cancel");
  assert.equal(decide({ status: "Infeasible", target: "b" }), "nothing");
  assert.equal(decide({ status: "InProgress", target: "b" }), "b again");
  assert.equal(decide({ status: "InProgress", target: "b", failedFinally: true }), "b again");
});

test("an error's reason is its code as Go writes it, and its time stays while it is the same", () => {
  const failed = (code: string, conditions: object[] = []) => {
    const claim = { status: { conditions } } as Parameters<typeof markModifyFailed>[0];
    const { status } = markModifyFailed(claim, "b", new CsiError(code, "why", "ControllerModifyVolume"), {
      final: true,
      infeasible: false,
    });
    return status.conditions[1];
  };
  assert.equal(failed("INVALID_ARGUMENT")?.reason, "InvalidArgument");
  assert.equal(failed("CANCELLED")?.reason, "Canceled");
  assert.equal(failed("ABORTED")?.message, "ABORTED: why");
  const before = { type: "ModifyVolumeError", status: "True", reason: "Aborted", lastTransitionTime: "then" };
  assert.equal(failed("ABORTED", [before])?.lastTransitionTime, "then");
  assert.notEqual(failed("INTERNAL", [before])?.lastTransitionTime, "then");
});
