/** Runs `work` over `items`, at most `limit` at a time; answers in order. All have ended when it settles; the first failure is thrown. */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = [...items.entries()];
  const run = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results[next[0]] = await work(next[1]);
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, run));
  const failed = ended.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason as Error;
  return results;
}
