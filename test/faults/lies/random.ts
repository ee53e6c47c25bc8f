import { hash } from "node:crypto";

/** Numbers from 0 to 1; the same words give the same ones. */
export function randomOf(...words: readonly (string | number)[]): () => number {
  let count = 0;
  return () => {
    count += 1;
    return Number.parseInt(hash("sha256", `${words.join("\0")}\0${count}`).slice(0, 12), 16) / 2 ** 48;
  };
}
