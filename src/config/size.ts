/** Sizes as people write them: the rules read them too, in the attributes of a pod. */
export { formatSize, parseSize } from "../volumes/size-words.ts";
