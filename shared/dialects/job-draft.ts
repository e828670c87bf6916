/**
 * A job input while a dialect is being read: collects workflow, files, injections and options under the canonical names, remembers what
 * the caller called each, and in the end goes through `parseJobInput` like any other input. Errors come back in the caller's words.
 */
import { ComfyRunpodError, isComfyRunpodError } from '../error.ts';
import type { JobInput } from '../job-input.ts';
import { parseJobInput } from '../parse-job-input.ts';
import { fieldRefusal, isHttpUrl, isRecord, quoted, sendBytesInstead } from './foreign-value.ts';

/** What the answer has to know about the request. */
export interface AnswerFacts {
  /** The caller's own id of the request, which its answer repeats. */
  readonly requestId?: string;
  /** The seed that the run used, for answers that report one. */
  readonly seed?: number;
  /** True when the caller asked for progress in a contract that has none. */
  readonly progress?: boolean;
  /** Encrypts a part of the answer; there when the caller asked for an encrypted answer. */
  readonly seal?: (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;
}

/** Options of ours that every dialect made of an object may carry beside its own keys; with an explicit `dialect` they don't change its kind. */
export const sharedOptions = ['contract', 'destination', 'limits', 'outputs', 'metadata', 'privacy'] as const;

/** A job input in the making. */
export class JobDraft {
  /** The workflow as the caller sent it, or rewritten by the reader. */
  workflow: unknown;
  /** What was not done as asked, although the job is accepted. Never a value of the caller's. */
  readonly warnings: string[] = [];
  /** Canonical options: `limits`, `outputs`, `debug`, `comfyOrgApiKey`, ... */
  readonly options = new Map<string, unknown>();
  answer: AnswerFacts = {};
  readonly #files: ({ name: unknown; data: unknown } | { name: unknown; url: string })[] = [];
  readonly #injections: Record<string, unknown>[] = [];
  /** Canonical path to the caller's. */
  readonly #fields = new Map<string, string>();

  /** `field`: what the caller calls the workflow; empty when the input itself is the workflow. */
  constructor(workflow: unknown, field: string) {
    this.workflow = workflow;
    this.#fields.set('workflow', field);
  }

  /** Adds a file whose bytes are base64. `field` is where its data stands in the request, `nameField` where its name does. */
  addFile(name: unknown, data: unknown, field: string, nameField: string): void {
    if (isHttpUrl(data)) throw fieldRefusal(field, "files can't be given as an address", sendBytesInstead);
    this.#nameFields('data', field, nameField);
    this.#files.push({ name, data: typeof data === 'string' ? withoutLineBreaks(data) : data });
  }

  /** Adds a file that the worker fetches: for contracts that have files by address. */
  addFetchedFile(name: unknown, url: string, field: string, nameField: string): void {
    this.#nameFields('url', field, nameField);
    this.#files.push({ name, url });
  }

  /** Adds a file under a name made from `stem`, which no other file has, and returns the name. */
  addNamedFile(stem: string, extension: string, data: string, field: string): string {
    const name = this.#freeName(stem, extension);
    this.addFile(name, data, field, field);
    return name;
  }

  /** Adds a file that the worker fetches, under a name made from `stem`, and returns the name. An address that is known is fetched once. */
  addNamedFetchedFile(stem: string, extension: string, url: string, field: string): string {
    const known = this.#files.find((file) => 'url' in file && file.url === url)?.name;
    if (typeof known === 'string') return known;
    const name = this.#freeName(stem, extension);
    this.addFetchedFile(name, url, field, field);
    return name;
  }

  #freeName(stem: string, extension: string): string {
    const safe = stem.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 100);
    const taken = (name: string) => this.#files.some((file) => file.name === name);
    let name = `${safe}.${extension}`;
    for (let i = 2; taken(name); i++) name = `${safe}-${i}.${extension}`;
    return name;
  }

  #nameFields(content: 'data' | 'url', field: string, nameField: string): void {
    const at = `files.${this.#files.length}`;
    this.#fields.set(`${at}.${content}`, field).set(`${at}.name`, nameField);
  }

  /** Adds a value or file to put into a node. `field` is where the caller asked for it. */
  inject(injection: Record<string, unknown>, field: string): void {
    this.#fields.set(`injections.${this.#injections.length}`, field);
    this.#injections.push(injection);
  }

  /** Sets a canonical option; `field` is what the caller calls it. */
  option(path: string, value: unknown, field: string = path): void {
    const [key = path, inner] = path.split('.');
    const around = this.options.get(key);
    this.options.set(key, inner === undefined ? value : { ...(isRecord(around) && around), [inner]: value });
    this.#fields.set(path, field);
  }

  /** Takes over our own options where they are given. */
  takeSharedOptions(input: Readonly<Record<string, unknown>>): void {
    for (const key of sharedOptions) if (Object.hasOwn(input, key)) this.option(key, input[key]);
  }

  /** Warns of keys that nobody reads: old callers send extras, so that they are no error. */
  warnOfUnknown(input: Readonly<Record<string, unknown>>, known: readonly string[], where = ''): void {
    const all = ['dialect', ...sharedOptions, ...known];
    const unknown = Object.keys(input).filter((key) => !all.includes(key));
    const shown = unknown.slice(0, 10).map(quoted).join(', ');
    const more = unknown.length > 10 ? ` and ${unknown.length - 10} more` : '';
    if (unknown.length > 0) this.warnings.push(`Ignored unknown keys${where}: ${shown}${more}.`);
  }

  /** The canonical job. Throws what `parseJobInput` throws, with fields named as the caller names them. */
  finish(): JobInput {
    try {
      return parseJobInput({
        ...(this.workflow !== undefined && { workflow: this.workflow }),
        ...(this.#files.length > 0 && { files: this.#files }),
        ...(this.#injections.length > 0 && { injections: this.#injections }),
        ...Object.fromEntries(this.options),
      });
    } catch (error) {
      throw isComfyRunpodError(error) ? this.#inCallersWords(error) : error;
    }
  }

  #inCallersWords(error: ComfyRunpodError): ComfyRunpodError {
    let { message } = error;
    const issues = error.issues.map((issue) => {
      if (issue.field === undefined) return issue;
      const field = this.#callersField(issue.field);
      message = message.replace(`${issue.field}: `, () => `${field}: `);
      return { ...issue, field };
    });
    return new ComfyRunpodError(error.code, message, { issues, details: error.details, nextStep: error.nextStep });
  }

  #callersField(path: string): string {
    const parts = path.split('.');
    for (let length = parts.length; length > 0; length--) {
      const known = this.#fields.get(parts.slice(0, length).join('.'));
      if (known !== undefined)
        return [known, ...parts.slice(length)].filter((part) => part !== '').join('.') || 'input';
    }
    return path;
  }
}

/** Other workers decode leniently, so that base64 in lines of 76 characters has always worked with them. */
function withoutLineBreaks(text: string): string {
  return /\s/.test(text) ? text.replace(/\s+/g, '') : text;
}
