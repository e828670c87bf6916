// One line per socket message, to compare orders.
import type { Received } from './socket-client.ts';

function nodeStates(data: Record<string, unknown>): string {
  const nodes = data['nodes'] as Record<string, { state: string }>;
  return Object.entries(nodes)
    .map(([id, entry]) => `${id}:${entry.state === 'running' ? 'r' : 'f'}`)
    .join(' ');
}

function shape(type: string, data: Record<string, unknown>): string {
  switch (type) {
    case 'status':
      return `S(${(data['status'] as { exec_info: { queue_remaining: number } }).exec_info.queue_remaining})`;
    case 'progress_state':
      return `PS(${nodeStates(data)})`;
    case 'execution_cached':
      return `cached(${(data['nodes'] as string[]).join()})`;
    case 'progress':
      return `progress(${String(data['value'])}/${String(data['max'])})`;
    case 'executing':
    case 'executed':
      return `${type}(${String(data['node'])})`;
    case 'execution_error':
      return `error(${String(data['exception_type'])})`;
    default:
      return type.replace('execution_', '');
  }
}

/** All messages; binary frames as `bin<type>`. Without the first `status`, which every connection gets. */
export function shapes(received: readonly Received[]): string[] {
  return received.slice(1).map((entry) => {
    if (entry.kind === 'binary') return `bin${entry.bytes.readUInt32BE(0)}`;
    const { type, data } = entry.value as { type: string; data: Record<string, unknown> };
    return shape(type, data);
  });
}
