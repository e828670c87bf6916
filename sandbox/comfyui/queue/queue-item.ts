// One queued prompt and how two of them compare (ComfyUI protocol notes §1.3.1 "Ordering and ties", §1.4).
import { NodeError } from '../node-definition.ts';
import { asNumber, compareNumbers, deepCopy, type PyDict, type PyValue, pyEquals } from '../python-json.ts';
import { pyTypeName } from '../python-repr.ts';

/** The Python tuple `(number, prompt_id, prompt, extra_data, outputs_to_execute)`. */
export interface QueueItem {
  /** An int when the server counted, a PyFloat when the client gave it. */
  readonly number: PyValue;
  readonly promptId: string;
  /** The posted graph with coerced constants. */
  readonly prompt: PyDict;
  /** Normally a dict; anything the client sent. */
  readonly extraData: PyValue;
  readonly outputs: readonly string[];
}

/** The item as `/queue` and history show it. */
export function itemTuple(item: QueueItem): PyValue[] {
  return [item.number, item.promptId, item.prompt, item.extraData, [...item.outputs]];
}

/** A deep copy: what `queue_running` and history hold, untouched by the execution of the original. */
export function copyItem(item: QueueItem): QueueItem {
  return { ...item, prompt: deepCopy(item.prompt), extraData: deepCopy(item.extraData), outputs: [...item.outputs] };
}

/** Python's `a < b` for the two tuples. Throws TypeError when numbers and ids are equal but the graphs differ. */
export function isBefore(a: QueueItem, b: QueueItem): boolean {
  const order = compareNumbers(asNumber(a.number) ?? 0, asNumber(b.number) ?? 0);
  if (order !== 0) return order === -1;
  if (a.promptId !== b.promptId) return a.promptId < b.promptId;
  for (const [left, right] of [
    [a.prompt, b.prompt],
    [a.extraData, b.extraData],
  ] as const) {
    if (!pyEquals(left, right)) {
      const [first, second] = [pyTypeName(left), pyTypeName(right)];
      throw new NodeError('TypeError', `'<' not supported between instances of '${first}' and '${second}'`);
    }
  }
  const length = Math.min(a.outputs.length, b.outputs.length);
  for (let index = 0; index < length; index += 1) {
    const [left, right] = [a.outputs[index] ?? '', b.outputs[index] ?? ''];
    if (left !== right) return left < right;
  }
  return a.outputs.length < b.outputs.length;
}
