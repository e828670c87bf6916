/**
 * The parts of undici that talk to RunPod, loaded without the rest: fetch, mocks and caches take longer to load than everything else before the
 * first job is asked for. Where another version of undici has its parts elsewhere, all of it is loaded, which is slower and otherwise the same.
 */
import { createRequire } from 'node:module';
import type { Dispatcher } from 'undici';

type Undici = typeof import('undici');

/** What is used of undici. */
interface UndiciCore {
  readonly Agent: Undici['Agent'];
  readonly redirect: Undici['interceptors']['redirect'];
  /** `dispatcher.request`. */
  readonly request: (dispatcher: Dispatcher, options: Dispatcher.RequestOptions) => Promise<Dispatcher.ResponseData>;
}

/** Loads it. */
export function loadUndiciCore(): UndiciCore {
  const require = createRequire(import.meta.url);
  try {
    const request = require('undici/lib/api/api-request.js') as Dispatcher['request'];
    return {
      Agent: require('undici/lib/dispatcher/agent.js') as Undici['Agent'],
      redirect: require('undici/lib/interceptor/redirect.js') as Undici['interceptors']['redirect'],
      request: (dispatcher, options) => request.call(dispatcher, options) as Promise<Dispatcher.ResponseData>,
    };
  } catch {
    const { Agent, interceptors } = require('undici') as Undici;
    return {
      Agent,
      redirect: interceptors.redirect,
      request: (dispatcher, options) => dispatcher.request(options),
    };
  }
}
