import { run } from "./command.ts";
export async function freeze(o: {
  mountPath: string;
  maxMs: number;
  record: () => Promise<void>;
}): Promise<{ thaw(): Promise<boolean>; frozenMs(): number }> {
  await o.record();
  const t = Date.now();
  await run("fsfreeze", ["-f", o.mountPath]);
  let ms = 0;
  return {
    thaw: async () => {
      await run("fsfreeze", ["-u", o.mountPath]);
      ms = Date.now() - t;
      return true;
    },
    frozenMs: () => ms,
  };
}
export async function thaw(p: string): Promise<boolean> {
  try {
    await run("fsfreeze", ["-u", p]);
    return true;
  } catch {
    return false;
  }
}
