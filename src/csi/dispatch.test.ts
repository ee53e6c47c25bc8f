import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, connect as http2Connect } from "node:http2";
import { connect as netConnect } from "node:net";
import { test } from "node:test";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { Problem } from "../pools/problem.ts";
import type { Call } from "../volumes/api.ts";
import { CsiError, connect } from "./client.ts";
import { VolumeCapability_AccessMode_Mode as Mode } from "./gen/csi_pb.ts";
import { aVolume, testServer } from "./test-server.ts";

const capability = { accessMode: { mode: Mode.SINGLE_NODE_WRITER }, accessType: { case: "block" as const, value: {} } };

async function failure(call: Promise<unknown>): Promise<CsiError> {
  const error = await call.then(
    () => assert.fail("the call succeeded"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CsiError, String(error));
  return error;
}

/** Sends bytes as they are, where the typed client would not. */
function rawCall(path: string, method: string, bytes: Uint8Array): Promise<ServiceError | null> {
  const raw = new Client(`unix:${path}`, credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
  return new Promise((resolve) => {
    raw.makeUnaryRequest(
      method,
      () => Buffer.from(bytes),
      (answer: Buffer) => answer,
      {},
      new Metadata(),
      {},
      (error) => {
        raw.close();
        resolve(error);
      },
    );
  });
}

/** Resolves with the reason when the signal aborts. */
function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason), { once: true }));
}

test("a problem becomes its code and its message, an unexpected error says nothing but where to look", async () => {
  const surprise = new TypeError("cannot read properties of the inner secret");
  await using t = await testServer({
    controller: {
      get: async () => {
        throw new Problem("OPERATION_RUNNING", "CreateSnapshot holds the volume since 3 s");
      },
      remove: async () => {
        throw surprise;
      },
    },
  });
  const busy = await failure(t.client.controller.controllerGetVolume({ volumeId: "v" }));
  assert.deepEqual([busy.code, busy.rpc], ["ABORTED", "ControllerGetVolume"]);
  assert.match(busy.message, /^CreateSnapshot holds the volume since 3 s; call again.*\[OPERATION_RUNNING\]$/);
  const odd = await failure(t.client.controller.deleteVolume({ volumeId: "v" }));
  assert.equal(odd.code, "INTERNAL");
  assert.doesNotMatch(odd.message, /inner secret/);
  const [first, second] = await t.calls();
  assert.deepEqual([first?.["code"], first?.["problem"], first?.["level"]], ["ABORTED", "OPERATION_RUNNING", "warn"]);
  assert.equal(second?.["level"], "error");
  assert.match(odd.message, new RegExp(`request ${String(second?.["requestId"])} `));
  assert.match(JSON.stringify(second?.["error"]), /TypeError.*inner secret/);
});

test("one line a call: what, whom, how long, how it ended, and whose request", async () => {
  await using t = await testServer({ controller: { create: async () => aVolume, remove: async () => {} } });
  await t.client.controller.createVolume({ name: "n", volumeCapabilities: [capability] });
  await t.client.controller.deleteVolume({ volumeId: "v1" });
  const [made, removed, ...more] = await t.calls();
  assert.equal(more.length, 0);
  const { ms, requestId, time, ...rest } = made ?? {};
  assert.deepEqual(rest, { level: "info", rpc: "CreateVolume", name: "n", volume: "v1", code: "OK", msg: "call" });
  assert.equal(typeof ms, "number");
  assert.ok(time !== undefined && requestId !== removed?.["requestId"]);
  assert.equal(removed?.["volume"], "v1");
});

test("the caller's cancel aborts the signal, and what the work throws then is CANCELLED", async () => {
  let reason: Promise<unknown> | undefined;
  const started = Promise.withResolvers<void>();
  await using t = await testServer({
    node: {
      stage: async (_, call: Call) => {
        reason = aborted(call.signal);
        started.resolve();
        await reason;
        throw new Error("child was killed");
      },
    },
  });
  const cancel = new AbortController();
  const call = failure(
    t.client.node.nodeStageVolume(
      { volumeId: "v", stagingTargetPath: "/s", volumeCapability: capability },
      { signal: cancel.signal },
    ),
  );
  await started.promise;
  cancel.abort();
  assert.equal((await call).code, "CANCELLED");
  const told = await reason;
  assert.ok(told instanceof Problem && told.code === "CALL_CANCELLED");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await t.calls())[0]?.["code"], "CANCELLED");
});

test("the caller's death aborts the signal too", async () => {
  const ended = Promise.withResolvers<unknown>();
  const started = Promise.withResolvers<void>();
  await using t = await testServer({
    controller: {
      remove: async (_, call) => {
        started.resolve();
        ended.resolve(await aborted(call.signal));
      },
    },
  });
  const other = connect(t.path);
  const call = failure(other.controller.deleteVolume({ volumeId: "v" }));
  await started.promise;
  other.close();
  assert.ok(["CANCELLED", "UNAVAILABLE"].includes((await call).code));
  assert.ok((await ended.promise) instanceof Problem);
});

test("the deadline reaches the rules, aborts the signal and is the answer", async () => {
  let seen: number | undefined;
  let reason: unknown;
  await using t = await testServer({
    controller: {
      remove: async (_, call) => {
        seen = call.deadline;
        reason = await aborted(call.signal);
        call.signal.throwIfAborted();
      },
    },
  });
  const before = Date.now();
  const error = await failure(t.client.controller.deleteVolume({ volumeId: "v" }, { timeoutMs: 1_500 }));
  assert.equal(error.code, "DEADLINE_EXCEEDED");
  assert.ok(seen !== undefined && seen >= before && seen <= before + 3_000);
  while (reason === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(reason instanceof Problem && reason.code === "CALL_TIMED_OUT");
});

test("without a deadline there is none, and a finished call's signal stays quiet", async () => {
  let call: Call | undefined;
  await using t = await testServer({
    controller: {
      remove: async (_, given) => {
        call = given;
      },
    },
  });
  await t.client.controller.deleteVolume({ volumeId: "v" }, { timeoutMs: Number.POSITIVE_INFINITY });
  t.client.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(call?.deadline, undefined);
  assert.equal(call?.signal.aborted, false);
});

test("planted secrets reach neither rules, nor log, nor answer", async () => {
  const secret = "pl4nted-s3cret";
  const given: unknown[] = [];
  const note = async (...what: unknown[]): Promise<never> => {
    given.push(what[0]);
    throw new Error(`unexpected, with ${JSON.stringify(what[0])}`);
  };
  await using t = await testServer({
    controller: {
      create: note,
      remove: note,
      attach: note,
      detach: note,
      validate: note,
      expand: note,
      createSnapshot: note,
      removeSnapshot: note,
      listSnapshots: note,
      getSnapshot: note,
    },
    node: { stage: note, publish: note, expand: note },
  });
  const secrets = { [secret]: secret, password: secret };
  const { controller, node, groupController } = t.client;
  const id = { volumeId: "v", snapshotId: "s", secrets };
  const flags = {
    ...capability,
    accessType: { case: "mount" as const, value: { mountFlags: [`password=${secret}\n`] } },
  };
  const errors = await Promise.all([
    failure(controller.createVolume({ name: "n", volumeCapabilities: [capability], secrets })),
    failure(controller.createVolume({ name: "n", volumeCapabilities: [flags], secrets })),
    failure(controller.createVolume({ name: "", secrets })),
    failure(controller.deleteVolume(id)),
    failure(controller.controllerPublishVolume({ ...id, nodeId: "n", volumeCapability: capability })),
    failure(controller.controllerUnpublishVolume(id)),
    failure(controller.validateVolumeCapabilities({ ...id, volumeCapabilities: [capability] })),
    failure(controller.controllerExpandVolume({ ...id, capacityRange: { requiredBytes: 1n } })),
    failure(controller.controllerModifyVolume(id)),
    failure(controller.createSnapshot({ name: "n", sourceVolumeId: "v", secrets })),
    failure(controller.deleteSnapshot(id)),
    failure(controller.listSnapshots(id)),
    failure(controller.getSnapshot(id)),
    failure(node.nodeStageVolume({ ...id, stagingTargetPath: "/s", volumeCapability: capability })),
    failure(node.nodePublishVolume({ ...id, targetPath: "/t", volumeCapability: capability })),
    failure(node.nodeExpandVolume({ ...id, volumePath: "/t" })),
    failure(groupController.createVolumeGroupSnapshot({ name: "n", secrets })),
    // Cut in the middle of the secret: the decoder must not quote it.
    rawCall(t.path, "/csi.v1.Controller/DeleteVolume", Buffer.concat([Buffer.from([0x12, 0x60]), Buffer.from(secret)])),
  ]);
  assert.equal(given.length, 13);
  assert.doesNotMatch(JSON.stringify(given), /pl4nted/);
  assert.doesNotMatch(errors.map((error) => `${error?.message} ${JSON.stringify(error)}`).join(), /pl4nted/);
  assert.doesNotMatch(await t.logged(), /pl4nted/);
});

test("what is not the message that it should be is INVALID_ARGUMENT, and the next call goes on", async () => {
  await using t = await testServer({});
  const invalidText = Buffer.from([0x0a, 0x02, 0xc3, 0x28]);
  for (const bytes of [Buffer.from([0xff, 0xff, 0xff]), Buffer.from([0x0a, 0x7f, 0x41]), invalidText]) {
    const error = await rawCall(t.path, "/csi.v1.Controller/CreateVolume", bytes);
    assert.match(String(error?.message), /^3 INVALID_ARGUMENT: the message of \d bytes is not a CreateVolumeRequest/);
  }
  assert.equal((await t.client.identity.probe({})).ready, true);
});

test("a method that CSI does not have, and a streaming one, are UNIMPLEMENTED", async () => {
  await using t = await testServer({});
  assert.match(String(await rawCall(t.path, "/csi.v1.Controller/Nonsense", Buffer.alloc(0))), /12 UNIMPLEMENTED: .+/);
  const streamed = await rawCall(t.path, "/csi.v1.SnapshotMetadata/GetMetadataAllocated", Buffer.alloc(0));
  assert.match(String(streamed), /12 UNIMPLEMENTED: GetMetadataAllocated is not implemented/);
});

test("a message over the limit is RESOURCE_EXHAUSTED and harms nobody", async () => {
  await using t = await testServer({ options: { limits: { messageBytes: 100_000 } } });
  const big = failure(t.client.controller.deleteVolume({ volumeId: "x".repeat(200_000) }));
  assert.equal((await big).code, "RESOURCE_EXHAUSTED");
  assert.equal((await t.client.identity.probe({})).ready, true);
});

test("a long message, with half a character in it, still arrives", async () => {
  await using t = await testServer({
    controller: {
      remove: async () => {
        throw new Problem("COMMAND_FAILED", `${"€".repeat(1999)}\ud83d\ude00${"x".repeat(100_000)}`);
      },
    },
  });
  const error = await failure(t.client.controller.deleteVolume({ volumeId: "v" }));
  assert.equal(error.code, "INTERNAL");
  assert.match(error.message, /^€{1999}/);
});

test("an answer that is no message of CSI is INTERNAL, not a crash", async () => {
  await using t = await testServer({ controller: { get: async () => ({ ...aVolume, capacity: 1.5 }) } });
  assert.equal((await failure(t.client.controller.controllerGetVolume({ volumeId: "v" }))).code, "INTERNAL");
  assert.equal((await t.client.identity.probe({})).ready, true);
});

test("garbage on the socket harms nobody", async () => {
  await using t = await testServer({});
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const pieces = [
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "\0".repeat(5000),
    "",
    `${preface.toString("latin1")}\xff\xff\xff\xff\xff\xff\xff\xff\xff`,
  ];
  for (const piece of pieces) {
    const socket = netConnect(t.path);
    socket.on("error", () => {});
    socket.end(Buffer.from(piece, "latin1"));
    socket.resume();
    await once(socket, "close");
  }
  const abrupt = netConnect(t.path);
  abrupt.write(preface, () => abrupt.destroy());
  await once(abrupt, "close");
  assert.equal((await t.client.identity.probe({})).ready, true);
});

for (const [authority, accepted] of [
  ["localhost", true],
  ["%2Frun%2Fcsi.sock", true],
  ["", false],
  ["/run/csi.sock", false],
] as const) {
  test(`an :authority of '${authority}' is ${accepted ? "served" : "refused by HTTP/2 itself, and others go on"}`, async () => {
    await using t = await testServer({});
    const session = http2Connect("http://localhost", { createConnection: () => netConnect(t.path) });
    session.on("error", () => {});
    const stream = session.request({
      ":method": "POST",
      ":path": "/csi.v1.Identity/Probe",
      ":authority": authority,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const trailers = new Promise((resolve) => {
      stream.on("trailers", (headers) => resolve(Number(headers["grpc-status"])));
      stream.on("error", () => resolve("refused"));
      stream.on("close", () => resolve(`closed ${stream.rstCode}`));
    });
    stream.end(Buffer.alloc(5));
    stream.resume();
    const outcome = await trailers;
    if (accepted) assert.equal(outcome, 0);
    else assert.notEqual(outcome, 0, `${String(outcome)} ${constants.NGHTTP2_PROTOCOL_ERROR}`);
    session.destroy();
    assert.equal((await t.client.identity.probe({})).ready, true);
  });
}

test("stop: no new calls, running ones finish, the socket goes", async () => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  await using t = await testServer({
    controller: {
      remove: async () => {
        started.resolve();
        await finish.promise;
      },
    },
  });
  const running = t.client.controller.deleteVolume({ volumeId: "v" });
  await started.promise;
  const stopped = t.server.stop({ graceMs: 5000 });
  const late = await failure(t.client.controller.listVolumes({}));
  assert.equal(late.code, "UNAVAILABLE");
  assert.match(late.message, /STOPPING/);
  finish.resolve();
  await running;
  await stopped;
  assert.equal((await failure(connect(t.path).identity.probe({}))).code, "UNAVAILABLE");
});

test("stop: what does not finish in time is aborted", async () => {
  const started = Promise.withResolvers<void>();
  await using t = await testServer({
    controller: {
      remove: async (_, call) => {
        started.resolve();
        throw await aborted(call.signal);
      },
    },
  });
  const running = failure(t.client.controller.deleteVolume({ volumeId: "v" }));
  await started.promise;
  await t.server.stop({ graceMs: 20 });
  const error = await running;
  assert.equal(error.code, "UNAVAILABLE");
  assert.match(error.message, /the driver is stopping/);
});
