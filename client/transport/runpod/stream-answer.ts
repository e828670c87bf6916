/**
 * Takes the values out of an answer of /stream while it arrives: `{"status": ..., "stream": [{"output": ...}, ...]}` with keys in any order. An
 * answer may hold a whole result, so that it is never kept: only the value that arrives now, and what is not in the list.
 */
import { JSONParser } from '@streamparser/json';
import { limits } from '../../../shared/index.ts';

/** Of an answer that is no JSON, enough to say what it looks like. */
const headBytes = 64;

/** A part of the answer is longer than anything that RunPod sends. */
export class AnswerTooLong extends Error {}

/** Reads one answer. */
export class StreamAnswer {
  readonly #parser = new JSONParser({
    paths: ['$.stream.*', '$.status', '$.error'],
    keepStack: false,
    stringBufferSize: 65_536,
  });
  readonly #rest: Record<string, unknown> = {};
  #values: unknown[] = [];
  #head = Buffer.alloc(0);
  #broken = false;
  #sinceLastValue = 0;

  constructor() {
    this.#parser.onValue = ({ key, value }) => {
      if (typeof key === 'number') this.#values.push(value);
      else if (key !== undefined) this.#rest[key] = value;
    };
    this.#parser.onError = () => {
      this.#broken = true;
    };
  }

  /** Takes bytes and answers with the elements that are complete now. Throws {@link AnswerTooLong}. */
  push(bytes: Uint8Array): unknown[] {
    if (this.#head.length < headBytes) this.#head = Buffer.concat([this.#head, bytes.subarray(0, headBytes)]);
    if (!this.#broken) this.#parser.write(bytes);
    const values = this.#values;
    this.#values = [];
    this.#sinceLastValue = values.length > 0 ? 0 : this.#sinceLastValue + bytes.length;
    if (this.#sinceLastValue > limits.publicAnswerBytes) throw new AnswerTooLong();
    return values;
  }

  /** What the answer says besides its elements; the beginning of its text when it is no JSON. */
  rest(): unknown {
    return this.#broken || !this.#parser.isEnded ? this.#head.toString('utf8') : this.#rest;
  }
}
