// Every node class of the stand-in that a real ComfyUI has too. Neighbours: ../node-registry.ts registers them.
import type { NodeDefinition } from '../node-definition.ts';
import * as batch from './image-batch.ts';
import { imageCompositeMaskedNode } from './image-composite.ts';
import { imageBlurNode, imageSharpenNode } from './image-filter.ts';
import { imageCropNode, imageFlipNode, imageRotateNode } from './image-geometry.ts';
import { imagePadForOutpaintNode } from './image-pad.ts';
import { imageScaleByNode, imageScaleNode } from './image-scale.ts';
import { imageStitchNode } from './image-stitch.ts';
import * as latent from './latent-nodes.ts';
import { loadImageMaskNode, loadImageNode, loadImageOutputNode } from './load-image.ts';
import * as mask from './mask-nodes.ts';
import { previewAnyNode } from './preview-any.ts';
import { saveAnimatedPngNode, saveAnimatedWebpNode } from './save-animated.ts';
import { previewImageNode, saveImageNode, saveImageWebsocketNode } from './save-image.ts';
import { createVideoNode, saveVideoNode, saveWebmNode } from './video/video-nodes.ts';

/** The built-in classes, in no particular order. */
export const imageNodes: readonly NodeDefinition[] = [
  loadImageNode,
  loadImageMaskNode,
  loadImageOutputNode,
  saveImageNode,
  previewImageNode,
  saveImageWebsocketNode,
  saveAnimatedWebpNode,
  saveAnimatedPngNode,
  previewAnyNode,
  batch.emptyImageNode,
  batch.imageInvertNode,
  batch.imageBatchNode,
  batch.repeatImageBatchNode,
  batch.imageFromBatchNode,
  imageScaleNode,
  imageScaleByNode,
  imageCropNode,
  imageFlipNode,
  imageRotateNode,
  imageStitchNode,
  imageBlurNode,
  imageSharpenNode,
  imagePadForOutpaintNode,
  imageCompositeMaskedNode,
  mask.maskToImageNode,
  mask.imageToMaskNode,
  mask.invertMaskNode,
  mask.solidMaskNode,
  mask.joinImageWithAlphaNode,
  mask.splitImageWithAlphaNode,
  latent.emptyLatentImageNode,
  latent.emptyLatentAudioNode,
  latent.saveLatentNode,
  latent.vaeLoaderNode,
  latent.vaeDecodeNode,
  latent.checkpointLoaderNode,
  createVideoNode,
  saveVideoNode,
  saveWebmNode,
];
