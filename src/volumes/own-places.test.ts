import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OwnPlaces } from "./own-places.ts";

test("nothing of a request leads into a pool or covers it, by whatever name the pool is configured", () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "holdfast-test-")));
  const [real, link] = [join(folder, "disk/pool"), join(folder, "link")];
  mkdirSync(real, { recursive: true });
  symlinkSync(real, link);
  const places = new OwnPlaces([link, join(folder, "none")]);
  const within = [
    real,
    link,
    `${real}/volumes`,
    `${link}/trash/x`,
    join(folder, "disk"),
    folder,
    "/",
    `${folder}/none`,
  ];
  for (const path of within) {
    assert.throws(() => places.refuse("target_path", path), { code: "FIELD_INVALID", message: /target_path/ });
  }
  for (const path of [`${real}-beside`, `${folder}/pods/target`, `${folder}/di`, "/elsewhere"])
    assert.equal(places.refuse("target_path", path), undefined);
  rmSync(folder, { recursive: true });
});
