import { defaultFolder, type Scratch } from "./scratch.ts";

/** What to type while the driver of `--keep` runs, and how to end it. */
export function whatNext({ socket, folder }: Scratch, pid: number): string {
  const data = `${folder}/pods/mine/data`;
  const other = folder === defaultFolder ? "" : ` --folder ${folder}`;
  return `
The driver goes on as process ${pid}. Try:

  export CSI_ENDPOINT=unix://${socket}
  bin/holdfast info
  ID=$(bin/holdfast volume create mine --size 1Gi --output id)
  bin/holdfast volume list
  bin/holdfast volume stage $ID --staging-path ${folder}/staging/mine
  bin/holdfast volume publish $ID --staging-path ${folder}/staging/mine --target-path ${data}
  cp -r docs ${data} && bin/holdfast volume stats $ID --path ${data}
  bin/holdfast snapshot create cut --volume $ID
  bin/holdfast volume --help

Its log: ${folder}/driver.log

To end it and remove all of ${folder}:

  bin/holdfast quickstart --clear${other}
`;
}
