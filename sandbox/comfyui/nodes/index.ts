// Every node class of the stand-in that a real ComfyUI has too.
import type { NodeDefinition } from '../node-definition.ts';
import {
  emptyImageNode,
  imageBatchNode,
  imageFromBatchNode,
  imageInvertNode,
  repeatImageBatchNode,
} from './image-batch.ts';
import { imageScaleByNode, imageScaleNode } from './image-scale.ts';
import { loadImageMaskNode, loadImageNode, loadImageOutputNode } from './load-image.ts';
import { previewImageNode, saveImageNode } from './save-image.ts';

/** The built-in classes, in no particular order. */
export const imageNodes: readonly NodeDefinition[] = [
  loadImageNode,
  loadImageMaskNode,
  loadImageOutputNode,
  saveImageNode,
  previewImageNode,
  emptyImageNode,
  imageInvertNode,
  imageBatchNode,
  repeatImageBatchNode,
  imageFromBatchNode,
  imageScaleNode,
  imageScaleByNode,
];
