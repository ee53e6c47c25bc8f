export async function setDiscardLimit(_n: number, _l: number): Promise<void> {}
