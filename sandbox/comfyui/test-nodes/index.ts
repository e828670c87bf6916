// The stand-in's own classes, for situations no built-in node produces (docs/sandbox-comfyui.md lists them).
import type { NodeDefinition } from '../node-definition.ts';
import { sandboxBadChange, sandboxFail, sandboxOutOfMemory, sandboxUnserialisable } from './failing-nodes.ts';
import {
  sandboxBlock,
  sandboxCycle,
  sandboxExpand,
  sandboxJoin,
  sandboxLazySwitch,
  sandboxList,
  sandboxOwnId,
} from './flow-nodes.ts';
import { sandboxSaveAs, sandboxShow, sandboxSilentOutput, sandboxTypes } from './output-nodes.ts';
import { sandboxAsync, sandboxDeaf, sandboxSleep, sandboxTextFrame } from './sleep-nodes.ts';

/** All of them. */
export const sandboxNodes: readonly NodeDefinition[] = [
  sandboxSleep,
  sandboxDeaf,
  sandboxAsync,
  sandboxTextFrame,
  sandboxFail,
  sandboxOutOfMemory,
  sandboxUnserialisable,
  sandboxBadChange,
  sandboxSaveAs,
  sandboxSilentOutput,
  sandboxShow,
  sandboxTypes,
  sandboxLazySwitch,
  sandboxExpand,
  sandboxBlock,
  sandboxCycle,
  sandboxList,
  sandboxJoin,
  sandboxOwnId,
];
