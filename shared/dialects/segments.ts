/**
 * JSON text in segments: text, and places where the bytes of an artifact belong as base64. Whoever sends it fills the places while
 * sending, so that a result of many megabytes never is one string, and its exact length is known before.
 */
import { base64EncodedLength } from '../base64.ts';
import { fernetTokenLength } from './fernet.ts';
import { isRecord } from './foreign-value.ts';

/** Where the bytes of artifact `artifact` stand: as standard base64, or as a Fernet token of the bytes. Quotes are in the text around. */
export interface ArtifactSegment {
  readonly artifact: number;
  readonly form: 'base64' | 'sealed';
}

/** A piece of the answer: JSON text or the place of an artifact. */
export type Segment = string | ArtifactSegment;

const slotMark = Symbol('artifact slot');

/** A JSON string in the making: `prefix` (plain ASCII, nothing to escape), then the artifact. */
export interface ArtifactSlot {
  readonly [slotMark]: ArtifactSegment;
  readonly prefix: string;
}

/** The place of an artifact in a value for {@link jsonSegments}. */
export function artifactSlot(artifact: number, form: ArtifactSegment['form'] = 'base64', prefix = ''): ArtifactSlot {
  return { [slotMark]: { artifact, form }, prefix };
}

function isSlot(value: unknown): value is ArtifactSlot {
  return typeof value === 'object' && value !== null && slotMark in value;
}

/** Writes a value as JSON like `JSON.stringify`, with its slots as segments of their own. Neighbouring texts are one segment. */
export function jsonSegments(value: unknown): readonly Segment[] {
  const segments: Segment[] = [];
  let text = '';
  const write = (part: unknown): void => {
    if (isSlot(part)) {
      segments.push(`${text}"${part.prefix}`, part[slotMark]);
      text = '"';
    } else if (Array.isArray(part)) {
      text += '[';
      for (const [i, item] of part.entries()) {
        if (i > 0) text += ',';
        write(item);
      }
      text += ']';
    } else if (isRecord(part)) {
      text += '{';
      const entries = Object.entries(part).filter(([, inner]) => inner !== undefined);
      for (const [i, [key, inner]] of entries.entries()) {
        text += `${i > 0 ? ',' : ''}${JSON.stringify(key)}:`;
        write(inner);
      }
      text += '}';
    } else {
      text += JSON.stringify(part) ?? 'null';
    }
  };
  write(value);
  return text === '' ? segments : [...segments, text];
}

/** Exact length of the answer in bytes of UTF-8, when artifact `i` has `sizes[i]` bytes. */
export function segmentsByteLength(segments: readonly Segment[], sizes: readonly number[]): number {
  const encoder = new TextEncoder();
  return segments.reduce((sum, segment) => {
    if (typeof segment === 'string') return sum + encoder.encode(segment).length;
    const size = sizes[segment.artifact] ?? 0;
    return sum + (segment.form === 'sealed' ? fernetTokenLength(size) : base64EncodedLength(size));
  }, 0);
}
