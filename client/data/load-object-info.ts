/**
 * The node classes of the ComfyUI version that this package knows, for the case that no ComfyUI can be asked. Apart from the conversion, which is
 * pure and takes any `/object_info`: this one needs Node. Nothing is read or unpacked before the first call.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { ObjectInfo } from '../workflow/convert/object-info.ts';
import { unrecordedClasses } from './unrecorded-classes.ts';

/** Declarations and where they are from. */
export interface KnownObjectInfo {
  /** Version of ComfyUI, such as `0.3.64`. */
  readonly version: string;
  readonly objectInfo: ObjectInfo;
}

let loaded: Promise<KnownObjectInfo> | undefined;

/** Loads the declarations of the core classes; the same object at every call. Custom nodes and lists of model files are not in it. */
export function loadObjectInfo(): Promise<KnownObjectInfo> {
  loaded ??= unpack();
  return loaded;
}

async function unpack(): Promise<KnownObjectInfo> {
  const { packedObjectInfo, packedVersion } = await import('./object-info-data.ts');
  const json = await promisify(gunzip)(Buffer.from(packedObjectInfo, 'base64'));
  const recorded = JSON.parse(json.toString('utf8')) as ObjectInfo;
  return { version: packedVersion, objectInfo: { ...unrecordedClasses, ...recorded } };
}
