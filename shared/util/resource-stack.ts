/** Owns resources and releases them in reverse order: every step runs, every error is reported, twice is the same as once. */

/** A release step. */
export type Release = () => void | Promise<void>;

/** Collects release steps; `close` runs them all and throws an AggregateError when any failed. */
export class ResourceStack implements AsyncDisposable {
  #steps: Release[] = [];
  #closing: Promise<void> | undefined;

  /** Adds a release step. After `close` it runs at once. */
  defer(release: Release): void {
    if (this.#closing) void Promise.resolve().then(release);
    else this.#steps.push(release);
  }

  /** Adds something that closes itself and returns it. */
  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(async () => {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    });
    return resource;
  }

  /** Releases everything, last added first. */
  close(): Promise<void> {
    this.#closing ??= this.#run();
    return this.#closing;
  }

  async #run(): Promise<void> {
    const errors: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'Some resources could not be released.');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
