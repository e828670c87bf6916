/** Takes the node classes out of a description: `/object_info` of its ComfyUI. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { ComfyRunpodError, type Description, limits } from '../../shared/index.ts';

const unpack = promisify(gunzip);

/** Declarations by class name; undefined when the worker left them out. Throws `RESULT_CORRUPT` for data that can't be unpacked. */
export async function readObjectInfo(description: Description): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { data } = description.nodeClasses;
  if (data === undefined) return undefined;
  try {
    const json = await unpack(Buffer.from(data, 'base64'), { maxOutputLength: limits.comfyAnswerBytes });
    const classes: unknown = JSON.parse(json.toString('utf8'));
    if (typeof classes === 'object' && classes !== null && !Array.isArray(classes)) return { ...classes };
  } catch (error) {
    throw new ComfyRunpodError('RESULT_CORRUPT', 'The node classes of the description can not be unpacked.', {
      cause: error,
    });
  }
  throw new ComfyRunpodError('RESULT_CORRUPT', 'The node classes of the description are not a map.');
}
