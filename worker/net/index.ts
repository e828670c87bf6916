/** Connections to hosts that callers name: which may be reached, and how. The other folders of the worker may import it. */
export type { AllowPrivate } from './address-class.ts';
export { guardUrl } from './guard-url.ts';
export { codeOf, createPinnedAgent, pinHost, type Reach } from './pinned-agent.ts';
