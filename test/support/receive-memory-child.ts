// Receives a result of noise over /stream, saves it, and prints how far memory rose, in a process of its own. Arguments: output folder, bytes, how
// it ends ('close': as it should, 'forget': without saving and closing). The server is in the same process and makes the noise as it is read.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createClient, saveArtifacts } from '../../client/index.ts';
import { serveStreamedResult, streamedResult } from './streamed-result.ts';

const [, , folder = '', size = '0', end = 'close'] = process.argv;

const used = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
let before = { used: 0, rss: 0 };
const peak = { used: 0, rss: 0 };
const measure = () => {
  // What is live, not what has not been collected yet.
  globalThis.gc?.();
  peak.used = Math.max(peak.used, used());
  peak.rss = Math.max(peak.rss, process.memoryUsage.rss());
};

const sent = streamedResult(Number(size));
const { baseUrl, server } = await serveStreamedResult(sent, (index) => {
  if (index % 8 === 0) measure();
});
const client = createClient({ apiKey: 'k', endpointId: 'ep', baseUrl });
globalThis.gc?.();
before = { used: used(), rss: process.memoryUsage.rss() };
const result = await client.job('j').wait();
measure();
if (result.kind !== 'succeeded') throw new Error(`ended as ${JSON.stringify('error' in result && result.error)}`);
let intact = false;
if (end === 'close') {
  const [saved] = await saveArtifacts(result.envelope.artifacts, { folder });
  measure();
  const hash = createHash('sha256');
  for await (const read of createReadStream(saved?.path ?? '')) hash.update(read as Buffer);
  intact = hash.digest('hex') === sent.artifact.sha256;
  await client.close();
}
server.closeAllConnections();
server.close();
const report = { intact, usedGrowth: peak.used - before.used, rssGrowth: peak.rss - before.rss };
process.stdout.write(JSON.stringify(report), () => {
  // Without closing, the client's connections would keep the process.
  if (end === 'forget') process.exit();
});
