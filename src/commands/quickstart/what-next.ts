import type { Scratch } from "./scratch.ts";

/** What to type while the driver of `--keep` runs, and how to end it. */
export function whatNext({ socket, folder }: Scratch, pid: number): string {
  return `
The driver goes on as process ${pid}. Try:

  export CSI_ENDPOINT=unix://${socket}
  bin/holdfast info
  bin/holdfast volume create mine --size 1Gi --fs-type ext4
  bin/holdfast volume list
  bin/holdfast volume stage ID --fs-type ext4 --staging-path ${folder}/staging/mine
  bin/holdfast volume publish ID --fs-type ext4 --staging-path ${folder}/staging/mine --target-path ${folder}/pods/mine/data
  bin/holdfast snapshot create cut --volume ID
  bin/holdfast volume --help

Its log: ${folder}/driver.log

To end it and remove all of ${folder}, run quickstart again without --keep, or:

  bin/holdfast quickstart --clear
`;
}
