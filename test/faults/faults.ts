/** The table of faults. A new one is one entry: its parts say on which pools and operations it is tried. */
import { fail } from "./fail/fail.ts";
import type { Part } from "./frame/part.ts";
import { hasty } from "./hasty.ts";
import { kill } from "./kill.ts";
import { killedAndCut } from "./killed-and-cut.ts";
import { lies } from "./lies/index.ts";
import { model } from "./model/model.ts";
import { powerCut } from "./power-cut/index.ts";
import { protectionsOff } from "./protections/index.ts";
import { restart } from "./restart.ts";
import { soak } from "./soak/soak.ts";
import { stuck } from "./stuck/index.ts";
import { two } from "./two/index.ts";

export const parts: readonly Part[] = [
  fail,
  hasty,
  kill,
  killedAndCut,
  lies,
  model,
  powerCut,
  protectionsOff,
  restart,
  soak,
  stuck,
  two,
].flat();
