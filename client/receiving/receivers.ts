/** The receivers of one client, one per job however many handles there are for it, and the temporary files of all of them. */
import type { Transport } from '../transport/transport.ts';
import { ChunkReceiver, type ReceiverLease } from './chunk-receiver.ts';
import { ResultSpool } from './result-spool.ts';

/** Owned by the client. Close it. */
export class Receivers {
  readonly #transport: Transport;
  readonly #spool: ResultSpool;
  readonly #byJob = new Map<string, ChunkReceiver>();

  /** `folder`: where chunks wait until they are saved, for all processes of this machine. Default: temporary files of this client. */
  constructor(transport: Transport, folder?: string) {
    this.#transport = transport;
    this.#spool = new ResultSpool({ shared: folder });
  }

  /** A wait for a job begins. `soon`: the job may well send its result in chunks. */
  join(jobId: string, soon: boolean, signal: AbortSignal | undefined): ReceiverLease {
    const receiver = this.#byJob.get(jobId) ?? new ChunkReceiver(this.#transport, jobId, this.#spool);
    this.#byJob.set(jobId, receiver);
    const lease = receiver.join(soon, signal);
    return {
      complete: (result) => lease.complete(result),
      [Symbol.dispose]: () => {
        lease[Symbol.dispose]();
        // What was received stays known, for whoever asks again: RunPod hands it out once.
        void receiver.quiet().then(() => receiver.isIdle && this.#byJob.delete(jobId));
      },
    };
  }

  /** Ends every reading as soon as that loses nothing: after the answer that is arriving. Idempotent. */
  async leave(): Promise<void> {
    await Promise.all([...this.#byJob.values()].map((receiver) => receiver.leave()));
  }

  /** Removes the temporary files. Idempotent. */
  close(): Promise<void> {
    return this.#spool.close();
  }
}
