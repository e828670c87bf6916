/**
 * Node types that live in the editor only. The server never sees them: links run through them, values come out of them, or
 * they are mere decoration. A type that the server declares is never virtual. Source: ComfyUI protocol notes §3.10 step 2.
 */

/** What a virtual node is for. */
export type VirtualKind = 'note' | 'reroute' | 'primitive' | 'get' | 'set' | 'broadcast' | 'control';

const kinds: Readonly<Record<string, VirtualKind>> = {
  Note: 'note',
  MarkdownNote: 'note',
  'Note Plus (mtb)': 'note',
  'Label (rgthree)': 'note',
  'Bookmark (rgthree)': 'note',
  Reroute: 'reroute',
  'Reroute (rgthree)': 'reroute',
  PrimitiveNode: 'primitive',
  GetNode: 'get',
  SetNode: 'set',
  'easy getNode': 'get',
  'easy setNode': 'set',
  'Anything Everywhere': 'broadcast',
  'Anything Everywhere?': 'broadcast',
  'Anything Everywhere3': 'broadcast',
  'Prompts Everywhere': 'broadcast',
  'Fast Muter (rgthree)': 'control',
  'Fast Bypasser (rgthree)': 'control',
  'Fast Groups Muter (rgthree)': 'control',
  'Fast Groups Bypasser (rgthree)': 'control',
  'Fast Actions Button (rgthree)': 'control',
  'Mute / Bypass Relay (rgthree)': 'control',
  'Mute / Bypass Repeater (rgthree)': 'control',
  'Node Collector (rgthree)': 'control',
  'Random Unmuter (rgthree)': 'control',
};

/** The kind of a type that only the editor knows, else undefined. */
export function virtualKind(type: string): VirtualKind | undefined {
  return Object.hasOwn(kinds, type) ? kinds[type] : undefined;
}

/** Why a virtual node is not in the result, for the report. */
export const virtualReasons: Readonly<Record<VirtualKind, string>> = {
  note: 'a note: nothing for the server',
  reroute: 'a reroute: its links are connected through',
  primitive: 'its value is written into the inputs it feeds',
  get: 'the links of its name are connected through',
  set: 'the links of its name are connected through',
  broadcast: 'the links it makes are written into the inputs it feeds',
  control: 'it steers the editor only',
};
