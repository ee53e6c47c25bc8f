/**
 * Which mkfs options a StorageClass may set: those that shape the file system. Never those that name another device or
 * file, set the UUID or the size, or force: the driver decides these. (mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8))
 */
import { Problem } from "../pools/problem.ts";

/** True: any value. A list: the value is keys, with values or without, separated by commas, and each key must be listed. */
type Values = true | readonly string[];
/** Takes no value. */
const flag = false;
type Options = Readonly<Record<string, Values | typeof flag>>;

const ext4: Options = {
  "-b": true,
  "-C": true,
  "-e": true,
  "-E": [
    ...["assume_storage_prezeroed", "discard", "encoding", "encoding_flags", "hash_seed", "lazy_itable_init"],
    ...["lazy_journal_init", "mmp_update_interval", "nodiscard", "num_backup_sb", "packed_meta_blocks", "quotatype"],
    ...["resize", "root_owner", "root_perms", "stride", "stripe_width"],
  ],
  "-g": true,
  "-G": true,
  "-i": true,
  "-I": true,
  "-J": ["size", "fast_commit_size"],
  "-L": true,
  "-m": true,
  "-N": true,
  "-O": true,
  "-T": true,
};

const xfs: Options = {
  "-b": ["size"],
  "-d": ["agcount", "agsize", "concurrency", "cowextsize", "extszinherit", "su", "sunit", "sw", "swidth"],
  "-i": ["align", "attr", "exchange", "maxpct", "nrext64", "perblock", "projid32bit", "size", "sparse"],
  "-K": flag,
  "-l": ["concurrency", "lazy-count", "size", "su", "sunit", "version"],
  "-L": true,
  "-m": ["autofsck", "bigtime", "crc", "finobt", "inobtcount", "metadir", "reflink", "rmapbt"],
  "-n": ["ftype", "parent", "size", "version"],
  "-s": ["size"],
};

const btrfs: Options = {
  "--checksum": true,
  "--csum": true,
  "--data": true,
  "--features": true,
  "--label": true,
  "--metadata": true,
  "--mixed": flag,
  "--nodesize": true,
  "--nodiscard": flag,
  "--runtime-features": true,
  "--sectorsize": true,
  "-d": true,
  "-K": flag,
  "-L": true,
  "-m": true,
  "-M": flag,
  "-n": true,
  "-O": true,
  "-R": true,
  "-s": true,
};

export const allowedMkfsOptions: Readonly<Record<string, Options>> = { ext4, xfs, btrfs };
/** Features that would make something else than a file system. */
const refusedValues = /(?:^|,)journal_dev(?:,|$)/;

/** The words as they were, when each is allowed for the file system. Throws PARAMETER_UNKNOWN, naming the option. */
export function checkMkfsOptions(fsType: string, words: readonly string[]): readonly string[] {
  if (words.length === 0) return words;
  const table = allowedMkfsOptions[fsType];
  if (table === undefined) throw refuse(`the driver sets no options for ${fsType}`);
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const split = splitOption(word);
    const values = table[split.name];
    if (values === undefined)
      throw refuse(`'${printable(word)}' is not allowed for ${fsType}; allowed are ${Object.keys(table).join(" ")}`);
    if (values === flag) {
      if (split.value !== undefined) throw refuse(`'${split.name}' takes no value`);
      continue;
    }
    const value = split.value ?? words[++index];
    if (value === undefined || value.startsWith("-")) throw refuse(`'${split.name}' needs a value`);
    checkValue(split.name, value, values);
  }
  return words;
}

/** `-b`, `-b4096`, `--csum` and `--csum=xxhash`. */
function splitOption(word: string): { name: string; value?: string } {
  const long = /^(--[a-z-]+)(?:=(.*))?$/s.exec(word);
  if (long) return long[2] === undefined ? { name: long[1] ?? "" } : { name: long[1] ?? "", value: long[2] };
  return word.length > 2 ? { name: word.slice(0, 2), value: word.slice(2) } : { name: word };
}

function checkValue(name: string, value: string, allowed: Values): void {
  // No slash, so that no path is named, and nothing that a shell would read, though none ever sees it.
  if (!/^[A-Za-z0-9_.,:=%^+-]{1,200}$/.test(value))
    throw refuse(`the value of '${name}' has a character that is not allowed`);
  if (refusedValues.test(value)) throw refuse(`'${name} ${value}' would not make a file system`);
  if (allowed === true) return;
  for (const part of value.split(",")) {
    const key = part.split("=", 1)[0] ?? "";
    if (!allowed.includes(key)) throw refuse(`'${key}' is not allowed in '${name}'; allowed are ${allowed.join(", ")}`);
  }
}

function refuse(why: string): Problem {
  return new Problem("PARAMETER_UNKNOWN", `mkfsOptions: ${why}`);
}

function printable(word: string): string {
  return word.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 60);
}
