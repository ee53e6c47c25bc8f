/**
 * Where nothing may be mounted or taken away: the pools' own folders, all in them, and what they lie in. A path of a
 * request that leads there would cover other volumes, or be removed with them.
 */
import { realpathSync } from "node:fs";
import { Problem } from "../pools/problem.ts";

export class OwnPlaces {
  readonly #folders: readonly string[];

  /** `folders`: of the pools, as configured; absolute. */
  constructor(folders: readonly string[]) {
    // Targets are reached without a symlink, so the folder's real path is the one to compare with.
    this.#folders = [...new Set(folders.flatMap((folder) => [folder, realOf(folder)]))];
  }

  /** `path`: absolute and clean. @throws FIELD_INVALID */
  refuse(field: string, path: string): void {
    const folder = this.#folders.find((each) => isWithin(path, each) || isWithin(each, path));
    if (folder === undefined) return;
    const how = isWithin(path, folder) ? "lies in" : "would cover";
    throw new Problem("FIELD_INVALID", `${field} ${path} ${how} the pool at ${folder}`);
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** A folder that is not there yet has no other name. */
function realOf(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}
