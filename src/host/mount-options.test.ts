import assert from "node:assert/strict";
import { test } from "node:test";
import { splitFlags } from "./mount-options.ts";

test("flags of the mount are told from those of the file system", () => {
  assert.deepEqual(splitFlags(["nosuid,nodev", "data=ordered", "discard", "rw", "defaults", "", "_netdev"]), {
    set: 0x6,
    clear: 0x6 | 0x1,
    filesystem: [["data", "ordered"], ["discard"]],
  });
});

test("later flags win, and access times are one field", () => {
  assert.equal(splitFlags(["nosuid", "suid"]).set, 0);
  assert.equal(splitFlags(["suid", "nosuid"]).set, 0x2);
  assert.deepEqual(splitFlags(["noatime", "strictatime"]), { set: 0x20, clear: 0x70, filesystem: [] });
  assert.deepEqual(splitFlags(["noatime", "relatime", "nodiratime"]), { set: 0x80, clear: 0xf0, filesystem: [] });
});

test("what would be another operation is refused by name", () => {
  for (const flag of ["remount", "bind", "loop=/dev/loop1", "shared"]) {
    assert.throws(() => splitFlags(["noatime", flag]), {
      code: "EINVAL",
      message: new RegExp(`mount flag ${flag}: .*not allowed`),
    });
  }
});
